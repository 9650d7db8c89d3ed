"""Public names say what they are, and no file knows the machine it was written on."""

import inspect
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

import hrvit_nas

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    f"hrvit_nas.{path.parent.name}"
    for path in Path(hrvit_nas.__file__).parent.glob("*/__init__.py")
)
# Home and work folders at the root of a file system.
MACHINE_PATH = re.compile(r"(?<![\w.~$}>/-])/(?:work|home|root|Users|mnt)/\w")


def public_names():
    for name in ("hrvit_nas", *PACKAGES):
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            yield name, public, getattr(module, public)


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_say_what_they_hold(name):
    assert import_module(name).__doc__


def test_public_functions_and_classes_are_documented():
    documented = []
    for package, name, value in public_names():
        if inspect.isfunction(value) or inspect.isclass(value):
            own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
            # A dataclass without a docstring gets its signature for one.
            assert own, f"{package}.{name}"
            assert not own.startswith(f"{name}("), f"{package}.{name}"
            documented.append(name)
    assert {"ArchSpec", "build_segmentor", "Recipe"} <= set(documented)


def files_of_the_project():
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if (ROOT / name).is_file()]


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="only a git checkout tells the project's files from others",
)
def test_no_file_names_a_folder_of_one_machine():
    found = []
    for path in files_of_the_project():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, start=1)
            if MACHINE_PATH.search(line)
        ]
    assert found == []


# With | for /, or this file would find itself.
@pytest.mark.parametrize("text", ["|home|ann|x", '"|work|data"', "(|root|a)"])
def test_folders_of_one_machine_are_recognised(text):
    assert MACHINE_PATH.search(text.replace("|", "/"))


@pytest.mark.parametrize("text", ["..|shared|data", "https:||a.org|home|x", "$HOME|work|x"])
def test_other_paths_are_left_alone(text):
    assert not MACHINE_PATH.search(text.replace("|", "/"))
