"""The direction of imports, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hrvit_nas

PACKAGE = Path(hrvit_nas.__file__).parent
ORDER = (
    "_files",
    "_messages",
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
LIGHT = ("arch", "cost", "space", "results", "samplers")


def imported_modules(path: Path) -> set[str]:
    """Absolute names of every module that a file imports, also inside functions."""
    package = ("hrvit_nas", *path.relative_to(PACKAGE).parent.parts)
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_order_names_every_package():
    found = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert found == set(ORDER) - {"_files", "_messages", "objectives"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_backwards(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the public names, loaded when asked for
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("hrvit_nas.")}
    allowed = {*ORDER[: ORDER.index(own) + 1], "__version__"}
    assert parts <= allowed


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
    heavy = {"torch", "ray", "numpy", "pandas", "pydantic", "optuna", "yaml", "matplotlib"}
    assert loaded("hrvit_nas").isdisjoint(heavy)


def loaded(module: str) -> set[str]:
    """Modules in memory after importing one in a fresh process."""
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())
