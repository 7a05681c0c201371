"""The authors' augmentation levels: what they do to pixels, and what they never do."""

from __future__ import annotations

import colorsys
import math
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnlab.data.augmentation import Affine, Chain, Crop
from bnnlab.data.colour import (
    BrightnessContrastSaturation,
    HueSaturationLightness,
    PCANoise,
    hls_to_rgb,
    rgb_to_hls,
)
from bnnlab.data.config import CIFAR10
from bnnlab.data.loading import AUGMENTATIONS, COLOURS
from bnnlab.data.normalization import STATISTICS, Normalizer
from bnnlab.data.photos import AREA, ASPECT, centre, random_crop, random_part

MIDDLE = 0.5  # the uniform number that stands for no change in a symmetric range


def images(count=5, size=32, seed=0):
    return torch.randint(
        0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def uniform(count, draws, seed=0):
    return torch.rand(count, draws, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("level", [*AUGMENTATIONS, *COLOURS])
@given(count=st.integers(1, 6), size=st.integers(5, 20), seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_every_level_keeps_shape_and_range_and_treats_each_image_alone(level, count, size, seed):
    augmentation = (AUGMENTATIONS | COLOURS)[level]
    before, numbers = images(count, size, seed), uniform(count, augmentation.draws, seed)
    kept = before.clone()
    after = augmentation(before, numbers)
    assert after.shape == before.shape
    assert after.isfinite().all()
    assert after.min() >= 0
    assert after.max() <= 255
    assert torch.equal(before, kept), "the stored images are shared"
    one_by_one = [augmentation(before[i : i + 1], numbers[i : i + 1]) for i in range(count)]
    torch.testing.assert_close(after.float(), torch.cat(one_by_one).float(), rtol=0, atol=1e-3)


class TestCrop:
    def test_pixels_of_each_corner_and_of_the_mirror(self):
        before = images(4, 8)
        edge = 1 - 2**-10
        numbers = torch.tensor(
            [[0.0, 0.0, 0.0], [edge, edge, 0.0], [MIDDLE, MIDDLE, 0.0], [MIDDLE, MIDDLE, MIDDLE]]
        )
        after = Crop(padding=4, mirror=True)(before, numbers)
        padded = torch.nn.functional.pad(before, [4] * 4)
        assert torch.equal(after[0], padded[0, :, :8, :8])
        assert torch.equal(after[1], padded[1, :, 8:, 8:])
        assert torch.equal(after[2], before[2])
        assert torch.equal(after[3], before[3].flip(-1))

    def test_level_1_of_2018_only_mirrors(self):
        before = images(400, 4)
        after = AUGMENTATIONS["level1"](before, uniform(400, AUGMENTATIONS["level1"].draws))
        same = (after == before).flatten(1).all(1)
        mirrored = (after == before.flip(-1)).flatten(1).all(1)
        assert (same ^ mirrored).all()
        assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.1)


class TestAffine:
    def test_the_middle_of_each_range_changes_nothing(self):
        before = images(3, 9)
        after = Affine(degrees=10, shear=0.1, aspect=0.25)(before, torch.full((3, 3), MIDDLE))
        assert torch.equal(after, before.float())

    def test_a_quarter_turn(self):
        before = torch.zeros(1, 1, 8, 8)
        before[0, 0, 2, 5] = 200
        angle = 90  # the last of 181 whole degrees in [-90, 90]
        after = Affine(degrees=90, shear=0, aspect=0)(before, torch.tensor([[MIDDLE, 1 - 2**-10, MIDDLE]]))
        # MXNet: (x, y) goes to (x cos + y sin, -x sin + y cos) about the centre (4, 4).
        x, y = 5 - 4, 2 - 4
        sin, cos = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        target = round(-x * sin + y * cos + 4), round(x * cos + y * sin + 4)
        assert (after == 200).nonzero().tolist() == [[0, 0, *target]]

    def test_against_the_formula_of_mxnet_point_by_point(self):
        degrees, shear, aspect = 10, 0.1, 0.25
        numbers = torch.tensor([[0.9, 0.2, 0.7]])
        s, r = (2 * 0.9 - 1) * shear, 1 + (2 * 0.7 - 1) * aspect
        angle = math.radians(math.floor(0.2 * 21) - degrees)
        a, b = math.cos(angle), math.sin(angle)
        hs = 2 / (1 + r)
        ws = r * hs
        matrix = np.array([[hs * a - s * b * ws, hs * b + s * a * ws], [-b * ws, a * ws]])
        before = images(1, 16).float()
        after = Affine(degrees, shear, aspect)(before, numbers)[0].numpy()
        size, checked = 16, 0
        for y in range(size):
            for x in range(size):
                sx, sy = np.linalg.solve(matrix, np.array([x, y]) - size / 2) + size / 2
                x0, y0 = math.floor(sx), math.floor(sy)
                if not (0 <= x0 < size - 1 and 0 <= y0 < size - 1):
                    continue
                fx, fy = sx - x0, sy - y0
                corner = before[0, :, y0 : y0 + 2, x0 : x0 + 2].numpy()
                rows = corner[:, 0] * (1 - fy) + corner[:, 1] * fy
                assert np.abs(after[:, y, x] - (rows[:, 0] * (1 - fx) + rows[:, 1] * fx)).max() <= 0.51
                checked += 1
        assert checked > 100

    def test_what_comes_in_is_white(self):
        after = Affine(degrees=45, shear=0, aspect=0)(
            torch.zeros(1, 3, 16, 16), torch.tensor([[0.5, 0, 0.5]])
        )
        assert after[0, :, 0, 0].tolist() == [255] * 3
        assert after[0, :, 8, 8].tolist() == [0] * 3


class TestHueSaturationLightness:
    def test_the_middle_changes_nothing_but_rounding(self):
        before = images(20)
        after = HueSaturationLightness(36, 50, 50)(before, torch.full((20, 3), MIDDLE))
        assert float((after - before.float()).abs().mean()) < 2, "8-bit hue is coarse"

    @given(red=st.integers(0, 255), green=st.integers(0, 255), blue=st.integers(0, 255))
    @settings(max_examples=60, deadline=None)
    def test_hls_is_that_of_the_standard_library_in_8_bit_units(self, red, green, blue):
        pixel = torch.tensor([red, green, blue], dtype=torch.float32).view(1, 3, 1, 1)
        hue, lightness, saturation = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
        found = rgb_to_hls(pixel).flatten().tolist()
        assert found[0] % 180 == pytest.approx(hue * 180 % 180, abs=0.51)
        assert found[1] == pytest.approx(lightness * 255, abs=0.51)
        assert found[2] == pytest.approx(saturation * 255, abs=0.51)
        h, li, s = found
        back = np.array(colorsys.hls_to_rgb(h / 180, li / 255, s / 255)) * 255
        assert hls_to_rgb(torch.tensor(found).view(1, 3, 1, 1)).flatten().tolist() == pytest.approx(
            back.tolist(), abs=0.51
        )

    def test_lightness_moves_grey_by_the_offset(self):
        grey = torch.full((2, 3, 1, 1), 100.0)
        after = HueSaturationLightness(0, 0, 50)(grey, torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.75]]))
        assert after[:, 0, 0, 0].tolist() == [50, 125]

    def test_a_hue_stops_at_the_end_of_its_range(self):
        red = torch.tensor([255.0, 0, 0]).view(1, 3, 1, 1)
        after = HueSaturationLightness(36, 0, 0)(red, torch.tensor([[0.0, 0.5, 0.5]]))
        assert after.flatten().tolist() == pytest.approx([255, 0, 0], abs=1)  # a lightness of 127.5 is 128
        towards_yellow = HueSaturationLightness(30, 0, 0)(red, torch.tensor([[1.0, 0.5, 0.5]]))
        assert towards_yellow.flatten().tolist() == pytest.approx([255, 255, 0], abs=1)


class TestColoursOfImageNet:
    def test_brightness_contrast_and_saturation_by_hand(self):
        pixels = torch.tensor([[100.0, 50.0], [20.0, 60.0], [10.0, 90.0]]).view(1, 3, 1, 2)
        jitter = BrightnessContrastSaturation(0.4)
        luma = np.array([0.299, 0.587, 0.114])
        x = pixels.numpy()[0, :, 0]
        assert jitter(pixels, torch.tensor([[1.0, 0.5, 0.5]]))[0, :, 0].numpy() == pytest.approx(x * 1.4)
        mean = (luma @ x).mean()
        contrast = jitter(pixels, torch.tensor([[0.5, 0.0, 0.5]]))[0, :, 0].numpy()
        assert contrast == pytest.approx(mean + 0.6 * (x - mean), rel=1e-5)
        grey = luma @ x
        saturation = jitter(pixels, torch.tensor([[0.5, 0.5, 1.0]]))[0, :, 0].numpy()
        assert saturation == pytest.approx(np.clip(grey + 1.4 * (x - grey), 0, 255), rel=1e-5)

    def test_pca_noise_has_the_covariance_of_its_components(self):
        noise = PCANoise(0.1)
        grey = torch.full((20_000, 3, 1, 1), 128.0)
        shift = noise(grey, uniform(20_000, 3)).flatten(1) - 128
        vectors, values = np.array(noise.EIGENVECTORS), np.array(noise.EIGENVALUES) * 0.1
        assert np.cov(shift.T.numpy()) == pytest.approx((vectors * values**2) @ vectors.T, abs=0.6)


class TestPartsOfPhotographs:
    @given(width=st.integers(1, 900), height=st.integers(1, 900), seed=st.integers(0, 2**31))
    @settings(max_examples=200, deadline=None)
    def test_a_part_lies_in_the_image(self, width, height, seed):
        for box in (
            random_part(width, height, Random(seed)),
            random_crop(width, height, Random(seed), size=224, resize=256),
            centre(width, height, size=224, resize=256),
        ):
            assert -1e-9 <= box.left < box.right <= width + 1e-9
            assert -1e-9 <= box.top < box.bottom <= height + 1e-9

    def test_a_random_part_has_the_published_areas_and_ratios(self):
        random = Random(0)
        boxes = [random_part(500, 500, random) for _ in range(3000)]
        areas = np.array([(b.right - b.left) * (b.bottom - b.top) for b in boxes]) / 500**2
        ratios = np.array([(b.right - b.left) / (b.bottom - b.top) for b in boxes])
        assert areas.min() >= AREA[0] - 0.005
        assert areas.max() > 0.95
        assert ratios.min() >= ASPECT[0] - 0.02
        assert ratios.max() <= ASPECT[1] + 0.02
        assert np.log(ratios).mean() == pytest.approx(0, abs=0.02)

    def test_the_centre_after_a_resize(self):
        box = centre(512, 256, size=224, resize=256)
        assert (box.left, box.top, box.right, box.bottom) == (144, 16, 368, 240)


def test_a_chain_gives_each_step_numbers_of_its_own():
    chain = Chain((Crop(padding=2), HueSaturationLightness(36, 50, 50), Crop(padding=0, mirror=True)))
    before, numbers = images(6), uniform(6, chain.draws)
    assert chain.draws == 2 + 3 + 3
    by_hand = Crop(padding=2)(before, numbers[:, :2])
    by_hand = HueSaturationLightness(36, 50, 50)(by_hand, numbers[:, 2:5])
    assert torch.equal(chain(before, numbers), Crop(padding=0, mirror=True)(by_hand, numbers[:, 5:]))


def test_normalization_as_the_authors():
    mean, std = STATISTICS["cifar10"]
    before = images(2)
    after = Normalizer(CIFAR10(name="cifar10"))(before)
    expected = (before.double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(after.double(), expected, rtol=0, atol=2e-6)
    raw = Normalizer(CIFAR10(name="cifar10", normalization="none"))(before)
    assert torch.equal(raw, before.float())
