"""docs/adding_an_estimator.md does what it says: its blocks, applied to a copy of the package, are enough."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

ABLATE = """
import json, sys
sys.path.insert(0, "tests_nn")
import torch
from ruamel.yaml import YAML
from implementations import SLOPES, implementation
from bnnlab.models.config import OPTIONS, build
from bnnlab.nn.contract import CONTRACT

for name, check in CONTRACT.items():
    if name != "compiled_is_eager":
        check(implementation("sine_sign", "popcount"))
axes = YAML(typ="safe").load(open("study.yaml"))["axes"]
for estimator in axes["model.binarization.estimator"]:
    config = OPTIONS["resnet_e18"].model_validate({"width": 16, "binarization": {"estimator": estimator}})
    network = build(config, image=(1, 8, 8), num_classes=3)
    network(torch.randn(2, 1, 8, 8)).sum().backward()
    print(network.get_submodule("stages.0.0.conv.sign_input").estimator)
print("sine_sign" in json.dumps(OPTIONS["resnet_e18"].model_json_schema()))
"""


def test_an_estimator_takes_one_function_one_line_and_one_value(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding_an_estimator.md").read_text()
    function, line, study, formula = re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL)
    shutil.copytree(ROOT / "bnnlab", tmp_path / "bnnlab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "nn", tmp_path / "tests_nn")
    (tmp_path / "bnnlab/nn/estimators/sine_sign.py").write_text(function)
    _insert(tmp_path / "bnnlab/nn/catalogue.py", "ESTIMATORS = {\n", line)
    _insert(tmp_path / "tests_nn/implementations.py", "Tensor]] = {\n", formula)
    (tmp_path / "study.yaml").write_text(study)
    (tmp_path / "ablate.py").write_text(ABLATE)

    done = subprocess.run([sys.executable, "ablate.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["ste", "sine_sign", "True"], done.stderr


def _insert(file: Path, after: str, line: str) -> None:
    text = file.read_text()
    assert after in text
    file.write_text(text.replace(after, after + line, 1))
