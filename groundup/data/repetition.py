"""How much a text repeats itself: lines, paragraphs and word n-grams (Gopher; Rae et al. 2021, table A1).

A line, a paragraph or an n-gram is repeated where it stands for the second time and after that. Lengths are counted in
bytes, those of n-grams without what stands between the words. Texts are measured together, a group at a time, since
numpy's cost per call would be more than its work on a short text.
"""

from collections.abc import Sequence

import numpy as np

from groundup.data.ngrams import WORD_BASE, fold, groups, hash_words

MOST_LINES, MOST_LINE_BYTES = 0.30, 0.20  # repeated, by number and by bytes; for paragraphs the same
MOST_TOP = {2: 0.20, 3: 0.18, 4: 0.16}  # bytes of the most frequent n-gram, times how often it stands there
MOST_REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # bytes of words in repeated n-grams

Finding = tuple[str, str]  # a reason and what was measured


def find_repetition(texts: Sequence[str]) -> list[Finding | None]:
    """What each text repeats more than the table allows, None where nothing."""
    found = [_lines(text) for text in texts]
    left = [index for index, finding in enumerate(found) if finding is None]
    place = 0
    for group in groups([texts[index] for index in left]):
        for finding in _ngrams(group):
            found[left[place]] = finding
            place += 1
    return found


def _lines(text: str) -> Finding | None:
    for reason, separator, name in (("repeated-lines", "\n", "lines"), ("repeated-paragraphs", "\n\n", "paragraphs")):
        parts = [part for part in text.split(separator) if part]
        distinct = set(parts)
        if len(distinct) == len(parts):
            return None  # where no line is repeated, no paragraph is
        share = 1 - len(distinct) / len(parts)
        if share > MOST_LINES:
            return reason, f"{share:.1%} of the {name} are repeated, at most {MOST_LINES:.0%} allowed"
        share = 1 - sum(map(len, distinct)) / sum(map(len, parts))
        if share > MOST_LINE_BYTES:
            return reason, f"{share:.1%} of the text are repeated {name}, at most {MOST_LINE_BYTES:.0%} allowed"
    return None


def _ngrams(texts: list[str]) -> list[Finding | None]:
    folded = [fold(text) for text in texts]
    words = hash_words(b"\0".join(folded))
    borders = np.searchsorted(words.starts, np.cumsum([0, *(len(one) + 1 for one in folded)]))
    document = np.repeat(np.arange(len(texts)), np.diff(borders))
    until = np.concatenate([[0], np.cumsum(words.lengths)])  # bytes of all words before each
    size = np.maximum(np.diff(until[borders]), 1)
    found: list[Finding | None] = [None] * len(texts)
    first, grams = np.arange(len(document)), words.hashes  # of each n-gram its first word and its hash
    for n in range(2, max(MOST_REPEATED) + 1):
        whole = first + n <= borders[document[first] + 1]
        first = first[whole]
        grams = grams[whole] * np.uint64(WORD_BASE) + words.hashes[first + n - 1]
        this, following = _equal_neighbours(grams, document[first])
        if n in MOST_TOP:
            share = _top_bytes(first[this], first[following], n, document, until, len(texts)) / size
            for index in np.flatnonzero(share > MOST_TOP[n]):
                part = f"{min(share[index], 1):.1%} of the text is one run of {n} words"
                found[index] = found[index] or ("top-ngram", f"{part}, at most {MOST_TOP[n]:.0%} allowed")
        if n in MOST_REPEATED:
            share = _repeated_bytes(first[following], n, document, until, len(texts)) / size
            for index in np.flatnonzero(share > MOST_REPEATED[n]):
                part = f"{share[index]:.1%} of the text is in repeated runs of {n} words"
                found[index] = found[index] or ("repeated-ngrams", f"{part}, at most {MOST_REPEATED[n]:.0%} allowed")
        # A longer n-gram stands more than once only where a shorter one does: in most texts next to nothing is left.
        again = np.zeros(len(first), bool)
        again[this] = again[following] = True
        first, grams = first[again], grams[again]
    return found


def _top_bytes(
    this: np.ndarray, following: np.ndarray, n: int, document: np.ndarray, until: np.ndarray, documents: int
) -> np.ndarray:
    """Of each document, how often its most frequent n-gram stands there times its bytes; 0 if none stands there twice.

    Of n-grams that are equally frequent, the longest.
    """
    begin = np.flatnonzero(np.append(True, this[1:] != following[:-1])[: len(this)])
    count = np.diff(begin, append=len(this)) + 1
    head = this[begin]
    best = np.zeros(documents, np.int64)
    np.maximum.at(best, document[head], (count << 32) + until[head + n] - until[head])
    return (best >> 32) * (best & 0xFFFFFFFF)


def _repeated_bytes(
    following: np.ndarray, n: int, document: np.ndarray, until: np.ndarray, documents: int
) -> np.ndarray:
    """Bytes of each document's words that stand in an n-gram which stood there before, each word once."""
    begin = np.sort(following)
    end = np.minimum(begin + n, np.append(begin[1:], len(document)))
    return np.bincount(document[begin], until[end] - until[begin], documents)


def _equal_neighbours(grams: np.ndarray, document: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of equal n-grams of one document, as places in `grams`: each one and the next that is equal to it.

    Pairs of equal n-grams stand together, in the order in which these stand in the document.
    """
    # Sorting numbers is several times as fast as sorting places by them, so each is made of a document, the upper bits
    # of a hash, and a place.
    low = np.uint64((1 << len(grams).bit_length()) - 1)
    high = np.uint64(int(document[-1]).bit_length() if len(document) else 0)
    key = document.astype(np.uint64) << (np.uint64(64) - high) if high else np.zeros_like(grams)
    key |= (grams >> high) & ~low
    key |= np.arange(len(grams), dtype=np.uint64)
    key.sort()
    order = (key & low).view(np.int64)
    equal = np.flatnonzero((key[1:] ^ key[:-1]) <= low)
    this, following = order[equal], order[equal + 1]
    sure = grams[this] == grams[following]
    return this[sure], following[sure]
