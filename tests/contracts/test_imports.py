"""The direction of imports, and what stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hrvit_nas

PACKAGE = Path(hrvit_nas.__file__).parent
ORDER = (
    "_files",
    "_messages",
    "_names",
    "objectives",
    "arch",
    "cost",
    "space",
    "models",
    "data",
    "evaluation",
    "training",
    "results",
    "samplers",
    "execution",
    "search",
    "report",
    "cli",
)
HEAVY = {"torch", "ray", "numpy", "pandas", "pydantic", "optuna", "yaml", "matplotlib"}
LIGHT = ("arch", "cost", "space", "results", "samplers")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of all that a file imports, wherever in it; a name is empty for a module."""
    package = ("hrvit_nas", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield from ((base, alias.name) for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """Absolute names of every module that a file may import, also inside functions."""
    return {
        name
        for base, imported in imports(path)
        for name in ((base, f"{base}.{imported}") if imported else (base,))
    }


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_order_names_every_package():
    found = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert found == set(ORDER) - {"_files", "_messages", "_names", "objectives"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_backwards(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the public names, loaded when asked for
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("hrvit_nas.")}
    allowed = {*ORDER[: ORDER.index(own) + 1], "__version__"}
    assert parts <= allowed


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("hrvit_nas", *(part for part in parts if part != "__init__")))


def import_graph() -> dict[str, set[str]]:
    """For each module, those that it imports: at its head, in functions, and for types alone."""
    paths = {module_name(path): path for path in sources()}
    graph = {}
    for module, path in paths.items():
        found = (
            f"{base}.{name}" if f"{base}.{name}" in paths else base for base, name in imports(path)
        )
        graph[module] = {name for name in found if name in paths}
    return graph


def test_no_module_leads_back_to_itself():
    graph = import_graph()
    assert "hrvit_nas.models" in graph["hrvit_nas.evaluation.inherited"], "through a package"
    assert "hrvit_nas.search.events" in graph["hrvit_nas.search.tracking"], "within a function"
    assert "hrvit_nas.search.opened" in graph["hrvit_nas.search.worker"], "for types alone"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_only_execution_imports_ray():
    importers = {
        path.relative_to(PACKAGE).parts[0]
        for path in sources()
        if any(name.split(".")[0] == "ray" for name in imported_modules(path))
    }
    assert importers == {"execution"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_packages_load_neither_torch_nor_ray(name):
    assert loaded(f"hrvit_nas.{name}").isdisjoint({"torch", "ray", "optuna"})


def test_the_package_alone_loads_next_to_nothing():
    assert loaded("hrvit_nas").isdisjoint(HEAVY)


def test_a_command_lists_its_choices_before_it_loads_anything():
    assert loaded("hrvit_nas.cli.search").isdisjoint(HEAVY)


def test_a_worker_loads_no_more_than_it_needs():
    assert loaded("hrvit_nas.search.worker").isdisjoint({"ray", "optuna", "pandas", "scipy.stats"})


def test_a_worker_that_trains_nothing_is_up_soon():
    found = loaded("hrvit_nas.search.synthetic")
    assert found.isdisjoint({"torch", "ray", "optuna", "pandas", "PIL", "scipy.stats"})


def loaded(module: str) -> set[str]:
    """Modules in memory after importing one in a fresh process."""
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())
