"""The stream of training batches: a pure function of (seed, shards, mix, context, tokens per update, step).

Nothing is carried from one batch to the next, so a resumed run needs the step alone, and micro-batches, workers and
processes cannot change what the model sees.
"""

from pathlib import Path

import numpy as np

from groundup.errors import GroundupError
from groundup.tokens.pack import read_shards

PERIOD = 1000  # sequences after which the mix is met exactly: shares are rounded to thousandths


def shares(mix: dict[str, float] | None, tokens: dict[str, int]) -> dict[str, float]:
    """Share of each source in the training tokens, adding up to 1; without a mix, by size. Zero shares are left out."""
    weights = {source: float(size) for source, size in tokens.items()} if mix is None else mix
    total = sum(weights.values())
    return {source: weight / total for source, weight in weights.items() if weight > 0}


def interleave(share: list[float], period: int = PERIOD) -> np.ndarray:
    """(period,) source of each sequence in a period: largest-remainder counts, spread as evenly as can be."""
    exact = np.array(share) * period
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: period - counts.sum()]:
        counts[index] += 1
    order = np.empty(period, dtype=np.int64)
    credit = np.zeros(len(share))
    for slot in range(period):  # always the source that is furthest behind its share
        credit += counts / period
        order[slot] = credit.argmax()
        credit[order[slot]] -= 1
    return order


class Windows:
    """The windows of one source: `context` + 1 tokens at distances of `context`, shuffled anew each epoch."""

    def __init__(self, shards: list[np.ndarray], context: int, key: int) -> None:
        self.shards, self.context, self.key = shards, context, key
        self.counts = [max(0, len(shard) - 1) // context for shard in shards]
        self.ends = np.cumsum(self.counts)
        self.total = int(self.ends[-1]) if shards else 0
        self._epoch, self._order, self._starts = -1, np.empty(0, np.int64), np.empty(0, np.int64)

    def window(self, number: int) -> np.ndarray:
        """(context + 1,) tokens of the `number`-th window ever drawn from this source."""
        epoch, place = divmod(number, self.total)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self.key, epoch]))
            self._order = random.permutation(self.total)
            # Tokens at the end that fill no window move to the front by a random amount: epochs cut differently.
            slack = [
                max(0, len(shard) - 1) - count * self.context
                for shard, count in zip(self.shards, self.counts, strict=True)
            ]
            self._starts = np.array([random.integers(room + 1) for room in slack])
            self._epoch = epoch
        index = int(self._order[place])
        shard = int(np.searchsorted(self.ends, index, side="right"))
        inside = index - (int(self.ends[shard - 1]) if shard else 0)
        start = int(self._starts[shard]) + inside * self.context
        return self.shards[shard][start : start + self.context + 1]


class Stream:
    """Global batches by step.

    Raises GroundupError `text-too-short` when a source with a share has less than one window.
    """

    def __init__(
        self, directory: Path, share: dict[str, float], context: int, tokens_per_update: int, seed: int
    ) -> None:
        self.context, self.sequences = context, tokens_per_update // context
        self.sources = [
            Windows(read_shards(directory, source, "train"), context, key=seed * 1_000 + number)
            for number, source in enumerate(share)
        ]
        for source, windows in zip(share, self.sources, strict=True):
            if not windows.total:
                what = f"source {source!r} has fewer training tokens than one window of {context + 1}"
                raise GroundupError("text-too-short", what, "more text, or a shorter model.context")
        self.order = interleave(list(share.values()))
        self.quota = np.bincount(self.order, minlength=len(share))
        before = np.zeros((len(share), PERIOD), dtype=np.int64)
        for number in range(len(share)):
            before[number, 1:] = np.cumsum(self.order == number)[:-1]
        self.before = before  # (sources, period): how many of each source come before a slot

    def batch(self, step: int) -> np.ndarray:
        """(sequences, context + 1) int64 tokens of the global batch of a step; inputs [:, :-1], targets [:, 1:]."""
        batch = np.empty((self.sequences, self.context + 1), dtype=np.int64)
        for row in range(self.sequences):
            period, slot = divmod(step * self.sequences + row, PERIOD)
            source = int(self.order[slot])
            number = period * int(self.quota[source]) + int(self.before[source, slot])
            batch[row] = self.sources[source].window(number)
        return batch
