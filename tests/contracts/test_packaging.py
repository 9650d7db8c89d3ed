"""The wheel is complete, and what it declares is what it uses and was tested with."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["optional-dependencies"].items()
}
FILES = (".gitignore", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("hrvit_nas", "search_spaces", "experiments")

# Runs where no source tree is near; prints one fact a line.
PROBE = """
from importlib.metadata import distribution
import hrvit_nas
from hrvit_nas._files import declarations_dir
from hrvit_nas.space import list_spaces, load_space

print(hrvit_nas.__file__)
print(distribution("hrvit_nas").version)
print(*list_spaces())
print(load_space("heterogeneous_branches").size > 1)
experiments = declarations_dir("experiments")
print(*sorted(str(path.relative_to(experiments)) for path in experiments.rglob("*.yaml")))
for script in distribution("hrvit_nas").entry_points:
    assert callable(script.load())
"""


def run(*command, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An empty folder into which a wheel, built from a copy of the tree, was installed."""
    tree, target = (tmp_path_factory.mktemp(name) for name in ("tree", "installed"))
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name)
    run("-m", "build", "--wheel", "--no-isolation", cwd=tree)
    (wheel,) = (tree / "dist").glob("*.whl")
    options = ("--no-deps", "--no-index", "--target", target)
    run("-m", "pip", "install", "--quiet", *options, wheel, cwd=tree)
    return target


def test_an_installed_wheel_finds_its_declarations(installed, tmp_path):
    # PYTHONPATH stands before site-packages, through which an editable install is found.
    lines = run("-P", "-c", PROBE, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    file, version, spaces, many, searches = lines
    assert Path(file) == installed / "hrvit_nas" / "__init__.py"
    assert version in (installed / "hrvit_nas" / "__init__.py").read_text()
    assert spaces.split() == sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))
    assert many == "True"
    experiments = ROOT / "experiments"
    shipped = (path.relative_to(experiments) for path in experiments.rglob("*.yaml"))
    assert searches.split() == sorted(map(str, shipped))


def test_the_wheel_holds_the_package_and_its_licence_alone(installed):
    (metadata,) = installed.glob("*.dist-info")
    assert (metadata / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert {path.name for path in installed.iterdir()} == {"hrvit_nas", metadata.name, "bin"}


def test_the_wheel_holds_every_module(installed):
    def modules(root):
        return {path.relative_to(root) for path in (root / "hrvit_nas").rglob("*.py")}

    assert modules(installed) == modules(ROOT)


def test_tested_releases_lie_in_the_declared_ranges():
    lines = (ROOT / "constraints-cpu.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    tested = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    ranges = {canonicalize_name(item.name): item.specifier for item in DEPENDENCIES + EXTRAS["dev"]}
    assert tested.keys() == ranges.keys()
    for name, pin in tested.items():
        assert pin.startswith("=="), f"{name}{pin} is no exact pin"
        assert ranges[name].contains(pin.removeprefix("==")), f"{name}{pin} not in {ranges[name]}"


def test_development_tests_every_extra():
    development = {str(item) for item in EXTRAS["dev"]}
    assert {str(item) for extra in EXTRAS.values() for item in extra} <= development


def test_third_party_imports_are_declared():
    users = [*DEPENDENCIES, *(item for name in EXTRAS if name != "dev" for item in EXTRAS[name])]
    declared = {canonicalize_name(item.name) for item in users}
    distributions = packages_distributions()
    undeclared = set()
    for path in (ROOT / "hrvit_nas").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = [node.module]
            else:
                continue
            for module in (name.partition(".")[0] for name in imported):
                if module in sys.stdlib_module_names or module == "hrvit_nas":
                    continue
                homes = {canonicalize_name(name) for name in distributions.get(module, [])}
                if not homes & declared:
                    undeclared.add(f"{module} in {path.relative_to(ROOT)}")
    assert not undeclared
