"""The notebooks of analysis/, executed from start to end on runs of seconds."""

import contextlib
import io
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
import typer
import yaml
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

from hrvit_nas.cli.ablate import main as ablate
from hrvit_nas.cli.search import app as search_app
from hrvit_nas.search.run import continue_run, create_run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))
PATIENCE_S = 120
PLAN = {
    "description": "One part.",
    "base": "hrvit_b1",
    # Costs no multiply-adds, so that no control is trained beside it.
    "changes": {"silu": {"set": {"modules.*.branches.*.extra_nonlinearity": False}}},
}


class Watcher:
    """Who watches a search."""

    def started(self, trial):
        pass

    def ended(self, record, summary):
        pass

    def supernet(self, step):
        pass


@pytest.fixture(scope="module")
def kernel_environment(tmp_path_factory):
    """A kernel of this interpreter, on one thread, with folders of its own and no network."""
    folder = tmp_path_factory.mktemp("jupyter")
    write_kernel_spec(folder / "kernels" / "python3")
    with pytest.MonkeyPatch.context() as patch:
        # Looked at before the user's own kernels and those of the environment.
        patch.setenv("JUPYTER_PATH", str(folder))
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(folder / name.lower()))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture
def execute(kernel_environment, tmp_path):
    """Executes a notebook with other parameters, in an empty folder; returns what it shows."""

    def execute(name, parameters):
        notebook = nbformat.read(ROOT / "analysis" / "notebooks" / f"{name}.ipynb", as_version=4)
        (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
        assert {line.split(" = ")[0] for line in cell.source.splitlines()} == {
            line.split(" = ")[0] for line in parameters.splitlines()
        }
        cell.source = parameters
        client = NotebookClient(
            notebook,
            timeout=PATIENCE_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        )
        client.execute()
        assert not list(tmp_path.iterdir())  # figures and drawn data go elsewhere, and go away
        return Shown(notebook)

    return execute


class Shown:
    """What an executed notebook shows."""

    def __init__(self, notebook):
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        self.errors = "".join(o.text for o in outputs if o.get("name") == "stderr")
        printed = [o.text for o in outputs if o.get("name") == "stdout"]
        data = [o.data for o in outputs if "data" in o]
        self.pictures = sum("image/png" in shown for shown in data)
        self.tables = sum("text/html" in shown for shown in data)
        self.text = "\n".join([*printed, *(shown.get("text/markdown", "") for shown in data)])


def test_notebooks_hold_no_outputs():
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None), path.name


@pytest.fixture(scope="module")
def searched(make_config, tmp_path_factory):
    """Directory and summary of a confirmed search with a supernet, all of whose best it trains."""
    config = make_config("supernet_search", trials=3, retrain=3, confirm=2, references=())
    run = create_run(config, tmp_path_factory.mktemp("searches") / "run")
    try:
        continue_run(run, Watcher())
    finally:
        run.close()
    return run.directory, run.summary()


def test_pareto(execute, searched):
    directory, summary = searched
    best = summary.frontier[-1]
    shown = execute(
        "pareto",
        f"RUNS = [{str(directory)!r}]\n"
        f"MAX_GMACS = {max(row.macs for row in summary.rows) / 1e9}\n"
        f"MAX_PARAMS_M = {max(row.params for row in summary.rows) / 1e6}\n"
        "IMAGE = 1\n"
        "DATA_ROOT = None",
    )
    assert shown.errors == ""
    assert f"{best.arch_id}: highest mean of what was searched within" in shown.text
    assert f"of {len(summary.alternatives(best))} others" in shown.text
    assert "seeds [1, 2], confirmed" in shown.text
    score = f"{100 * best.scores[1]:.2f} %"
    assert (
        f"seed 1 (n = 1); scenes at 32x48, 1 steps;\nmIoU of all 4 validation images {score}"
        in (shown.text)
    )
    assert shown.pictures == 3, "frontier, mask, and mask with inherited weights"
    assert shown.tables == 5


@pytest.fixture(scope="module")
def ablated(profile, tmp_path_factory):
    """Directory of an ablation of one part, with three seeds."""
    folder = tmp_path_factory.mktemp("ablations")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    arguments = ["hrvit-ablate", f"{folder}/plan.yaml", "--profile", str(profile)]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", [*arguments, "--output", f"{folder}/run"])
        with pytest.raises(SystemExit) as caught:
            ablate()
    assert caught.value.code == 0
    return folder / "run"


def test_ablation(execute, ablated):
    shown = execute("ablation", f"RUN = {str(ablated)!r}\nCRITERION = 'miou'")
    assert shown.errors == ""
    assert "hrvit_b1, widths times 0.25, scenes at 32x48" in shown.text
    assert "of 1 changes are undecided; points of miou, seeds [0, 1, 2] (n = 3)" in shown.text
    assert "cannot be told here" in shown.text
    assert (shown.pictures, shown.tables) == (1, 3)


def test_bring_your_own_data(execute, profile):
    recipe = profile.with_name("recipe.yaml")
    shown = execute(
        "bring_your_own_data",
        f"ROOT = None\nRECIPE = {str(recipe)!r}\n"
        "PRESET, WIDTH_FACTOR = 'hrvit_b1', 0.25\nSTEPS = 2\nSEED = 0",
    )
    assert shown.errors == ""
    assert "24 training and 6 validation images, 32x48 pixels" in shown.text
    assert "2 steps, seed 0 (n = 1); mIoU of all 6 validation images" in shown.text
    assert (shown.pictures, shown.tables) == (2, 2)
    name, *arguments = shlex.split(shown.text.strip().splitlines()[-1])
    context = typer.main.get_command(search_app).make_context(name, arguments)
    assert (name, context.params["data"].value) == ("hrvit-search", "folder")
    assert context.params["recipe"] == str(recipe)
