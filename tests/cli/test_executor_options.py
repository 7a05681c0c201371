"""`bnnlab sweep --executor ...` from the outside: what cannot be had is one line and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STUDY = REPOSITORY / "studies" / "scaling_ablation.yaml"
SEARCH = REPOSITORY / "sweeps" / "growth_and_depth.yaml"


def bnnlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BNNLAB_PROJECT": str(folder), "PATH": str(folder)}
    command = [sys.executable, "-m", "bnnlab", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_no_slurm_here(tmp_path: Path) -> None:
    for spec in (STUDY, SEARCH):
        done = bnnlab(tmp_path, "sweep", str(spec), "--executor", "slurm")
        assert done.returncode == 2, done.stderr
        assert done.stderr.endswith(
            "no Slurm here: sbatch, srun, scancel not found; start the sweep on a login node\nnothing was started.\n"
        )
        assert "Traceback" not in done.stderr


def test_no_ray_cluster_there(tmp_path: Path) -> None:
    done = bnnlab(tmp_path, "sweep", str(STUDY), "--executor", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-2:] == [
        "no Ray cluster at 127.0.0.1:1: [Errno 111] Connection refused",
        "nothing was started.",
    ]


def test_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("slurm: {partition: gpu, time: -3}\n")
    done = bnnlab(tmp_path, "sweep", str(STUDY), "--executor", "slurm", "--executor-config", "cluster.yaml")
    assert done.returncode == 2
    assert done.stderr == (
        "cluster.yaml:1:31: slurm.time: must be minutes, H:MM:SS or D-HH:MM:SS, not '-3'\n"
        "  1 | slurm: {partition: gpu, time: -3}\n"
        "    |                               ^^\n"
        "1 mistake; nothing was started.\n"
    )


def test_an_option_of_another_executor(tmp_path: Path) -> None:
    done = bnnlab(tmp_path, "sweep", str(STUDY), "--address", "auto")
    assert (done.returncode, done.stderr) == (2, "--address is of --executor ray\nnothing was started.\n")
