"""Streamed windows and resizing against the same on whole images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hrvit_nas.evaluation.resampling import Taps, resized_bands
from hrvit_nas.evaluation.windows import sliding_bands, window_starts


def accumulated(logits_of, size, window, stride, mirrored=False):
    """Logits of all of an image, summed up in one buffer, over how many windows cover a pixel."""
    (height, width), (rows, columns) = size, window
    tops = [*range(0, max(0, height - rows), stride[0]), max(0, height - rows)]
    lefts = [*range(0, max(0, width - columns), stride[1]), max(0, width - columns)]
    if mirrored:
        lefts = [width - left - min(columns, width) for left in lefts]
    total, cover = torch.zeros(1, 2, height, width), torch.zeros(height, width)
    for top in tops:
        for left in lefts:
            area = slice(top, min(top + rows, height)), slice(left, min(left + columns, width))
            total[(..., *area)] += logits_of(*area)
            cover[area] += 1
    return total / cover


def noise(rows, columns):
    """Logits that no other window has."""
    seed = rows.start * 1009 + columns.start
    shape = rows.stop - rows.start, columns.stop - columns.start
    return torch.randn(1, 2, *shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def layouts(draw):
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    window = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    stride = tuple(draw(st.integers(1, side)) for side in window)
    first = draw(st.integers(0, size[1] - 1))
    return size, window, stride, (first, draw(st.integers(first + 1, size[1])))


@given(layouts(), st.booleans())
def test_bands_equal_the_whole_image_to_the_bit(layout, mirrored):
    size, window, stride, (first, last) = layout
    bands = list(
        sliding_bands(noise, size, window, stride, columns=(first, last), mirrored=mirrored)
    )
    assert all(band.shape[2] <= window[0] for band in bands)
    expected = accumulated(noise, size, window, stride, mirrored)[..., first:last]
    assert torch.equal(torch.cat(bands, 2), expected)


@pytest.mark.parametrize(
    ("size", "starts"), [(10, [0, 3, 6]), (11, [0, 3, 6, 7]), (4, [0]), (3, [0]), (5, [0, 1])]
)
def test_the_last_window_ends_at_the_border(size, starts):
    assert window_starts(size, 4, 3) == starts


@given(
    st.tuples(st.integers(1, 23), st.integers(1, 23)),
    st.tuples(st.integers(1, 23), st.integers(1, 23)),
    st.integers(1, 7),
    st.integers(1, 9),
)
def test_resized_bands_equal_torch_on_the_whole(size, resized, band_rows, most_rows):
    values = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.interpolate(values, resized, mode="bilinear", align_corners=False)
    first = resized[1] // 3
    columns = Taps.between(size[1], resized[1], first, resized[1])
    rows = Taps.between(size[0], resized[0], 0, resized[0])
    needed = values[..., slice(*columns.span)]
    bands = list(resized_bands(iter(needed.split(band_rows, 2)), rows, columns, most_rows))
    assert all(band.shape[2] <= most_rows for band in bands)
    torch.testing.assert_close(torch.cat(bands, 2), expected[..., first:], rtol=1e-5, atol=1e-5)


def test_long_lines_are_resized_as_torch_does():
    values = torch.randn(1, 1, 1, 9000, generator=torch.Generator().manual_seed(0))
    taps = Taps.between(9000, 7001, 0, 7001)
    expected = nn.functional.interpolate(values, (1, 7001), mode="bilinear", align_corners=False)
    # A place near 9000 is known to 0.0005, in torch as here.
    torch.testing.assert_close(taps.applied(values, 3, 0), expected, rtol=1e-5, atol=1e-3)
