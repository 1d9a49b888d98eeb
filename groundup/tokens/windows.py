"""The windows of one source: where each of them begins, and the tokens in it."""

from typing import Literal

import numpy as np

from groundup.store.files import digest
from groundup.tokens.shuffle import keys, shuffled

Cut = Literal["packed", "documents"]


class Windows:
    """Stretches of `context` + 1 tokens of one source, its shards one behind the other and the end joined to the start.

    packed: at distances of `context`, from a place that is drawn anew each epoch, so every token is read once an epoch.
    documents: each begins with a document, or goes on where the one before ended inside a document that is longer
    than a window. A document that a window cuts off begins the next one, so some tokens are read twice an epoch.
    """

    def __init__(
        self, name: str, shards: list[np.ndarray], documents: list[np.ndarray], context: int, seed: int, cut: Cut
    ) -> None:
        self.name, self.shards, self.context = name, shards, context
        self.key = int(digest([seed, name])[:16], 16)
        lengths = [len(shard) for shard in shards]
        self.ends = np.cumsum(lengths, dtype=np.int64)
        self.size = int(sum(lengths))
        self.count = max(0, self.size - 1) // context
        self.fixed: np.ndarray | None = None
        if cut == "documents" and self.count:
            bases = self.ends - lengths
            starts = [base + one["start"].astype(np.int64) for base, one in zip(bases, documents, strict=True)]
            self.fixed = document_windows(np.concatenate(starts), self.size, context)
            self.count = len(self.fixed)

    def starts(self, numbers: np.ndarray) -> np.ndarray:
        """(n,) where the windows of these numbers (n,) begin; they are counted through all epochs."""
        epochs, places = np.divmod(numbers, self.count)
        key = keys(self.key, epochs)
        chosen = shuffled(places, self.count, key)
        if self.fixed is not None:
            return self.fixed[chosen]
        shift = (key % np.uint64(self.size)).astype(np.int64)
        return (shift + chosen * self.context) % self.size

    def read(self, start: int, out: np.ndarray) -> None:
        """Fill `out` with the tokens from `start` on."""
        filled = 0
        while filled < len(out):
            shard = int(np.searchsorted(self.ends, start, side="right"))
            inside = start - (int(self.ends[shard - 1]) if shard else 0)
            part = self.shards[shard][inside : inside + len(out) - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            start = (start + len(part)) % self.size


def document_windows(starts: np.ndarray, size: int, context: int) -> np.ndarray:
    """(n,) where windows of `context` begin in a source of `size` tokens with documents from `starts` on, ascending."""
    begins = []
    begin = 0
    while True:
        begins.append(begin)
        end = begin + context
        if end >= size - 1:
            break
        cut_off = int(starts[np.searchsorted(starts, end, side="right") - 1])  # the document that `end` lies in
        begin = cut_off if cut_off > begin else end
    return np.array(begins, np.int64)
