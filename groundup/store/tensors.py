"""The header of a safetensors file, checked before any library maps the file or makes room for its tensors.

The format: 8 bytes, the header's length as a little-endian number; the header, a JSON object of name -> {dtype, shape,
data_offsets}, beside an optional "__metadata__" of strings; then the data, without gaps or overlaps
(https://huggingface.co/docs/safetensors, "Format").
"""

import math
import os
from pathlib import Path
from typing import Any

from groundup.store.files import LARGEST_JSON, Unreadable, open_regular, parse_json

BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
MOST_DIMENSIONS = 8


def check_tensors(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file whose header describes exactly the bytes that follow it.

    Raises Unreadable.
    """
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_JSON):
                raise Unreadable(f"has a header of {length:,} bytes in a file of {size:,}")
            header = parse_json(file.read(length))
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None
    if not isinstance(header, dict):
        raise Unreadable("has a header that is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Unreadable("has metadata that are not words")
    parts = sorted(_part(name, facts) for name, facts in header.items())
    end = 0
    for start, stop, name, _ in parts:
        if start != end:
            raise Unreadable(f"has {'an overlap' if start < end else 'a gap'} before tensor {name[:100]!r}")
        end = stop
    if end != size - 8 - length:
        raise Unreadable(f"has {size - 8 - length:,} bytes of data, and its header describes {end:,}")
    return {name: shape for _, _, name, shape in parts}


def _part(name: str, facts: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """(start, end, name, shape) of a tensor."""
    wrong = Unreadable(f"does not describe tensor {name[:100]!r} as the format asks")
    if not isinstance(facts, dict) or facts.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong
    shape, offsets, width = facts["shape"], facts["data_offsets"], facts["dtype"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(one) is int and 0 <= one < 1 << 63 for one in numbers):
            raise wrong
    if len(offsets) != 2 or len(shape) > MOST_DIMENSIONS or not isinstance(width, str) or width not in BYTES:
        raise wrong
    if offsets[1] - offsets[0] != BYTES[width] * math.prod(shape):
        raise Unreadable(f"gives tensor {name[:100]!r} other bytes than its shape and type take")
    return offsets[0], offsets[1], name, tuple(shape)
