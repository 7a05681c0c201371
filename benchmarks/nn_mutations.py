"""Ten deliberate errors in the numerics, each of which must make a test fail.

Each mutation edits a copy of the repository in a temporary folder and runs the tests of the layers and the
networks there. Exits 1 if one survives.

Example: python benchmarks/nn_mutations.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

NN = "bnnlab/nn"
RESNET_E = "bnnlab/models/resnet_e/network.py"
DENSENET = "bnnlab/models/binary_densenet/network.py"

MUTATIONS: dict[str, tuple[str, str, str]] = {  # file, text, replacement
    "sign(0) is -1": (f"{NN}/sign.py", ".add_(0.5)", ".sub_(0.5)"),
    "the window excludes its edge": (f"{NN}/estimators/ste.py", "abs() <= window", "abs() < window"),
    "padding by 0 for -1": (f"{NN}/layers.py", "padding > 0 and padding_value != 0", "False"),
    "a gradient flows through XNOR's scales": (f"{NN}/scaling/xnor.py", "@torch.no_grad()\n", ""),
    "BatchNorm momentum 0.9": (RESNET_E, "2d(out_channels)", "2d(out_channels, momentum=0.9)"),
    "reductions round half up": (
        DENSENET,
        "round(channels // reduction / 32)",
        "int(channels // reduction / 32 + 0.5)",
    ),
    "a transition pools after its convolution": (
        DENSENET,
        "*([max_pool()] if pool else []), nn.ReLU(), fp",
        "nn.ReLU(), fp, *([max_pool()] if pool else [])",
    ),
    "no BatchNorm in the shortcut": (RESNET_E, 'shortcut_norm=variant == "e1"', "shortcut_norm=False"),
    "latent weights clipped at twice the bound": (
        f"{NN}/latent.py",
        "clamp_(-clip,",
        "clamp_(-2 * clip, 2 *",
    ),
    "a bias in the binary convolution": (f"{NN}/layers.py", "self.scaled(y, x)", "self.scaled(y + 0.1, x)"),
}


def failures(name: str) -> list[str]:
    """The names of the tests that fail under a mutation."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs", "mlruns"))
        file, text, replacement = MUTATIONS[name]
        content = (copy / file).read_text()
        if text not in content:
            raise ValueError(f"mutation {name!r}: {file} has no {text!r}; the code has moved on")
        (copy / file).write_text(content.replace(text, replacement, 1))
        command = [sys.executable, "-m", "pytest", "tests/nn", "tests/models", "-q", "-m", "not slow"]
        run = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    return sorted(set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", run.stdout, re.MULTILINE)))


def main() -> None:
    """Print for each mutation the tests that notice it."""
    survivors = 0
    for name in MUTATIONS:
        noticed = failures(name)
        survivors += not noticed
        print(f"{name:44} {', '.join(noticed) or 'SURVIVES'}", flush=True)
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
