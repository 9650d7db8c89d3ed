"""What a run has found while it goes on, and which weights are worth keeping for it."""

from __future__ import annotations

from typing import Any

from ..results import RunSummary, Summing
from ..results.records import SEARCHED
from .config import AnySearch
from .opened import Run


class Overview:
    """Looks over a run as its trials end; it takes up what has ended since it last did.

    Args:
        run: Open for writing.
    """

    def __init__(self, run: Run[Any]) -> None:
        self._run = run
        self._config = run.config if isinstance(run.config, AnySearch) else None
        self._begin()

    def _begin(self) -> None:
        """Forgets what it has taken up."""
        self._seen, self._replaced = 0, self._run.store.num_replaced
        self._all = Summing(**self._run.config.ranking)
        if self._config is not None:
            costs, criterion = self._config.costs, self._config.recipe.criterion
            self._searched = Summing(costs=costs, criterion=criterion)

    def look(self) -> RunSummary | None:
        """What a search has found, with the weights of what it has found to be dominated gone.

        Confirming redraws the frontier with every seed that arrives, so what is being confirmed is
        kept throughout. A file without a record is that of a trial about to be recorded. Other runs
        keep none.
        """
        layout = self._run.layout
        if self._config is None:
            for _, path in layout.all_weights():
                path.unlink(missing_ok=True)
            return None
        if self._run.store.num_replaced != self._replaced:
            self._begin()
        records = self._run.store.records()[self._seen :]
        self._seen += len(records)
        self._all.add(records)
        # The frontier that the search itself found; see `selection.frontier_archs`.
        self._searched.add(record for record in records if record.stage == SEARCHED)
        summary = self._all.summary()
        rows = (*self._searched.summary().frontier, *summary.rows)
        keep = {row.arch_id for row in rows if row.on_frontier or row.reference or row.confirmed}
        dominated = {row.arch_id for row in summary.rows} - keep
        for arch_id, path in layout.all_weights():
            if arch_id in dominated:
                path.unlink(missing_ok=True)
        return summary
