"""Where a few texts agree with a long one: their sorted suffixes, and the long text read past them once.

The few texts are indexed, not the long one, so memory goes with what is asked about: a training text of any length
costs time alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BLOCK = 1 << 20  # tokens of the long text looked at together
MANY = 1 << 16  # numbers from which on a table pays
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio


@dataclass(frozen=True)
class Suffixes:
    """The suffixes of some texts of tokens in ascending order; every text is followed by an id that no text holds."""

    tokens: np.ndarray  # (n + texts,) int64
    order: np.ndarray  # (n + texts,) where each suffix begins
    shared: np.ndarray  # (n + texts,) tokens that it shares with the one before it, up to the end of either text
    starts: np.ndarray  # (texts,) where each text begins
    border: int  # the id behind every text


def sort_suffixes(texts: list[np.ndarray], vocab_size: int) -> Suffixes:
    """A suffix array by doubling (Manber and Myers 1993), of texts whose ids are below `vocab_size`."""
    lengths = np.array([len(text) for text in texts], np.int64)
    starts = np.cumsum(lengths + 1) - lengths - 1
    tokens = np.full(int(lengths.sum()) + len(texts), vocab_size, np.int64)
    for start, text in zip(starts, texts, strict=True):
        tokens[start : start + len(text)] = text
    ranks, width = tokens, 1
    while True:  # suffixes are in order by their first `width` tokens
        later = np.zeros_like(ranks)
        later[:-width] = ranks[width:] + 1
        pairs = ranks * (int(later.max(initial=0)) + 1) + later
        distinct, ranks = np.unique(pairs, return_inverse=True)
        width *= 2
        if len(distinct) == len(tokens) or width > lengths.max(initial=0) + 1:
            break
    order = np.argsort(ranks, kind="stable")
    return Suffixes(tokens, order, _shared(tokens, order, vocab_size), starts, vocab_size)


def _shared(tokens: np.ndarray, order: np.ndarray, border: int) -> np.ndarray:
    """Length of what neighbouring suffixes have in common, counted token by token over all that still agree."""
    shared = np.zeros(len(order), np.int64)
    places, depth = np.arange(1, len(order)), 0
    while len(places):
        one, other = order[places - 1] + depth, order[places] + depth
        inside = np.maximum(one, other) < len(tokens)
        places, one, other = places[inside], one[inside], other[inside]
        equal = (tokens[one] == tokens[other]) & (tokens[one] != border)
        places, depth = places[equal], depth + 1
        shared[places] = depth
    return shared


@dataclass(frozen=True)
class Matches:
    """For each token of each text, the longest run of tokens from it on that the long text holds."""

    lengths: list[np.ndarray]  # of each text (n,)
    places: list[np.ndarray]  # where in the long text such a run begins; -1 where its length is 0


def longest_matches(suffixes: Suffixes, parts: Iterable[np.ndarray], block: int = BLOCK) -> Matches:
    """Matching statistics (Chang and Lawler 1994) of texts against a long one, which comes in `parts` read once.

    A run may not go on from one part to the next: shards hold whole documents. It holds no token that the texts lack,
    so the end of a document breaks it. Exact: nothing is hashed. Memory beyond the texts' own goes with `block`.
    """
    found = _Found(np.zeros(len(suffixes.order), np.int64), np.full(len(suffixes.order), -1, np.int64))
    behind = 0
    for part in parts:
        for begin in range(0, len(part), block):
            _match(suffixes, np.asarray(part), begin, min(len(part), begin + block), behind, found)
        behind += len(part)
    lengths, places = _spread(suffixes, found)
    in_texts = np.empty_like(lengths), np.empty_like(places)
    for target, values in zip(in_texts, (lengths, places), strict=True):
        target[suffixes.order] = values
    ends = np.append(suffixes.starts, len(suffixes.tokens))[1:] - 1
    spans = [slice(start, end) for start, end in zip(suffixes.starts, ends, strict=True)]
    return Matches([in_texts[0][span] for span in spans], [in_texts[1][span] for span in spans])


@dataclass
class _Found:
    """By suffix, in order: the longest of its beginnings that was met itself, and where."""

    lengths: np.ndarray
    places: np.ndarray


def _match(suffixes: Suffixes, part: np.ndarray, begin: int, end: int, behind: int, found: _Found) -> None:
    """Follow the runs that begin at `begin` to `end` of a part for as long as some text goes on like them.

    Runs that agree in `depth` tokens with the same suffixes stand for the first of these, and the next token decides
    which of them they go on with.
    """
    count = len(suffixes.order)
    ids = np.arange(count)
    places, firsts = np.arange(begin, end), np.zeros(end - begin, np.int64)
    depth = 0
    while len(places):
        nexts = suffixes.tokens[np.minimum(suffixes.order + depth, count - 1)]
        begins = np.maximum.accumulate(np.where(suffixes.shared >= depth, 0, ids)) if depth else np.zeros_like(ids)
        ladder = begins * (suffixes.border + 1) + nexts
        wanted = firsts * (suffixes.border + 1) + part[places + depth]
        at = _find(ladder, wanted)
        goes_on = ladder[at] == wanted
        places, firsts = places[goes_on], at[goes_on]
        depth += 1
        longer = found.lengths[firsts] < depth
        where, which = places[longer][::-1], firsts[longer][::-1]  # of equal ones the first stays
        found.lengths[which], found.places[which] = depth, where + behind
        inside = places + depth < len(part)
        places, firsts = places[inside], firsts[inside]


def _find(ladder: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each number first stands in the ascending ladder; any place for one that is not there.

    Many numbers are looked up in a table by a multiplicative hash (Knuth, The Art of Computer Programming 3, 6.4),
    which is five times as fast as searching; only those whose place in the table another number took are searched.
    """
    if len(wanted) < MANY:
        return np.minimum(np.searchsorted(ladder, wanted), len(ladder) - 1)
    shift = np.uint64(64 - 3 - len(ladder).bit_length())  # at least eight places for each number
    table = np.full(1 << (64 - int(shift)), -1, np.int32)
    table[_slots(ladder, shift)[::-1]] = np.arange(len(ladder), dtype=np.int32)[::-1]
    at = table[_slots(wanted, shift)].astype(np.int64)
    taken = np.flatnonzero((at >= 0) & (ladder[at] != wanted))
    at[taken] = np.minimum(np.searchsorted(ladder, wanted[taken]), len(ladder) - 1)
    return np.maximum(at, 0)


def _slots(numbers: np.ndarray, shift: np.uint64) -> np.ndarray:
    return ((numbers.astype(np.uint64) * MULTIPLIER) >> shift).astype(np.int64)


def _spread(suffixes: Suffixes, found: _Found) -> tuple[np.ndarray, np.ndarray]:
    """What a suffix has met, its neighbours have met as far as they agree with it."""
    lengths, places = found.lengths.copy(), found.places.copy()
    count = len(lengths)
    for step in (1, -1):
        for at in range(1, count) if step == 1 else range(count - 2, -1, -1):
            common = min(lengths[at - step], suffixes.shared[at if step == 1 else at + 1])
            if common > lengths[at]:
                lengths[at], places[at] = common, places[at - step]
    return lengths, places
