"""An n-gram model: what can be learned by counting neighbours, as a baseline beside trained models and suites.

Interpolated modified Kneser-Ney (S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language
modeling", Computer Speech & Language 13, 1999, section 3). It works on ids, of words or of a tokenizer, with numpy.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from groundup.evaluate.score import UNKNOWN_NATS, Score
from groundup.tokens.encoding import Encoding

DISCOUNTS = (0.5, 1.0, 1.5)  # where a text is too small to estimate them; KenLM's --discount_fallback


@dataclass(frozen=True)
class Level:
    """The n-grams of one length. A key spells ids in base `vocab_size`, the first id the most significant digit."""

    keys: np.ndarray  # (n-grams,) int64, sorted
    shares: np.ndarray  # (n-grams,) discounted count over its context's total
    contexts: np.ndarray  # (contexts,) int64, sorted: the keys without their last id
    rests: np.ndarray  # (contexts,) weight of the next shorter n-grams


@dataclass(frozen=True)
class Ngram:
    order: int
    vocab_size: int
    start: int  # id that stands before every document and after it, and nowhere else
    unigram: np.ndarray  # (vocab_size,) probabilities
    levels: tuple[Level, ...]  # of lengths 2 to order


def fit(documents: Iterable[np.ndarray], vocab_size: int, start: int, order: int = 3) -> Ngram:
    """Learn from documents, each an array of ids without `start`; empty ones are passed over.

    Raises ValueError where `vocab_size` to the power of `order` exceeds 63 bits, or there is no text.
    """
    if vocab_size**order >= 2**63:
        raise ValueError(f"{order}-grams of {vocab_size:,} ids do not fit 64 bits")
    edge = np.array([start])
    stream = np.concatenate([edge, *(np.concatenate([ids, edge]) for ids in documents if len(ids))]).astype(np.int64)
    if len(stream) == 1:
        raise ValueError("no text to count n-grams in")
    counted = [_count(stream, length, vocab_size, start) for length in range(1, order + 1)]
    for length in range(1, order):
        counted[length - 1] = _continuations(*counted[length - 1], counted[length][0], length, vocab_size, start)
    unigram = _unigram(*counted[0], vocab_size)
    return Ngram(order, vocab_size, start, unigram, tuple(_level(*pair, vocab_size) for pair in counted[1:]))


def _count(stream: np.ndarray, length: int, base: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """(keys, counts) of the n-grams of one document each: `start` may only stand at either end of one."""
    keys = np.zeros(len(stream) - length + 1, np.int64)
    inside = np.ones(len(keys), bool)
    for offset in range(length):
        part = stream[offset : offset + len(keys)]
        keys = keys * base + part
        if 0 < offset < length - 1:
            inside &= part != start
    if length == 1:
        inside[0] = False  # the edge before the first document follows nothing
    return np.unique(keys[inside], return_counts=True)


def _continuations(
    keys: np.ndarray, counts: np.ndarray, longer: np.ndarray, length: int, base: int, start: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kneser-Ney's counts: how many different ids stand before an n-gram. Nothing stands before a document's first."""
    distinct, before = np.unique(longer % base**length, return_counts=True)
    seen = np.zeros(len(keys), np.int64)
    place = np.searchsorted(keys, distinct)
    seen[place] = before
    return keys, np.where(_first(keys, length, base) == start, counts, seen) if length > 1 else seen


def _first(keys: np.ndarray, length: int, base: int) -> np.ndarray:
    return keys // base ** (length - 1)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from counts of 1, 2 and 3 or more (equation 17)."""
    once, twice, thrice, four = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not (once and twice and thrice and four):
        return np.array(DISCOUNTS)
    share = once / (once + 2 * twice)
    found = np.array([1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four / thrice])
    return found if (found > 0).all() and (found <= (1, 2, 3)).all() else np.array(DISCOUNTS)


def _unigram(keys: np.ndarray, counts: np.ndarray, base: int) -> np.ndarray:
    """Discounted shares, and what was taken spread evenly over the vocabulary, so that every id can be told."""
    taken = np.minimum(_discounts(counts)[np.minimum(counts, 3) - 1], counts)
    probabilities = np.full(base, taken.sum() / counts.sum() / base)
    probabilities[keys] += (counts - taken) / counts.sum()
    return probabilities


def _level(keys: np.ndarray, counts: np.ndarray, base: int) -> Level:
    contexts, first = np.unique(keys // base, return_index=True)
    totals = np.add.reduceat(counts, first)
    taken = _discounts(counts)[np.minimum(counts, 3) - 1]
    sizes = np.diff([*first, len(keys)])
    return Level(keys, (counts - taken) / np.repeat(totals, sizes), contexts, np.add.reduceat(taken, first) / totals)


def log_probabilities(model: Ngram, ids: np.ndarray) -> np.ndarray:
    """ln p (N,) of each id of a document given those before it, the document's beginning included."""
    text = np.concatenate([[model.start], np.asarray(ids, dtype=np.int64)])
    probabilities = model.unigram[text[1:]]
    for length, level in enumerate(model.levels, 2):
        at = np.arange(max(1, length - 1), len(text))  # ids with so many before them
        contexts = np.zeros(len(at), np.int64)
        for back in range(length - 1, 0, -1):
            contexts = contexts * model.vocab_size + text[at - back]
        rests = _look_up(level.contexts, level.rests, contexts, 1.0)
        shares = _look_up(level.keys, level.shares, contexts * model.vocab_size + text[at], 0.0)
        probabilities[at - 1] = shares + rests * probabilities[at - 1]
    return np.log(probabilities)


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, missing: float) -> np.ndarray:
    if not len(keys):  # no document was as long
        return np.full(len(wanted), missing)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], missing)


def score(model: Ngram, documents: Iterable[np.ndarray], size: int, encoding: Encoding, source: str) -> Score:
    """What the model makes of tokenized documents, in the terms of `evaluate.score`: it stands beside a trained model.

    Each document is scored from its own beginning. size: UTF-8 bytes of their text, which `<|unk|>` cannot tell.
    """
    nats, count = 0.0, 0
    for ids in documents:
        text = encoding.token_bytes[ids] > 0
        if encoding.unknown is not None:
            unknown = ids == encoding.unknown
            text |= unknown
            nats += UNKNOWN_NATS * int(unknown.sum())
        nats -= float(log_probabilities(model, ids)[text].sum())
        count += int(text.sum())
    return Score(source, nats, count, size)
