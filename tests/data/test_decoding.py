"""Images of every kind that turns up in public data sets, to the pixels that a person would see."""

from __future__ import annotations

import io

import numpy as np
import pytest
from data_files import jpeg, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bnnlab.data.decoding import Box, DecodingError, decode, decode_part


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def halves():
    """Left half red, right half blue, 20 wide and 10 high."""
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10, 0] = pixels[:, 10:, 2] = 255
    return Image.fromarray(pixels)


RED, BLUE, WHITE = [255, 0, 0], [0, 0, 255], [255, 255, 255]


def test_rgb_is_kept_to_the_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 7, 9), dtype=np.uint8)
    assert np.array_equal(decode(png(pixels), 3), pixels)


def test_grey_becomes_three_equal_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 7, 9), dtype=np.uint8)
    assert np.array_equal(decode(png(pixels), 3), np.repeat(pixels, 3, 0))
    assert np.array_equal(decode(png(pixels), 1), pixels)


def test_cmyk():
    array = decode(saved(halves().convert("CMYK"), "JPEG", quality=100, subsampling=0), 3)
    assert array.shape == (3, 10, 20)
    assert np.abs(array[:, 5, 2].astype(int) - RED).max() < 30
    assert np.abs(array[:, 5, 17].astype(int) - BLUE).max() < 30


def test_a_palette():
    array = decode(saved(halves().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), 3)
    assert array[:, 5, 2].tolist() == RED
    assert array[:, 5, 17].tolist() == BLUE


@pytest.mark.parametrize("how", ["alpha", "palette"])
def test_transparent_parts_are_white(how):
    if how == "alpha":
        image = halves().convert("RGBA")
        image.putalpha(Image.fromarray(np.repeat([[255] * 10 + [0] * 10], 10, 0).astype(np.uint8)))
        encoded = saved(image, "PNG")
    else:
        image = halves().convert("P", palette=Image.Palette.ADAPTIVE)
        blue = image.getpixel((15, 5))
        encoded = saved(image, "PNG", transparency=bytes(0 if i == blue else 255 for i in range(256)))
    array = decode(encoded, 3)
    assert array[:, 5, 2].tolist() == RED
    assert array[:, 5, 17].tolist() == WHITE


def test_sixteen_bits_are_scaled_and_not_cut():
    values = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    assert decode(saved(Image.fromarray(values), "PNG"), 1).tolist() == [[[0, 0, 1, 128, 255]]]


def test_one_bit():
    image = halves().convert("1", dither=Image.Dither.NONE)
    assert set(np.unique(decode(saved(image, "PNG"), 3))) <= {0, 255}


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    array = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), 3)
    assert array[:, 0, 0].tolist() == RED


@pytest.mark.parametrize(("orientation", "corner"), [(1, RED), (2, BLUE), (3, BLUE), (6, RED), (8, BLUE)])
def test_exif_orientation_is_applied(orientation, corner):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = saved(halves(), "PNG", exif=exif)
    array = decode(encoded, 3)
    assert array.shape == ((3, 20, 10) if orientation >= 5 else (3, 10, 20))
    assert array[:, 0, 0].tolist() == corner
    whole = decode_part(encoded, 3, lambda width, height: Box(0, 0, width, height), 10)
    assert np.abs(whole[:, 0, 0].astype(int) - corner).max() < 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda encoded: encoded[:-200],
        lambda encoded: encoded[:10],
        lambda encoded: b"",
        lambda encoded: b"<html>404</html>",
        lambda encoded: encoded[:200] + bytes(600) + encoded[800:],
    ],
    ids=["cut short", "only a header", "empty", "a web page", "zeros inside"],
)
def test_damaged_images_are_an_error_and_nothing_else(damage):
    encoded = png(np.random.default_rng(0).integers(0, 256, (3, 40, 40), dtype=np.uint8))
    with pytest.raises(DecodingError, match=r"^not a whole image"):
        decode(damage(encoded), 3)


def test_a_jpeg_that_was_cut_short():
    with pytest.raises(DecodingError, match="truncated"):
        decode_part(jpeg(300, 200)[:-400], 3, lambda width, height: Box(0, 0, 200, 200), 64)


@given(left=st.integers(0, 60), top=st.integers(0, 40), side=st.integers(8, 60), size=st.integers(8, 40))
@settings(max_examples=25, deadline=None)
def test_a_part_is_the_part_of_the_whole_image(left, top, side, size):
    encoded = png(np.random.default_rng(3).integers(0, 256, (3, 110, 130), dtype=np.uint8))
    part = decode_part(encoded, 3, lambda w, h: Box(left, top, left + side, top + side), size)
    whole = Image.fromarray(decode(encoded, 3).transpose(1, 2, 0))
    expected = whole.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    difference = np.abs(part.astype(int) - np.asarray(expected).transpose(2, 0, 1))
    assert difference.max() <= 4, "Pillow rounds between its two passes"
    assert difference.mean() < 0.5


def test_a_large_jpeg_is_decoded_at_less_than_its_size_with_nearly_the_same_result():
    encoded = jpeg(2400, 1800, quality=90)
    sizes = []

    def choose(width, height):
        sizes.append((width, height))
        return Box(300, 0, 2100, 1800)

    part = decode_part(encoded, 3, choose, 224)
    whole = Image.fromarray(decode(encoded, 3).transpose(1, 2, 0))
    exact = np.asarray(whole.resize((224, 224), Image.Resampling.BILINEAR, box=(300, 0, 2100, 1800)))
    assert sizes == [(2400, 1800)]
    assert np.abs(part.astype(int) - exact.transpose(2, 0, 1)).mean() < 0.5


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_with_and_without_simplejpeg_pixels_are_the_same(options, monkeypatch):
    pytest.importorskip("simplejpeg")
    encoded = jpeg(75, 50, seed=4, **options)
    fast = decode(encoded, 3)
    monkeypatch.setattr("bnnlab.data.decoding._simplejpeg", lambda: None)
    assert np.array_equal(decode(encoded, 3), fast)
