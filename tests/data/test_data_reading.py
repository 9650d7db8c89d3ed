"""Images and masks in the forms that people have them in."""

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data.labels import DataError, LabelMap
from hrvit_nas.data.reading import check_fit, image_shape, read_image, read_mask

PLAIN = LabelMap.plain(3, 255)
COLOURS = LabelMap({}, (), "", colours={(0, 0, 0): 255, (128, 0, 0): 0, (0, 128, 0): 1})
VALUES = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


@pytest.fixture
def photograph():
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "webp"])
def test_formats_that_keep_pixels(tmp_path, photograph, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photograph).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image(path), photograph)


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint16, "png"), (np.int32, "tif")])
def test_grey_of_16_bits_is_scaled(tmp_path, dtype, suffix):
    path = tmp_path / f"a.{suffix}"
    grey = np.array([[0, 128, 257], [32_896, 65_000, 65_535]], dtype)
    Image.fromarray(grey).save(path)
    found = np.asarray(read_image(path))
    assert found[..., 0].tolist() == [[0, 0, 1], [128, 253, 255]]
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize("values", [[[0.5]], [[70_000]], [[-1]]])
def test_values_beyond_16_bits_are_refused(tmp_path, values):
    path = tmp_path / "a.tif"
    array = np.array(values)
    Image.fromarray(array.astype(np.float32 if array.dtype.kind == "f" else np.int32)).save(path)
    with pytest.raises(DataError, match=r"a\.tif: an image m"):
        read_image(path)


def stored(upright, orientation):
    """The pixels that a camera stores for an upright image (Exif 2.32, figure of tag 274)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied(tmp_path, photograph, orientation):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored(photograph, orientation))).save(path, exif=exif)
    assert np.array_equal(read_image(path), photograph)
    assert image_shape(path) == ((4, 6), orientation)


def test_a_mask_of_the_image_as_stored_is_named_with_the_reason(tmp_path, photograph):
    image, mask = tmp_path / "a.jpg", tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph).save(image, exif=exif)  # 4x6 as stored, 6x4 as seen
    Image.fromarray(np.zeros((6, 4), np.uint8)).save(mask)
    assert check_fit(image, mask) == ((6, 4), 6)
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(mask)
    with pytest.raises(DataError, match=r"4x6 pixels.* 6x4 once it is turned by its EXIF"):
        check_fit(image, mask)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(mask)
    with pytest.raises(DataError, match="4x5 pixels") as caught:
        check_fit(image, mask)
    assert "EXIF" not in str(caught.value)


def palette_of(values):
    image = Image.fromarray(values)
    image.putpalette([17 * channel % 256 for channel in range(768)])
    return image


FORMS = {
    "8 bit": Image.fromarray,
    "16 bit": lambda values: Image.fromarray(values.astype(np.uint16)),
    "32 bit": lambda values: Image.fromarray(values.astype(np.int32)),
    "palette": palette_of,
    "three channels alike": lambda values: Image.fromarray(np.stack([values] * 3, -1)),
    "opaque grey": lambda values: Image.fromarray(values).convert("LA"),
    "opaque RGB": lambda values: Image.fromarray(values).convert("RGBA"),
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_with_values(tmp_path, form):
    path = tmp_path / ("a.tif" if form == "32 bit" else "a.png")
    FORMS[form](VALUES).save(path)
    labels, values = read_mask(path, PLAIN)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, VALUES)
    assert np.array_equal(values, VALUES)


def test_a_mask_of_1_bit_has_two_classes(tmp_path):
    Image.fromarray(VALUES).point(lambda value: 255 * (value == 1)).convert("1").save(
        tmp_path / "a.png"
    )
    assert np.array_equal(read_mask(tmp_path / "a.png", PLAIN)[0], VALUES == 1)


@pytest.mark.parametrize("form", ["RGB", "RGBA", "P"])
def test_masks_with_colours(tmp_path, form):
    expected = np.array([[255, 0, 1], [1, 0, 255]], np.uint8)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    pixels = colours[(expected.astype(int) + 1) % 256]
    image = Image.fromarray(pixels)
    (image.quantize(3) if form == "P" else image.convert(form)).save(tmp_path / "a.png")
    labels, values = read_mask(tmp_path / "a.png", COLOURS)
    assert np.array_equal(labels, expected)
    assert values is None


def transparent(values):
    image = Image.fromarray(values).convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 254))
    return image


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (transparent(VALUES), PLAIN, "transparent"),
        (Image.fromarray(VALUES).convert("F"), PLAIN, "mode F"),
        (Image.new("RGB", (3, 2), (1, 2, 3)), PLAIN, "coloured.* palette"),
        (Image.fromarray(VALUES + 3), PLAIN, "value 3; allowed: 0 to 2, and 255"),
        (Image.new("I;16", (3, 2), 519), PLAIN, r"value 519.* label \* 256 \+ instance"),
        (Image.new("RGB", (3, 2), (1, 2, 3)), COLOURS, r"6 pixels of colours.* \[1, 2, 3\]"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path, image, labels, message):
    path = tmp_path / "a.tif"
    image.save(path)
    with pytest.raises(DataError, match=message) as caught:
        read_mask(path, labels)
    assert "a.tif" in str(caught.value)


@pytest.mark.parametrize("labels", [PLAIN, COLOURS])
def test_a_jpeg_under_another_name_is_no_mask(tmp_path, labels):
    path = tmp_path / "a.png"
    Image.fromarray(VALUES).save(path, format="JPEG")
    with pytest.raises(DataError, match="JPEG alters the labels"):
        read_mask(path, labels)
