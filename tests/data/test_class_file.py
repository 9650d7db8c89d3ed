"""What the classes file of a folder says of its masks."""

import numpy as np
import pytest

from hrvit_nas.data.class_file import read_classes
from hrvit_nas.data.labels import DataError


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "classes.yaml"
        path.write_text(text, encoding="utf-8")
        return read_classes(path)

    return read


def meaning(labels):
    """Label of each stored value that may occur."""
    return {value: label for value, label in enumerate(labels.table.tolist()) if label >= 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {0: 0, 1: 1, 2: 2, 255: 255}),
        ("ignore_index: 7", {0: 0, 1: 1, 2: 2, 7: 255}),
        ("ignore: 7", {0: 0, 1: 1, 2: 2, 7: 255}),
        ("reduce_zero_label: true", {0: 255, 1: 0, 2: 1, 3: 2, 255: 255}),
        ("reduce_zero_label: true\nignore_index: 9", {0: 255, 1: 0, 2: 1, 3: 2, 9: 255}),
        ("map: {0: ignore, 1: 0, 7: 2, 9: 1}", {0: 255, 1: 0, 7: 2, 9: 1, 255: 255}),
        ("map: {0: a, 1: b, 255: c}", {0: 0, 1: 1, 255: 2}),
        ("map: {4: a, 5: a, 1: b, 2: c}", {1: 1, 2: 2, 4: 0, 5: 0, 255: 255}),
        ("map: {0: a, 1: b, 255: c}\nignore_index: 8", {0: 0, 1: 1, 8: 255, 255: 2}),
    ],
)
def test_stored_values_become_classes(read, text, expected):
    names, labels = read(f"classes: [a, b, c]\n{text}\n")
    assert names == ("a", "b", "c")
    assert labels.colours is None
    assert meaning(labels) == expected


@pytest.mark.parametrize(
    "text",
    [
        'palette: [[0, 0, 0], "#804080", [0, 0, 142]]',
        'palette: {"#000000": a, "#804080": 1, "00008E": c}',
    ],
)
def test_colours_become_classes(read, text):
    _, labels = read(f"classes: [a, b, c]\n{text}\n")
    assert labels.colours == {(0, 0, 0): 0, (128, 64, 128): 1, (0, 0, 142): 2}


def test_a_colour_can_be_ignored(read):
    _, labels = read('classes: [a]\npalette: {"#ffffff": a, "#000000": ignore}\n')
    assert labels.colours == {(255, 255, 255): 0, (0, 0, 0): 255}
    codes, found = labels.colour_table
    assert (np.diff(codes) > 0).all()
    assert found.tolist() == [255, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ignore_index: 0", "got 0; where 0 is ignored.* give reduce_zero_label: true"),
        ("ignore_index: 256", "less than or equal to 255"),
        ("ignore: 7\nignore_index: 7", "ignore is the earlier name"),
        ("reduce_zero_label: true\nignore_index: 3", "class values 1 to 3, got 3"),
        ("map: {0: a, 1: b}", "map gives no value to the class 'c'"),
        ("map: {0: a, 1: b, 2: 3}", "map: 2 must be a class, 0 to 2, or 'ignore', got 3"),
        ("map: {0: a, 1: b, 2: ingore}", "got 'ingore'; did you mean 'ignore'"),
        ("map: {0: a, 1: b, 256: c}", "less than or equal to 255"),
        ("map: {0: a, 1: b, 2: c}\nignore_index: 2", "which ignore_index ignores"),
        ("map: {}", "at least 1 item"),
        ("map: {0: a, 0: b}", "stands twice"),
        ("map: {0: a, 1: b, 2: c}\nreduce_zero_label: true", "reduce_zero_label or map"),
        ("palette: [[0, 0, 0]]", "a colour for each of the 3 classes, got 1"),
        ("palette: [[0, 0, 0], [0, 0, 0], [1, 1, 1]]", r"colour \[0, 0, 0\] twice"),
        ('palette: [[0, 0, 0], "red", [1, 1, 1]]', "got 'red'"),
        ("palette: [[0, 0, 0], [0, 0, 300], [1, 1, 1]]", "palette"),
        ('palette: {"#000000": a, "#000001": b}', "no colour to the class 'c'"),
        (
            "palette: [[0, 0, 0], [1, 1, 1], [2, 2, 2]]\nignore_index: 7",
            "masks with a palette have none",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(read, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(f"classes: [a, b, c]\n{text}\n")
    assert str(caught.value).startswith("classes file ") or "cannot read classes file" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
