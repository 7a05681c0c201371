"""Images in large parquet files, read a row group at a time. Free of torch."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from bnnlab.data import parquet
from bnnlab.data.cache import Arrays, cached_arrays, listing_checksum
from bnnlab.data.encoded import PackedStrings
from bnnlab.data.splits import Indices, Labels

IMAGE_COLUMNS = ("image", "img", "jpg")
GROUPS_KEPT = 32
"""Row groups that a process keeps: those of two windows of shuffled images (about 11 MB each in ImageNet)."""


class ParquetImages:
    """Images in the order of their rows; a block is a row group, which has to be read as a whole."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        arrays = cached_arrays("parquet-index", listing_checksum(paths), lambda: _index(paths))
        self.labels: Labels = arrays["labels"]  # type: ignore[assignment]
        self.blocks: Indices = arrays["blocks"]  # type: ignore[assignment]
        self.names = PackedStrings(arrays["names"], arrays["ends"])  # type: ignore[arg-type]
        self._groups: Indices = arrays["groups"]  # type: ignore[assignment]
        self._starts: Indices = np.searchsorted(self.blocks, np.arange(len(self._groups)))
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()

    def read(self, index: int) -> bytes:
        block = int(self.blocks[index])
        if block not in self._kept:
            if len(self._kept) >= GROUPS_KEPT:
                self._kept.popitem(last=False)
            self._kept[block] = self._read_block(block)
        self._kept.move_to_end(block)
        return self._kept[block][index - int(self._starts[block])]

    def where(self, index: int) -> str:
        block = int(self.blocks[index])
        number, group = self._groups[block]
        row = index - int(self._starts[block])
        return f"{self._paths[number]}: row {row} of row group {group} ({self.names[index]})"

    def _read_block(self, block: int) -> list[bytes]:
        number, group = self._groups[block]
        path = self._paths[number]
        with parquet.open_parquet(path) as file:
            column = parquet.column_of(file, path, IMAGE_COLUMNS)
            return parquet.encoded(parquet.read_columns(file, path, [column], int(group)), column, path)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}


def _index(paths: list[Path]) -> Arrays:
    labels, blocks = [], []
    groups: list[tuple[int, int]] = []
    names: list[str] = []
    for number, path in enumerate(paths):
        with parquet.open_parquet(path) as file:
            column = parquet.column_of(file, path, IMAGE_COLUMNS)
            label = parquet.column_of(file, path, ("label",))
            table = parquet.read_columns(file, path, [f"{column}.path", label])
            labels.append(parquet.labels(table, label, path))
            names += _names(table, column, path)
            for group in range(file.num_row_groups):
                blocks.append(np.full(file.metadata.row_group(group).num_rows, len(groups), dtype=np.int64))
                groups.append((number, group))
    packed = PackedStrings.pack(names)
    return {
        "labels": np.concatenate(labels),
        "blocks": np.concatenate(blocks),
        "groups": np.array(groups, dtype=np.int64),
        "names": packed.text,
        "ends": packed.ends,
    }


def _names(table: Any, column: str, path: Path) -> list[str]:
    """The images' paths where the file has them, else their rows."""
    count = table.num_rows
    rows = [f"{path.name}:{row}" for row in range(count)]
    if column not in table.column_names:
        return rows
    values = table.column(column).combine_chunks().field("path").to_pylist()
    return [value or row for value, row in zip(values, rows, strict=True)]
