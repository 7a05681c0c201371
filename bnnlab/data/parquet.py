"""Encoded images in parquet files, as the Hugging Face hub stores them: a struct of bytes and path, and a
label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bnnlab.data.errors import DataDamaged, DataError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile


def open_parquet(path: Path) -> ParquetFile:
    """Raises: DataDamaged where it is not a whole parquet file, DataError where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"{path}: parquet files need pyarrow: pip install 'bnnlab[datasets]'") from error
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataDamaged(f"{path}: not a whole parquet file ({error}). Fetch it again") from error


def column_of(file: ParquetFile, path: Path, names: tuple[str, ...]) -> str:
    """The first of these columns that the file has."""
    present = file.schema_arrow.names
    for name in names:
        if name in present:
            return name
    raise DataDamaged(f"{path}: has the columns {', '.join(present)}, and none called {' or '.join(names)}")


def read_images(path: Path, image: tuple[str, ...], label: str) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """All encoded images of a small file and their labels.

    Raises: DataDamaged where a page is damaged or a column is not what the public data sets have.
    """
    file = open_parquet(path)
    image_column, label_column = column_of(file, path, image), column_of(file, path, (label,))
    table = read_columns(file, path, [image_column, label_column])
    return encoded(table, image_column, path), labels(table, label_column, path)


def read_columns(file: ParquetFile, path: Path, columns: list[str], row_group: int | None = None) -> Any:
    """A table of these columns: of one row group, or of all."""
    import pyarrow as pa

    try:
        if row_group is not None:
            return file.read_row_group(row_group, columns=columns, use_threads=False)
        return file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataDamaged(f"{path}: a page is damaged ({error}). Fetch it again") from error


def encoded(table: Any, column: str, path: Path) -> list[bytes]:
    """The bytes of a column of images: structs with a field `bytes`, or plain binary."""
    import pyarrow as pa

    values = table.column(column).combine_chunks()
    if pa.types.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        values = values.field("bytes")
    if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)) or values.null_count:
        raise DataDamaged(f"{path}: column {column} does not hold encoded images, but {values.type}")
    return values.to_pylist()  # type: ignore[no-any-return]


def labels(table: Any, column: str, path: Path) -> npt.NDArray[np.int64]:
    """A column of class numbers."""
    import pyarrow as pa

    values = table.column(column).combine_chunks()
    if not pa.types.is_integer(values.type) or values.null_count:
        raise DataDamaged(f"{path}: column {column} does not hold class numbers, but {values.type}")
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.int64)


def decode_small(image: bytes, shape: tuple[int, int, int], where: str) -> npt.NDArray[np.uint8]:
    """One encoded image of a known size, as (C, H, W).

    Raises: DataDamaged where it cannot be decoded or has another size.
    """
    from bnnlab.data.decoding import DecodingError, decode

    try:
        array = decode(image, channels=shape[0])
    except DecodingError as error:
        raise DataDamaged(f"{where}: {error}") from error
    if array.shape != shape:
        size = f"{array.shape[2]}x{array.shape[1]}"
        raise DataDamaged(f"{where}: an image of {size} pixels, not {shape[2]}x{shape[1]}")
    return array
