"""Arrays out of pickles that nobody vouches for.

`pickle` runs whatever a file asks for. Here a file may ask for a uint8 array and nothing else, and gets a
stand-in that only holds what follows; none of numpy's own code runs on it.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from bnnlab.data.errors import DataDamaged


def load_arrays(raw: bytes, where: str) -> dict[str, Any]:
    """A pickled dict of uint8 arrays, lists, strings and numbers, as Python 2 or 3 wrote it.

    Raises: DataDamaged where it is cut short, or asks for anything else.
    """
    try:
        content = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__}, not a dict")
        return {_text(key): _array(value) for key, value in content.items()}
    except _Refused as refused:
        raise DataDamaged(
            f"{where}: the pickle asks for {refused}, which a data file has no use for. It was not run;"
            " do not open this file with anything else"
        ) from None
    except Exception as error:  # a damaged pickle makes pickle raise nearly anything
        raise DataDamaged(f"{where}: not a whole pickle of arrays ({error}). Fetch it again") from error


class _Refused(Exception):
    pass


class _Array:
    """Stands in for a numpy array."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _Dtype:
    """Stands in for a numpy dtype."""

    def __init__(self, code: bytes | str = "", *_: object) -> None:
        self.code = _text(code)

    def __setstate__(self, state: object) -> None:
        pass


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str = "") -> bytes:
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    ALLOWED: dict[tuple[str, str], Any] = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,  # how Python 3 writes bytes at protocol 2
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def _text(value: object) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _array(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    _, shape, dtype, fortran, data = value.state
    if not isinstance(dtype, _Dtype) or dtype.code != "u1" or math.prod(shape) != len(data):
        raise ValueError("an array that is not of bytes, or not of its shape")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
