"""Broken specs: `broken/NAME.yaml`, and in `broken/NAME.txt` all that a user is told about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bnnlab.sweep.mistakes import SpecError
from bnnlab.sweep.plan import read_plan

BROKEN = Path(__file__).parent / "broken"
VALID = """\
base:
  model: {name: resnet_e18, width: 16}
  data: {name: digits}
  training: {epochs: 2, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}
axes:
  model.downsampling: [fp, binary]
profiles: {small: {}, large: {base: {model: {width: 64}}}}
"""


@pytest.mark.parametrize("spec", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mistake_is_told_at_its_place(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(SpecError) as error:
        read_plan(Path(spec.name))
    assert f"{error.value}\n" == spec.with_suffix(".txt").read_text()


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(VALID)
    return Path("spec.yaml")


def told(path: Path, **options: object) -> str:
    with pytest.raises(SpecError) as error:
        read_plan(path, **options)  # type: ignore[arg-type]
    return str(error.value)


def test_a_missing_file_names_its_neighbours(spec: Path) -> None:
    assert told(Path("specs.yaml")) == "specs.yaml: no such file; beside it: spec.yaml"


def test_a_directory_is_not_a_spec(spec: Path) -> None:
    Path("studies").mkdir()
    assert told(Path("studies")) == "studies: is a directory; a spec is a YAML file"


def test_binary_garbage_names_the_first_byte_that_is_no_text(spec: Path) -> None:
    spec.write_bytes(b"name: x\nquestion: \xff\xfe\x00\x01")
    assert told(spec) == "spec.yaml:2:11: not UTF-8 text (byte 0xff)"


def test_a_control_character_is_not_yaml(spec: Path) -> None:
    spec.write_bytes(b"name: x\nquestion: \x00")
    assert told(spec).splitlines()[0] == "spec.yaml:2:11: character 0 is not allowed in YAML"


def test_a_huge_file_is_not_read(spec: Path) -> None:
    spec.write_text("# " + "x" * 10_000_001)
    assert told(spec) == "spec.yaml: larger than 10 MB; not a spec"


def test_aliases_cannot_unfold_without_end(spec: Path) -> None:
    spec.write_text("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    ))  # fmt: skip
    assert "too deep or too large to be a spec" in told(spec)


def test_an_unknown_profile_names_those_there_are(spec: Path) -> None:
    assert told(spec, profile="larg") == (
        "command line:1:11: unknown profile 'larg'\n"
        "  1 | --profile larg\n"
        "    |           ^^^^\n"
        "  allowed: small, large.  Did you mean 'large'?"
    )


@pytest.mark.parametrize(
    ("setting", "first_line"),
    [
        ("training.epochs", "command line:1:7: takes path=value, such as training.epochs=3"),
        ("epochs=3", "command line:1:7: unknown field 'epochs'"),
        ("seeds=[1]", "command line:1:7: seeds are chosen with --seeds N"),
        ("model.downsampling=fp", "command line:1:7: 'model.downsampling' is moved by axis 'downsampling'; edit the axis instead"),
        ("training.epochs=three", "command line:1:23: training.epochs: must be an integer, not 'three'"),
        ("training.epoch=3", "command line:1:7: training.epoch: unknown field 'epoch'"),
        ("training.optimizer={name: adam", "command line:1:26: training.optimizer: expected ',' or '}', but got '<stream end>' (while parsing a flow mapping)"),
    ],
)  # fmt: skip
def test_a_wrong_setting_points_into_the_command_line(spec: Path, setting: str, first_line: str) -> None:
    assert told(spec, settings=[setting]).splitlines()[0] == first_line


def test_no_seeds_are_no_study(spec: Path) -> None:
    assert told(spec, seeds=0).splitlines()[0] == "command line:1:9: must be at least 1, not 0"


def test_the_command_exits_with_2_shows_no_traceback_and_starts_nothing(spec: Path) -> None:
    spec.write_text(VALID.replace("epochs: 2", "epochs: two"))
    for command in ("sweep", "plan", "status"):
        done = subprocess.run(
            [sys.executable, "-m", "bnnlab", command, "spec.yaml"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "spec.yaml:4:22: training.epochs: must be an integer, not 'two'",
            "  4 |   training: {epochs: two, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}",
            "    |                      ^^^",
            "1 mistake; nothing was started.",
        ]
    assert sorted(path.name for path in spec.parent.resolve().iterdir()) == ["spec.yaml"]
