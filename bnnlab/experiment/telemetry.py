"""Flip ratio."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bnnlab.nn.layers import BinaryLayer


def snapshot_signs(module: nn.Module) -> dict[str, Tensor]:
    with torch.no_grad():
        return {n: m.weight >= 0 for n, m in module.named_modules() if isinstance(m, BinaryLayer)}


def flip_ratio(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float | None:
    total = sum(s.numel() for s in after.values())
    if not total:
        return None
    return sum(int((before[n] ^ s).sum()) for n, s in after.items()) / total
