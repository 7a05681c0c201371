"""Images that are decoded in worker processes: each once an epoch, the same for any number of workers."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time

import pytest
import torch
from data_files import ShadeImages, number_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnlab.data.augmentation import Chain
from bnnlab.data.batching import Shard
from bnnlab.data.colour import BrightnessContrastSaturation
from bnnlab.data.config import Folder
from bnnlab.data.errors import DataDamaged
from bnnlab.data.splits import Splits, Subset, whole
from bnnlab.data.streaming import WINDOW, StreamedDataset, shuffled

CONFIG = Folder(
    name="folder",
    fingerprint="0" * 16,
    classes=2,
    image_size=8,
    resize=8,
    normalization="none",
    augmentation="none",
)


def streamed(images, *, test=None, augmentation="none", max_damaged=0.0, batch_size=8, **rest):
    config = CONFIG.model_copy(update={"augmentation": augmentation, "max_damaged": max_damaged})
    test = test or ShadeImages(3)
    train, validation = Subset(images, whole(images).chosen[2:]), Subset(images, whole(images).chosen[:2])
    return StreamedDataset(
        config,
        Splits(train, validation, whole(test)),
        batch_size=batch_size,
        **{"colour": Chain(), "seed": 0, **rest},
    )


def numbers(batches):
    """The images' numbers, batch by batch; labels must be theirs."""
    found = []
    for images, labels in batches:
        found.append([number_of(image) for image in images])
        assert labels.tolist() == [number % 2 for number in found[-1]]
    assert len(found) == len(batches)
    return found


@given(
    count=st.integers(6, 40),
    batch_size=st.integers(2, 30),
    world=st.integers(1, 4),
    block_size=st.sampled_from([None, 1, 5, 64]),
    epoch=st.integers(0, 2),
)
@settings(max_examples=30, deadline=None)
def test_each_image_is_seen_once_an_epoch_over_all_processes(count, batch_size, world, block_size, epoch):
    images = ShadeImages(count, block_size=block_size)
    shards = [Shard(rank, world) for rank in range(world)]
    if min(batch_size, count - 2) < 2 * world:
        with pytest.raises(ValueError, match="fewer than the 2 images that BatchNorm needs"):
            streamed(images, batch_size=batch_size, shard=shards[0]).train_batches(epoch)
        return
    ranks = [streamed(images, batch_size=batch_size, shard=shard) for shard in shards]
    trained = [numbers(rank.train_batches(epoch)) for rank in ranks]
    assert len({len(batches) for batches in trained}) == 1
    assert sorted(n for batches in trained for batch in batches for n in batch) == list(range(2, count))
    for part, expected in (("val_batches", [0, 1]), ("test_batches", [0, 1, 2])):
        seen = [n for rank in ranks for batch in numbers(getattr(rank, part)()) for n in batch]
        assert sorted(seen) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with few cores
@given(
    count=st.integers(8, 30),
    batch_size=st.integers(4, 12),
    world=st.integers(1, 2),
    workers=st.integers(1, 3),
)
@settings(max_examples=4, deadline=None)
def test_workers_change_neither_batches_nor_their_order(count, batch_size, world, workers):
    images = ShadeImages(count)
    for rank in range(world):
        runs = [
            streamed(
                images,
                augmentation="medium",
                colour=Chain((BrightnessContrastSaturation(0.4),)),
                batch_size=batch_size,
                workers=w,
                shard=Shard(rank, world),
            )
            for w in (0, workers)
        ]
        for epoch in (1, 2):
            alone, shared = (list(run.train_batches(epoch)) for run in runs)
            assert len(alone) == len(shared)
            for (x, y), (x2, y2) in zip(alone, shared, strict=True):
                assert torch.equal(x, x2)
                assert torch.equal(y, y2)
        assert numbers(runs[0].test_batches()) == numbers(runs[1].test_batches())


@pytest.mark.slow
def test_decoding_processes_end_with_the_process_that_trains_however_that_ends():
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    trainer = context.Process(target=train_and_tell, args=(theirs,))
    trainer.start()
    workers = ours.recv()
    assert len(workers) == 2
    trainer.kill()
    trainer.join()
    for pid in workers:
        wait_until_gone(pid)


def train_and_tell(connection):
    """Runs in a process of its own."""
    batches = iter(streamed(ShadeImages(30), workers=2).train_batches(0))
    next(batches)
    connection.send([process.pid for process in multiprocessing.active_children()])
    time.sleep(600)


def wait_until_gone(pid):
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("a decoding process outlives the process that it works for")


def test_a_validation_in_the_middle_of_an_epoch_does_not_end_it():
    data = streamed(ShadeImages(30))
    whole_epoch = numbers(data.train_batches(0))
    interrupted = []
    for images, _ in data.train_batches(0):
        interrupted.append([number_of(image) for image in images])
        assert numbers(data.val_batches()) == [[0, 1]]
    assert interrupted == whole_epoch


def test_a_run_that_stopped_goes_on_with_the_same_epoch():
    images = ShadeImages(30)
    through = streamed(images, augmentation="high", colour=Chain((BrightnessContrastSaturation(0.4),)))
    for epoch in range(3):
        last = list(through.train_batches(epoch))
    again = streamed(images, augmentation="high", colour=Chain((BrightnessContrastSaturation(0.4),)))
    for (x, y), (x2, y2) in zip(last, again.train_batches(2), strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)


def test_epochs_and_seeds_differ_in_order():
    images = ShadeImages(30)
    orders = [numbers(streamed(images, seed=s).train_batches(e)) for s, e in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_every_other_image_is_mirrored_and_labels_stay():
    images = ShadeImages(12)
    for level in ("low", "medium", "high"):
        numbers(streamed(images, augmentation=level).train_batches(0))


class TestDamagedImages:
    def test_they_are_counted_reported_and_replaced_in_training(self, caplog):
        images = ShadeImages(22, damaged=[5, 9])
        data = streamed(images, max_damaged=0.1, batch_size=10)
        with caplog.at_level(logging.WARNING):
            batches = numbers(data.train_batches(0))
        assert [len(batch) for batch in batches] == [10, 10], "other processes count on the size"
        assert {n for batch in batches for n in batch} == set(range(2, 22)) - {5, 9}
        assert sorted(data.damaged["train"]) == ["image 5", "image 9"]
        assert "image 5: not a whole image" in caplog.text

    def test_they_are_reported_once_over_many_epochs(self):
        data = streamed(ShadeImages(22, damaged=[5, 9]), max_damaged=0.1)
        for epoch in range(4):
            numbers(data.train_batches(epoch))
        assert len(data.damaged["train"]) == 2

    def test_they_are_left_out_of_an_evaluation(self):
        data = streamed(ShadeImages(10), test=ShadeImages(11, damaged=[3]), max_damaged=0.1, batch_size=4)
        assert numbers(data.test_batches()) == [[0, 1, 2], [4, 5, 6, 7], [8, 9, 10]]

    def test_more_than_the_named_share_fails_the_run(self):
        data = streamed(ShadeImages(22, damaged=[5, 9, 11]), max_damaged=0.1, batch_size=20)
        with pytest.raises(DataDamaged) as error:
            numbers(data.train_batches(0))
        lines = str(error.value).splitlines()
        assert lines[0] == "3 of 20 images cannot be decoded; data.max_damaged 0.1 allows 2:"
        assert sorted(line.split(":")[0] for line in lines[1:]) == ["  image 11", "  image 5", "  image 9"]

    def test_a_batch_without_any_whole_image_fails_the_run(self):
        data = streamed(ShadeImages(6, damaged=range(6)), max_damaged=1.0, batch_size=2)
        with pytest.raises(DataDamaged, match="no image of a batch can be decoded: image"):
            numbers(data.train_batches(0))


@given(count=st.integers(1, 6000), block_size=st.integers(1, 700), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_shuffling_in_blocks_needs_few_blocks_at_a_time(count, block_size, seed):
    images = ShadeImages(count, block_size=block_size)
    order = shuffled(whole(images), torch.Generator().manual_seed(seed))
    assert sorted(order) == list(range(count))
    blocks_of_windows = WINDOW // block_size + 2
    for start in range(0, count, 256):
        batch = order[start : start + 256]
        assert len(set(batch // block_size)) <= 2 * blocks_of_windows


def test_shuffling_in_blocks_mixes_within_and_between_blocks():
    order = shuffled(whole(ShadeImages(5000, block_size=100)), torch.Generator().manual_seed(0))
    first = order[:256]
    assert len(set(first // 100)) > 15
    assert first.max() > 4000
    assert first.min() < 1000
