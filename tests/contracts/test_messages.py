"""What the library says names no option of a command: only `cli` knows which mends what."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

import hrvit_nas
from hrvit_nas._messages import first_fault, one_line
from hrvit_nas.cli.hints import HINTS
from hrvit_nas.report.section import Hint

PACKAGE = Path(hrvit_nas.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+|hrvit-(?:search|ablate|report)\b")
EXCEPTED = {
    "report/script.py": "options of the scripts in analysis/",
    "results/provenance.py": "options of git",
}


class Part(BaseModel, extra="forbid"):
    width: int = 1
    edits: int = Field(default=1, alias="set")


class Other(BaseModel, extra="forbid"):
    widths: int = 1


class Whole(BaseModel, extra="forbid"):
    part: Part | None = None
    parts: tuple[Part, ...] | None = None
    named: Mapping[str, Annotated[Part, "kept"]] = {}
    one: Part | Other = Part()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"prat": 1}, "prat: unknown key; did you mean 'part'?"),
        ({"x": 1}, "x: unknown key; known: part, parts, named, one"),
        ({"part": {"widht": 1}}, "part.widht: unknown key; did you mean 'width'?"),
        ({"part": {"edit": 1}}, "part.edit: unknown key; known: width, set"),
        ({"parts": [{}, {"widht": 1}]}, "parts.1.widht: unknown key; did you mean 'width'?"),
        ({"named": {"a": {"sett": 1}}}, "named.a.sett: unknown key; did you mean 'set'?"),
        ({"one": {"widht": 1}}, "one.Part.widht: unknown key"),
        ({"part": {"width": None}}, "part.width: Input should be a valid integer, got None"),
    ],
)
def test_an_unknown_key_says_what_it_may_have_meant(content, expected):
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(content)
    assert first_fault(caught.value, model=Whole) == expected
    assert first_fault(caught.value) == expected.partition(";")[0]


def said(tree):
    """Texts of a module that are no docstrings."""
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    documents = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documents.add(id(node.value))
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            documents.add(id(node.body[0].value))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documents
        ):
            yield node.value


def library():
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(str(path) for path in paths if path.parts[0] != "cli")


@pytest.mark.parametrize("name", [name for name in library() if name not in EXCEPTED])
def test_the_library_names_no_option(name):
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    assert [text for text in said(tree) if OPTION.search(text)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Not --this."""\nx = "but --this"', ["but --this"]),
        ('f"run hrvit-search {x} a--b -- c"', ["run hrvit-search "]),
        ('x = "a -- b, c--d"', []),
    ],
)
def test_options_are_recognised(source, found):
    assert [text for text in said(ast.parse(source)) if OPTION.search(text)] == found


@given(st.text(max_size=2000), st.integers(50, 400))
def test_a_message_is_one_line_with_its_cause_and_its_remedy(text, longest):
    line = one_line(f"cause {text} remedy", longest)
    assert len(line) <= longest
    assert line.split() == line.split(" ")
    assert line.startswith("cause")
    assert line.endswith("remedy")


def test_every_hint_has_its_words():
    assert set(HINTS) == set(get_args(Hint))
