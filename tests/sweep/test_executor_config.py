"""Where runs are trained: the settings file, the options over it, and what is told before anything is started."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from bnnlab.experiment.execution import Execution
from bnnlab.sweep.executor import NoExecutor
from bnnlab.sweep.executor_config import (
    ExecutorConfig,
    LocalConfig,
    SlurmConfig,
    in_bytes,
    minutes,
    read_executor_config,
)
from bnnlab.sweep.executors import ExecutorChoice, open_local
from bnnlab.sweep.local import cores
from bnnlab.sweep.mistakes import SpecError

DOCUMENT = Path(__file__).parents[2] / "docs" / "clusters.md"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return path


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "slurm:\n"
        "  partitoin: gpu\n"
        "  memory: 32 gigabytes\n"
        "  time: tomorrow\n"
        "  cpus: 0\n"
        "  more: {array: 0-3}\n"
        "ray: {gpus: lots}\n",
    )
    with pytest.raises(SpecError) as caught:
        read_executor_config(path)
    told = [str(mistake).splitlines()[0].removeprefix(f"{path}:") for mistake in caught.value.mistakes]
    assert told == [
        "2:3: slurm.partitoin: unknown field 'partitoin'",
        "3:11: slurm.memory: must be a number and a unit (KB, MB, GB, TB), such as 32GB, not '32 gigabytes'",
        "4:9: slurm.time: must be minutes, H:MM:SS or D-HH:MM:SS, not 'tomorrow'",
        "5:9: slurm.cpus: must be at least 1, not 0",
        "6:9: slurm.more: bnnlab sets array itself",
        "7:13: ray.gpus: must be a number, not 'lots'",
    ]
    assert "Did you mean 'partition'?" in str(caught.value.mistakes[0])


@pytest.mark.parametrize(
    ("time", "expected"),
    [(90, 90), ("90", 90), ("1:30", 2), ("8:00:00", 480), ("1-12", 2160), ("1-12:30", 2190), ("2-00:30:01", 2911)],
)
def test_times_are_read_as_sbatch_reads_them(time: int | str, expected: int) -> None:
    """sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, ..."""
    assert minutes(time) == expected


def test_memory_is_in_binary_units() -> None:
    assert (in_bytes("2GB"), in_bytes("512MB")) == (2 * 2**30, 512 * 2**20)


def test_the_example_of_the_documentation_is_valid(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    assert blocks
    for block in blocks:
        read_executor_config(write(tmp_path, block))


def test_the_documentation_names_every_setting() -> None:
    text = DOCUMENT.read_text()
    for section, field in ExecutorConfig.model_fields.items():
        model: Any = field.annotation
        missing = [
            name for name in model.model_fields if f"`{name}`" not in text.split(f"### {section}")[1].split("\n#")[0]
        ]
        assert not missing, section


def test_options_go_before_the_file() -> None:
    config = ExecutorConfig.model_validate({"ray": {"address": "head:6379", "workers": 3, "gpus": 0.5}})
    ray = ExecutorChoice.of("ray", config, workers=7, address="auto").config.ray
    assert (ray.address, ray.workers, ray.gpus) == ("auto", 7, 0.5)
    assert ExecutorChoice.of("ray", config).config == config


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("local", {"address": "auto"}, "--address is of --executor ray"),
        ("slurm", {"runs_per_gpu": 2}, "--runs-per-gpu is of --executor local"),
        ("ray", {"runs_per_gpu": 2}, "`ray: {gpus: 0.25}` in --executor-config puts four runs on a GPU"),
    ],
)
def test_an_option_of_another_executor_is_a_mistake(name: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(NoExecutor) as caught:
        ExecutorChoice.of(name, ExecutorConfig(), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "library"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: Any, library: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None)
    with pytest.raises(NoExecutor) as caught:
        ExecutorChoice(name).require()
    assert str(caught.value) == f"--executor {name} needs {library}:  pip install 'bnnlab[{name}]'"


GPUS = "a run has {} GPUs by `slurm: {{gpus: {}}}` in --executor-config and trains on {} by --devices: the two must be alike"


@pytest.mark.parametrize(
    ("gpus", "execution", "words"),
    [
        (0, {"device": "cuda"}, "--device cuda needs GPUs for each run: `slurm: {gpus: 1}` in --executor-config"),
        (0, {"device": "cuda", "devices": 2}, "--device cuda needs GPUs for each run: `slurm: {gpus: 2}` in --executor-config"),
        (1, {"device": "cuda:1"}, "--device cuda:1 is of --executor local; with slurm a run sees only its own GPU"),
        (2, {"devices": 4}, GPUS.format(2, 2, 4)),
        (2, {"device": "cuda"}, GPUS.format(2, 2, 1)),
    ],
)  # fmt: skip
def test_a_device_that_no_job_would_have(tmp_path: Path, gpus: int, execution: dict[str, Any], words: str) -> None:
    config = ExecutorConfig(slurm=SlurmConfig(gpus=gpus))
    with pytest.raises(NoExecutor) as caught:
        ExecutorChoice("slurm", config).open(tmp_path, Execution(**execution))
    assert str(caught.value) == words


# -- GPUs of this machine --------------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,5")
    monkeypatch.setattr("bnnlab.sweep.executors.torch_has_cuda", lambda: True)


@pytest.mark.parametrize(
    ("device", "config", "slots"),
    [
        ("auto", {}, 3),
        ("auto", {"runs_per_gpu": 4}, 12),
        ("auto", {"runs_per_gpu": 4, "workers": 5}, 5),
        ("cuda:1", {"runs_per_gpu": 2}, 2),
        ("cuda", {"gpus": (0, "GPU-b")}, 2),
        ("cuda", {"gpus": ("GPU-b",), "runs_per_gpu": 3}, 3),
        ("cpu", {"runs_per_gpu": 4}, None),
        ("auto", {"gpus": ()}, None),
    ],
)
def test_slots_are_what_the_gpus_take(gpus: None, device: str, config: dict[str, Any], slots: int | None) -> None:
    executor = open_local(LocalConfig.model_validate(config), Execution(device=device))
    executor.close()
    assert executor.slots == (slots or cores())


@pytest.mark.parametrize(
    ("device", "config", "words"),
    [
        ("cuda:3", {}, "no GPU 3 for --device cuda:3; visible: GPU-a, GPU-b, 5"),
        ("auto", {"gpus": (1, 7)}, "no GPU 7 here; visible: GPU-a, GPU-b, 5"),
    ],
)
def test_a_gpu_that_is_not_here(gpus: None, device: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(NoExecutor) as caught:
        open_local(LocalConfig.model_validate(config), Execution(device=device))
    assert str(caught.value) == words


def test_runs_with_several_threads_leave_each_other_their_cores() -> None:
    executor = open_local(LocalConfig(), Execution(device="cpu", threads=cores()))
    executor.close()
    assert executor.slots == 1
