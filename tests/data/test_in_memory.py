"""The batches that a run sees: each image once, the same for the same seed, and augmented as named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnlab.data.batching import Shard, training_bounds
from bnnlab.data.config import Digits, Synthetic
from bnnlab.data.digits import digits
from bnnlab.data.loading import load


def everything(batches):
    """All images and labels of a pass, as two tensors."""
    pairs = list(batches)
    assert len(pairs) == len(batches)
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def as_multiset(images, labels):
    return sorted((int(y), x.numpy().tobytes()) for x, y in zip(images, labels, strict=True))


def numbered(count, **fields):
    """A data set whose images can be told apart: noise makes each one unique."""
    return Synthetic(name="synthetic", train=count, normalization="none", noise=2, **fields)


def loaded(config, *, evaluation="holdout", batch_size=64, seed=0, **rest):
    return load(config, evaluation=evaluation, batch_size=batch_size, seed=seed, **rest)


def test_the_configuration_and_its_shape_import_no_torch():
    code = "import sys, bnnlab.data.config; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_batches_are_float32_images_and_int64_labels():
    dataset = loaded(Digits(name="digits"), batch_size=100)
    images, labels = next(iter(dataset.train_batches(0)))
    assert (images.shape, images.dtype) == ((100, 1, 8, 8), torch.float32)
    assert (labels.shape, labels.dtype) == ((100,), torch.int64)
    assert (dataset.num_classes, dataset.image) == (10, (1, 8, 8))


@given(
    count=st.integers(4, 60),
    batch_size=st.integers(2, 70),
    world=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_each_image_is_seen_once_an_epoch_over_all_processes(count, batch_size, world, epoch):
    config = numbered(count, test=13)
    if min(count, batch_size) < 2 * world:
        with pytest.raises(ValueError, match="fewer than the 2 images that BatchNorm needs"):
            loaded(config, batch_size=batch_size, shard=Shard(0, world)).train_batches(epoch)
        return
    ranks = [loaded(config, batch_size=batch_size, shard=Shard(r, world)) for r in range(world)]
    passes = [rank.train_batches(epoch) for rank in ranks]
    assert len({len(p) for p in passes}) == 1, "a process without a batch would leave the others waiting"
    assert all(len(labels) >= 2 for p in passes for _, labels in p)
    images, labels = (torch.cat(parts) for parts in zip(*map(everything, passes), strict=True))
    whole = loaded(config, batch_size=count).train_batches(epoch)
    assert as_multiset(images, labels) == as_multiset(*everything(whole))
    tested = [everything(rank.test_batches()) for rank in ranks]
    assert sum(len(labels) for _, labels in tested) == 13


def test_processes_share_the_batches_of_a_single_process():
    config = numbered(64)
    alone = [images for images, _ in loaded(config, batch_size=16).train_batches(1)]
    first, second = (list(loaded(config, batch_size=16, shard=Shard(r, 2)).train_batches(1)) for r in range(2))
    for whole, (even, _), (odd, _) in zip(alone, first, second, strict=True):
        assert torch.equal(whole[0::2], even)
        assert torch.equal(whole[1::2], odd)


@pytest.mark.parametrize("evaluation", ["holdout", "paper"])
def test_same_seed_same_batches_and_another_seed_or_epoch_others(evaluation):
    config = Digits(name="digits", augmentation="shift2")
    first, again = (loaded(config, seed=3, evaluation=evaluation) for _ in range(2))
    torch.manual_seed(99)  # the global generator has no say
    for (x, y), (x2, y2) in zip(first.train_batches(4), again.train_batches(4), strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
    images, _ = everything(first.train_batches(4))
    assert not torch.equal(images, everything(first.train_batches(5))[0])
    assert not torch.equal(images, everything(loaded(config, seed=4, evaluation=evaluation).train_batches(4))[0])


def test_an_iteration_can_be_repeated():
    batches = loaded(Digits(name="digits")).train_batches(0)
    assert torch.equal(everything(batches)[0], everything(batches)[0])


def test_holdout_keeps_validation_and_test_apart_from_training():
    dataset = loaded(Digits(name="digits", augmentation="none", normalization="none"))
    for batches, part in (
        (dataset.train_batches(0), digits().train),
        (dataset.val_batches(), digits().validation),
        (dataset.test_batches(), digits().test),
    ):
        pixels, truth = part.images.pixels[part.chosen], part.images.labels[part.chosen]
        expected = as_multiset(torch.from_numpy(pixels).float(), torch.from_numpy(truth))
        assert as_multiset(*everything(batches)) == expected


def test_paper_trains_on_all_but_the_test_set_and_validates_on_it():
    dataset = loaded(Digits(name="digits", augmentation="none"), evaluation="paper")
    assert len(everything(dataset.train_batches(0))[1]) == 1257 + 180
    for validation, test in zip(dataset.val_batches(), dataset.test_batches(), strict=True):
        assert torch.equal(validation[0], test[0])


@pytest.mark.parametrize("normalization", ["none", "unit", "standard"])
def test_normalization_is_as_named(normalization):
    dataset = loaded(Digits(name="digits", normalization=normalization))
    pixels = torch.from_numpy(digits().test.images.pixels[digits().test.chosen]).double()
    expected = {
        "none": pixels,
        "unit": pixels / 255,
        "standard": (pixels / 255 - 0.3046) / 0.3758,
    }[normalization]
    torch.testing.assert_close(everything(dataset.test_batches())[0].double(), expected, rtol=0, atol=1e-6)


@given(level=st.sampled_from([1, 2]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_shift_moves_the_image_and_fills_with_black(level, seed):
    plain, moved = (loaded(numbered(24, augmentation=a), seed=seed, batch_size=24) for a in ("none", f"shift{level}"))
    originals, labels = everything(plain.train_batches(0))
    images, labels_moved = everything(moved.train_batches(0))
    assert torch.equal(labels, labels_moved)
    for original, image in zip(originals, images, strict=True):
        padded = np.pad(original.numpy(), ((0, 0), (level, level), (level, level)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, image.shape)[0]
        assert (windows == image.numpy()).all(axis=(-1, -2, -3)).any()


def test_every_shift_comes_up():
    images, _ = everything(loaded(numbered(512, augmentation="shift1")).train_batches(0))
    originals, _ = everything(loaded(numbered(512)).train_batches(0))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            shifted = torch.roll(originals, (dy, dx), (2, 3))[:, :, 1:-1, 1:-1]
            share = (shifted == images[:, :, 1:-1, 1:-1]).flatten(1).all(1).float().mean()
            assert share == pytest.approx(1 / 9, abs=0.05)


def test_a_single_image_left_over_joins_the_batch_before_it():
    assert training_bounds(9, 4) == [(0, 4), (4, 9)]
    assert training_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert training_bounds(11, 4, world=2) == [(0, 4), (4, 11)]


def test_synthetic_classes_are_separable_and_a_draw_is_an_instance():
    config = Synthetic(name="synthetic", classes=3, channels=3, image_size=12, normalization="unit")
    dataset = loaded(config)
    images, labels = everything(dataset.train_batches(0))
    assert dataset.image == (3, 12, 12)
    assert torch.bincount(labels).tolist() == [171, 171, 170]
    centres = torch.stack([images[labels == c].mean(0) for c in range(3)]).flatten(1)
    tested, truth = everything(dataset.test_batches())
    assert torch.equal(torch.cdist(tested.flatten(1), centres).argmin(1), truth)
    other = loaded(config.model_copy(update={"instance": 1}))
    assert not torch.equal(everything(other.test_batches())[0], tested)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("augmentation", ["none", "shift2"])
def test_a_gpu_gives_the_batches_of_a_cpu(augmentation):
    config = Digits(name="digits", augmentation=augmentation)
    for (x, y), (x2, y2) in zip(
        loaded(config).train_batches(1), loaded(config, device="cuda").train_batches(1), strict=True
    ):
        assert x2.is_cuda
        torch.testing.assert_close(x, x2.cpu())
        assert torch.equal(y, y2.cpu())
