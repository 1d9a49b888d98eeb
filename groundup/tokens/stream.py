"""The stream of training batches: a pure function of (seed, shards, mix, context, tokens per update, step).

Nothing is carried from one batch to the next, so a resumed run needs the step alone, and micro-batches, feeds, workers
and processes cannot change what the model sees.
"""

import copy
from pathlib import Path

import numpy as np

from groundup.errors import GroundupError
from groundup.tokens.mix import assign, ladder
from groundup.tokens.pack import read_documents, read_shards
from groundup.tokens.windows import Cut, Windows


class Stream:
    """Global batches by step, or the part of them that one of several processes trains on.

    Sources are taken by name, so the order in which a recipe lists them changes nothing. Process `rank` of `world` has
    every `world`-th sequence. Raises GroundupError `text-too-short` when a source with a share has less than one
    window, `recipe-conflict` when the processes cannot share a batch evenly.
    """

    def __init__(
        self,
        directory: Path,
        share: dict[str, float],
        context: int,
        tokens_per_update: int,
        seed: int,
        cut: Cut = "packed",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.context, self.global_sequences = context, tokens_per_update // context
        self.rank, self.world = rank, world
        if self.global_sequences % world:
            what = f"{self.global_sequences} sequences of an update do not divide among {world} processes"
            raise GroundupError("recipe-conflict", what, "another train.tokens_per_update, or other processes")
        self.sequences = self.global_sequences // world
        names = sorted(share)
        self.rungs = ladder([share[name] for name in names])
        self.windows = []
        for name in names:
            shards = read_shards(directory, name, "train")
            documents = read_documents(directory, name, "train") if cut == "documents" else []
            self.windows.append(Windows(name, shards, documents, context, seed, cut))
            if not self.windows[-1].count:
                what = f"source {name!r} has fewer training tokens than one window of {context + 1}"
                raise GroundupError("text-too-short", what, "more text, or a shorter model.context")

    def everything(self) -> "Stream":
        """The whole global batches of which this stream has a part."""
        whole = copy.copy(self)
        whole.rank, whole.world, whole.sequences = 0, 1, self.global_sequences
        return whole

    def places(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(source, where its window begins), each (sequences,), of this process's part of the batch of a step."""
        first = step * self.global_sequences + self.rank
        numbers = first + self.world * np.arange(self.sequences)
        source, number = assign(numbers, self.rungs)
        starts = np.empty(self.sequences, np.int64)
        for index, windows in enumerate(self.windows):
            mine = source == index
            if mine.any():
                starts[mine] = windows.starts(number[mine])
        return source, starts

    def batch(self, step: int) -> np.ndarray:
        """(sequences, context + 1) int64 tokens; inputs are [:, :-1], targets [:, 1:]."""
        batch = np.empty((self.sequences, self.context + 1), dtype=np.int64)
        for row, source, start in zip(batch, *(array.tolist() for array in self.places(step)), strict=True):
            self.windows[source].read(start, row)
        return batch
