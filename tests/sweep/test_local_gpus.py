"""GPUs for local runs: which there are, which run gets which, and what happens when one has too little memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import faults
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from little import Listener, little_runs, quick

from bnnlab.experiment.execution import Execution
from bnnlab.sweep.engine import Engine
from bnnlab.sweep.events import RunDied
from bnnlab.sweep.executor import NoExecutor
from bnnlab.sweep.executors import _groups
from bnnlab.sweep.gpus import listed, torch_has_cuda, visible_gpus
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.local import PRELOAD, LocalExecutor
from bnnlab.sweep.seats import Seats

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
  MIG 3g.20gb     Device  0: (UUID: MIG-1f2b8f0c-4f6a-5f1f-9d7a-7a0f4e0a3f11)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/2/0)
GPU 1: NVIDIA GeForce RTX 3090 (UUID: GPU-8a56a4bc-e184-a047-2620-be19fdf913d5)
"""


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("0,1", ("0", "1")),
        (" 2 , 0", ("2", "0")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1,-1,0", ("1",)),
        ("GPU-8a56a4bc-e184-a047-2620-be19fdf913d5,0", ("GPU-8a56a4bc-e184-a047-2620-be19fdf913d5", "0")),
        ("MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/2/0", ("MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/2/0",)),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_does(told: str, names: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": told}) == names


def test_a_sliced_gpu_is_its_slices() -> None:
    """The format of `nvidia-smi -L`, NVIDIA Multi-Instance GPU User Guide, "Device Enumeration"."""
    assert listed(LISTED) == (
        "MIG-1f2b8f0c-4f6a-5f1f-9d7a-7a0f4e0a3f11",
        "MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/2/0",
        "GPU-8a56a4bc-e184-a047-2620-be19fdf913d5",
    )


def test_the_driver_is_asked_where_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert visible_gpus({}) == listed(LISTED)


def test_the_driver_s_files_are_read_where_nvidia_smi_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minor, uuid in ((1, "GPU-bb"), (0, "GPU-aa"), (2, "GPU-cc")):
        card = tmp_path / "gpus" / f"0000:0{9 - minor}:00.0"
        card.mkdir(parents=True)
        facts = f"Model: \t\t NVIDIA A100\nGPU UUID: \t {uuid}\nBus Location: \t 0000:0{9 - minor}:00.0\nDevice Minor: \t {minor}\n"
        (card / "information").write_text(facts)
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidia1").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bnnlab.sweep.gpus.PROC", tmp_path / "gpus")
    monkeypatch.setattr("bnnlab.sweep.gpus.DEVICES", tmp_path)
    assert visible_gpus({}) == ("GPU-aa", "GPU-bb")


def test_torch_s_build_is_known_without_importing_it() -> None:
    import torch

    assert torch_has_cuda() is (torch.version.cuda is not None)


@settings(max_examples=50)
@given(
    devices=st.integers(1, 4),
    each=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["take", "leave", "lower"]), max_size=40),
)
def test_no_device_gets_more_runs_than_it_has_seats(devices: int, each: int, steps: list[str]) -> None:
    seats = Seats([str(i) for i in range(devices)], each)
    room = dict.fromkeys([str(i) for i in range(devices)], each)
    taken = []
    for step in steps:
        if step == "take" and len(taken) < seats.count:
            taken.append(seats.take())
            on_it = sum(seat.device == taken[-1].device for seat in taken)
            assert on_it <= room[taken[-1].device]
        elif step == "leave" and taken:
            seats.leave(taken.pop(0))
        elif step == "lower" and taken:
            seat = taken.pop(0)
            seats.leave(seat)
            words = seats.lower(seat)
            assert bool(words) is (seat.side_by_side > 1)
            if words:
                room[seat.device] = min(room[seat.device], seat.side_by_side - 1)
        assert seats.count == sum(room.values()) >= devices


def gpu_sweep(root: Path, count: int, *, slots: int | None = None, device: str = "auto") -> Listener:
    """Two made-up GPUs, up to two runs on each; workers write down what they see."""
    folders = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))
    listener = Listener()
    executor = LocalExecutor(slots, gpus=("GPU-a", "1"), runs_per_gpu=2, preload=(*PRELOAD, "faults"))
    try:
        outcome = Engine(Ledger(root), executor, Execution(device=device), [listener], quick()).run(little_runs(count))
    finally:
        executor.close()
    assert len(outcome.trained) == count
    return listener


def seen_in(root: Path, count: int) -> list[str]:
    return [
        json.loads((root / f"{run.run_key}.seen").read_text())["CUDA_VISIBLE_DEVICES"] for run in little_runs(count)
    ]


def test_runs_are_dealt_to_the_gpus_before_cuda_is_touched(tmp_path: Path) -> None:
    for run in little_runs(4):
        faults.ask_for(tmp_path / run.run_key, "look_around")
    gpu_sweep(tmp_path, 4)
    assert sorted(seen_in(tmp_path, 4)) == ["1", "1", "GPU-a", "GPU-a"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_gpu_without_memory_is_packed_less_and_the_other_as_before(tmp_path: Path) -> None:
    runs = little_runs(4)
    faults.ask_for(tmp_path / runs[0].run_key, "cuda_memory", times=2)
    listener = gpu_sweep(tmp_path, 4)
    died = [event.reason for event in listener.events if isinstance(event, RunDied)]
    assert "out of memory" in died[0]
    assert "from now on 1 side by side on GPU GPU-a" in died[0]
    # Where it is tried again is either that GPU, alone, or the other one, whose packing then goes down as well.
    assert len(died) == 2


def test_several_gpus_are_dealt_to_a_run_as_a_group() -> None:
    assert _groups(("a", "b", "c", "d", "e"), 2) == ("a,b", "c,d")
    assert _groups(("a", "b"), 1) == ("a", "b")
    with pytest.raises(NoExecutor, match="no 3 GPUs for --devices 3; these are to be had: a, b"):
        _groups(("a", "b"), 3)
