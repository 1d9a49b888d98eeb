"""How much of each source: shares of a mix, and which source each sequence comes from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

BITS = 32  # of a share's fraction; sequences are counted in as many


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


def mixture(share: Mapping[str, float], train: Mapping[str, Mapping[str, int]], seen: int) -> list[dict[str, Any]]:
    """A row for each source of `train` (tokens and bytes by source): its shares, its tokens, and the epochs over them.

    `share` is of the tokens, `seen` the number of tokens trained on.
    """
    of_bytes = byte_shares(share, train)
    return [
        {
            "source": name,
            "share of tokens": share.get(name, 0.0),
            "share of bytes": of_bytes.get(name, 0.0),
            "tokens available": counts["tokens"],
            "epochs": seen * share.get(name, 0.0) / counts["tokens"],
        }
        for name, counts in train.items()
    ]


def ladder(weights: list[float]) -> list[int]:
    """Of each source, its share of what the sources before it leave over, as a fraction of 2**32. The last has all."""
    rest = [sum(weights[number:]) for number in range(len(weights))]
    return [*(round(weight / left * 2**BITS) for weight, left in zip(weights[:-1], rest[:-1], strict=True)), 2**BITS]


def assign(sequences: np.ndarray, rungs: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(source, number within the source), each (n,), of sequences (n,) counted from 0 and below 2**32.

    A source with share a of a row of sequences has the n-th of them where floor(a (n + 1)) is one more than
    floor(a n), so of the first n it has floor(a n): the mix is met exactly, and spread as evenly as can be. What one
    source leaves over is shared out among the next in the same way. Of any row of sequences the second of several
    sources has its share to within two sequences, the third to within three, whatever the length of the row.
    """
    rest = sequences.astype(np.uint64)
    source, number = np.zeros(len(rest), np.int64), np.zeros(len(rest), np.int64)
    open_ = np.ones(len(rest), bool)
    for index, rung in enumerate(rungs):
        before = rest * np.uint64(rung) >> np.uint64(BITS)
        taken = open_ & ((rest + np.uint64(1)) * np.uint64(rung) >> np.uint64(BITS) > before)
        source[taken], number[taken] = index, before[taken].astype(np.int64)
        open_ &= ~taken
        rest = rest - before
    return source, number
