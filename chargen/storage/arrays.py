"""Arrays in safetensors files, which can hold no code, checked before they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from chargen.errors import ChargenError
from chargen.storage.schema import OtherVersion

Arrays = dict[str, npt.NDArray[Any]]  # by name


def parsed(path: Path, data: bytes) -> Arrays:
    """Returns the arrays in the bytes of a safetensors file; raises ChargenError for anything else."""
    try:
        return load(data)
    except Exception as error:  # bytes made to mislead the parser can raise anything
        raise ChargenError(f"{path} is damaged: {error}") from error


def check_arrays(path: Path, arrays: Arrays, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises ChargenError unless `arrays` are finite numbers of these names and shapes.

    For names that differ, it is an OtherVersion.
    """
    for name, shape in shapes.items():
        if name not in arrays:
            raise OtherVersion(f"{path.name} lacks {name}")
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f":
            raise ChargenError(
                f"{path} holds {name} as {array.dtype} {array.shape}, config.json asks for {shape}"
            )
        if not np.isfinite(array).all():
            raise ChargenError(f"{path} holds numbers in {name} that are not finite")
    if extra := sorted(arrays.keys() - shapes.keys()):
        raise OtherVersion(f"{path.name} holds {extra[0]}, which this version does not know")


def array_bytes(arrays: Arrays) -> bytes:
    """Returns the bytes of a safetensors file."""
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})
