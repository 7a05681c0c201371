"""A Slurm of one machine for tests: sbatch, srun, sacct and scancel, as $FAKE_SLURM_AS says.

Jobs are processes; what is known of them lies in files under $FAKE_SLURM, one folder a job:
`script`, `pid` once it runs, `exit` once it has ended, `state` where the test or scancel says what became of it. While
`$FAKE_SLURM/hold` is there, new jobs stay in the queue.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ["FAKE_SLURM"])


def sbatch(script: Path) -> None:
    refusal = HOME / "refuse"
    if refusal.exists():
        sys.exit(refusal.read_text())
    text = script.read_text()
    number = 1 + max((int(path.name.partition("_")[0]) for path in HOME.glob("[0-9]*")), default=0)
    array = re.search(r"^#SBATCH --array=0-(\d+)", text, re.MULTILINE)
    names = [f"{number}_{index}" for index in range(int(array[1]) + 1)] if array else [str(number)]
    for name in names:
        folder = HOME / name
        folder.mkdir()
        (folder / "script").write_text(text)
        words = [sys.executable, __file__, "run", name]
        with (folder / "out").open("w") as out:
            subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    say(f"Submitted batch job {number}")


def run(name: str) -> None:
    """What the daemon of the node does."""
    folder = HOME / name
    while (HOME / "hold").exists():
        if (folder / "state").exists() or not HOME.exists():
            return
        time.sleep(0.05)
    main, _, index = name.partition("_")
    ours = {"SLURM_JOB_ID": main, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0"}
    ours |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "node7"}
    if index:
        ours |= {"SLURM_ARRAY_JOB_ID": main, "SLURM_ARRAY_TASK_ID": index}
    process = subprocess.Popen(["bash", str(folder / "script")], env={**os.environ, **ours}, start_new_session=True)
    (folder / "pid").write_text(str(process.pid))
    code = process.wait()
    (folder / "exit").write_text(str(code))


def srun(words: list[str]) -> None:
    """Run a command with its output where --output says."""
    job = "_".join(filter(None, [os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_TASK_ID", "")]))
    output = "/dev/null"
    while words and words[0].startswith("--"):
        option = words.pop(0)
        if option == "--output":
            output = words.pop(0)
    path = output.replace("%A_%a", job).replace("%j", job).replace("%t", "0")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.execvp(words[0], words)


def sacct(words: list[str]) -> None:
    asked = {words[i + 1] for i, word in enumerate(words) if word == "-j"}
    say("JobID|State|NodeList")
    for folder in sorted(HOME.glob("[0-9]*")):
        if folder.name.partition("_")[0] in asked:
            say(f"{folder.name}|{state(folder)}|{'node7' if (folder / 'pid').exists() else 'None assigned'}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def state(folder: Path) -> str:
    if (folder / "state").exists():
        return (folder / "state").read_text()
    if (folder / "exit").exists():
        return "COMPLETED" if (folder / "exit").read_text() == "0" else "FAILED"
    return "RUNNING" if (folder / "pid").exists() else "PENDING"


def scancel(words: list[str]) -> None:
    for name in words:
        folder = HOME / name
        if state(folder) in ("PENDING", "RUNNING"):
            (folder / "state").write_text("CANCELLED by 1000")
            kill(folder)


def kill(folder: Path) -> None:
    if (folder / "pid").exists():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int((folder / "pid").read_text()), 9)


if __name__ == "__main__":
    called, given = os.environ["FAKE_SLURM_AS"], sys.argv[1:]
    if given[:1] == ["run"]:
        run(given[1])
    elif called == "sbatch":
        sbatch(Path(given[0]))
    elif called == "srun":
        srun(given)
    elif called == "sacct":
        sacct(given)
    else:
        scancel(given)
