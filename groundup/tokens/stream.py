"""The stream of training batches: a pure function of (seed, shards, mix, context, tokens per update, step).

Nothing is carried from one batch to the next, so a resumed run needs the step alone, and micro-batches, workers and
processes cannot change what the model sees.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundup.errors import GroundupError
from groundup.tokens.pack import read_shards

PERIOD = 1000  # sequences after which the mix is met exactly: shares are rounded to thousandths


def shares(mix: Mapping[str, float] | None, sizes: Mapping[str, float], temperature: float = 1.0) -> dict[str, float]:
    """Share of each source, adding up to 1: by the mix, or without one by size ** (1 / temperature).

    Zero shares are left out. A temperature of 1 keeps to the sizes, and the higher it is, the more equal the shares
    are: temperature-scaled mixing in Raffel et al. 2020, "Exploring the Limits of Transfer Learning" (T5).
    """
    weights = {source: size ** (1 / temperature) for source, size in sizes.items()} if mix is None else mix
    return normalised(weights)


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights above zero, scaled to add up to 1."""
    total = sum(weights.values())
    return {source: weight / total for source, weight in weights.items() if weight > 0}


def token_shares(byte_share: Mapping[str, float], train: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Shares of the tokens that give the sources these shares of the bytes; `train`: tokens and bytes by source."""
    return normalised({name: part * train[name]["tokens"] / train[name]["bytes"] for name, part in byte_share.items()})


def byte_shares(token_share: Mapping[str, float], train: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Shares of the bytes in which these shares of the tokens end: the inverse of `token_shares`."""
    return normalised({name: part * train[name]["bytes"] / train[name]["tokens"] for name, part in token_share.items()})


def sequences(share: Mapping[str, float]) -> dict[str, int]:
    """How many of the sequences of a period each source has, sources by name: the largest-remainder method."""
    names = sorted(share)  # so that the order in which a recipe lists its sources decides nothing
    exact = np.array([share[name] for name in names]) * PERIOD
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: PERIOD - counts.sum()]:
        counts[index] += 1
    return dict(zip(names, counts.tolist(), strict=True))


def mixture(share: Mapping[str, float], train: Mapping[str, Mapping[str, int]], seen: int) -> list[dict[str, Any]]:
    """A row for each source of `train` (tokens and bytes by source): its shares, its tokens, and the epochs over them.

    `share` is of the tokens, `seen` the number of tokens trained on. Epochs count what the stream draws, which meets
    the shares in thousandths.
    """
    of_bytes, drawn = byte_shares(share, train), sequences(share)
    return [
        {
            "source": name,
            "share of tokens": share.get(name, 0.0),
            "share of bytes": of_bytes.get(name, 0.0),
            "tokens available": counts["tokens"],
            "epochs": seen * drawn[name] / PERIOD / counts["tokens"] if name in drawn else 0.0,
        }
        for name, counts in train.items()
    ]


def interleave(counts: list[int]) -> np.ndarray:
    """(period,) source of each sequence in a period, where each has its count, spread as evenly as can be."""
    period = sum(counts)
    rate, credit = np.array(counts) / period, np.zeros(len(counts))
    order = np.empty(period, dtype=np.int64)
    for slot in range(period):  # always the source that is furthest behind its share
        credit += rate
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
        quota = sequences(share)
        self.sources = [
            Windows(read_shards(directory, source, "train"), context, key=seed * 1_000 + number)
            for number, source in enumerate(quota)
        ]
        for source, windows in zip(quota, self.sources, strict=True):
            if not windows.total:
                what = f"source {source!r} has fewer training tokens than one window of {context + 1}"
                raise GroundupError("text-too-short", what, "more text, or a shorter model.context")
        self.quota = list(quota.values())
        self.order = interleave(self.quota)
        before = np.zeros((len(quota), PERIOD), dtype=np.int64)
        for number in range(len(quota)):
            before[number, 1:] = np.cumsum(self.order == number)[:-1]
        self.before = before  # (sources, period): how many of each source come before a slot

    def batch(self, step: int) -> np.ndarray:
        """(sequences, context + 1) int64 tokens of the global batch of a step; inputs [:, :-1], targets [:, 1:]."""
        batch = np.empty((self.sequences, self.context + 1), dtype=np.int64)
        for row in range(self.sequences):
            period, slot = divmod(step * self.sequences + row, PERIOD)
            source = int(self.order[slot])
            number = period * self.quota[source] + int(self.before[source, slot])
            batch[row] = self.sources[source].window(number)
        return batch
