"""The examples of docs/claims.md are claims that can be written."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from bnnlab.paper.claims import Claim, check_claims
from bnnlab.paper.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"
AXES = {
    "variant": ("e1", "e2"),
    "scaling": ("none", "xnor"),
    "estimator": ("ste", "approx_sign"),
    "downsampling": ("binary", "fp"),
    "splitting": ("4x256", "8x128", "16x64"),
}


def test_every_claim_of_the_page_is_read_and_fits_its_axes():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    written = YAML(typ="safe").load(block)["claims"]
    claims = TypeAdapter(list[Claim]).validate_python(written)
    assert {claim.kind for claim in claims} == {"effect", "cells", "bound", "order"}
    assert check_claims(claims, AXES, METRICS) == []
