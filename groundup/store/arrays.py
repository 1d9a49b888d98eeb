"""Arrays on disk: one-dimensional .npy files, read as memory maps. Nothing is unpickled."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from groundup.store.files import Unreadable, open_regular

LONGEST_HEADER = 1000  # characters; save_array writes about 120


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file. np.save writes past Python's file object and loses the reason when the disk is full."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
        file.write(array.data)


def open_array(path: Path, kinds: Sequence[Any]) -> np.ndarray:
    """A file of `save_array`, (n,) of one of the dtypes `kinds`, as a memory map.

    The header is read with a bound, and must account for every byte of the file: np.load would believe it, and would
    take an archive or a pickle for an array as well. Raises Unreadable.
    """
    with open_regular(path) as file:
        try:
            if npy.read_magic(file) != (1, 0):
                raise ValueError("its format is not version 1.0")
            shape, _, dtype = npy.read_array_header_1_0(file, max_header_size=LONGEST_HEADER)
        except Exception as error:  # numpy reads the header with Python's own parser, which raises errors of many kinds
            raise Unreadable(f"is not an array: {' '.join(str(error).split())[:200]}") from None
        start, size = file.tell(), os.fstat(file.fileno()).st_size
    if dtype not in [np.dtype(kind) for kind in kinds] or dtype.hasobject:
        raise Unreadable(f"holds {str(dtype)[:100]}, not tokens or documents")
    if len(shape) != 1:
        raise Unreadable(f"has {len(shape)} dimensions, not one")
    if shape[0] < 0 or shape[0] * dtype.itemsize != size - start:  # in Python's numbers, which do not overflow
        raise Unreadable(f"has {size - start:,} bytes of data, which are not those that its header promises")
    if not shape[0]:
        return np.empty(0, dtype)  # a map of nothing cannot be made
    return np.memmap(path, dtype, "r", start, shape)
