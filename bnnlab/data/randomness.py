"""Where randomness comes from: a generator for each purpose, and never the global one."""

from __future__ import annotations

import hashlib

import torch


def generator(*purpose: int | str) -> torch.Generator:
    """A CPU generator whose stream is a pure function of `purpose`, say `(seed, epoch, "order")`.

    Hashed rather than added, so that the streams of seed 1, epoch 0 and seed 0, epoch 1 have nothing in
    common.
    """
    return torch.Generator().manual_seed(stable_seed(*purpose))


def stable_seed(*purpose: int | str) -> int:
    """A 63-bit seed that is the same in every process and on every machine."""
    digest = hashlib.blake2b(repr(purpose).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
