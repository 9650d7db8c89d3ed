"""Names that commands offer before they load what these stand for; the standard library alone."""

from typing import Literal, get_args

ExecutorName = Literal["ray_tune", "inline"]
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)

SelectorName = Literal["nsga2", "epsnet"]
SELECTORS: tuple[SelectorName, ...] = get_args(SelectorName)
