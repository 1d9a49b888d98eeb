"""Which text a batch was read from: for a person who wants to see what broke a step."""

from pathlib import Path
from typing import Any

import numpy as np

from groundup.tokens.pack import read_documents
from groundup.tokens.stream import Stream


def position(stream: Stream, directory: Path, step: int) -> dict[str, list[dict[str, Any]]]:
    """By source, each sequence of the whole global batch of a step: the token of the source that it begins with, and
    the first 64 bits, in hexadecimal, of the id of the document that this token is in."""
    source, starts = stream.everything().places(step)
    found: dict[str, list[dict[str, Any]]] = {}
    for index, windows in enumerate(stream.windows):
        mine = starts[source == index]
        if not len(mine):
            continue
        documents = read_documents(directory, windows.name, "train")
        ends = windows.ends
        rows = []
        for start in mine.tolist():
            shard = int(np.searchsorted(ends, start, side="right"))
            inside = start - (int(ends[shard - 1]) if shard else 0)
            row = int(np.searchsorted(documents[shard]["start"], inside, side="right")) - 1
            rows.append({"token": start, "document": f"{int(documents[shard]['id'][row]):016x}"})
        found[windows.name] = rows
    return found
