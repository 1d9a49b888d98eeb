"""How much a text repeats itself: lines, paragraphs and word n-grams (Gopher; Rae et al. 2021, table A1).

A line, a paragraph or an n-gram is repeated where it stands for the second time and after that. Lengths are counted in
bytes, those of n-grams without what stands between the words. Texts are measured together, a group at a time, since
numpy's cost per call would be more than its work on a short text.
"""

from collections.abc import Sequence

import numpy as np

from groundup.data.ngrams import fold, groups, hash_ngrams, hash_words

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
            continue
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
    borders = np.cumsum([0, *(len(one) + 1 for one in folded)])
    document = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(words.starts, borders)))
    found: list[Finding | None] = [None] * len(texts)
    hashes, lengths = words.hashes, words.lengths
    size = np.bincount(document, lengths, len(texts))
    for n, most in MOST_TOP.items():
        share = _top_bytes(hashes, lengths, document, n, len(texts)) / np.maximum(size, 1)
        for index in np.flatnonzero(share > most):
            found[index] = found[index] or (
                "top-ngram",
                f"{min(share[index], 1):.1%} of the text is one run of {n} words, at most {most:.0%} allowed",
            )
    for n, most in MOST_REPEATED.items():
        share = _repeated_bytes(hashes, lengths, document, n, len(texts)) / np.maximum(size, 1)
        for index in np.flatnonzero(share > most):
            found[index] = found[index] or (
                "repeated-ngrams",
                f"{share[index]:.1%} of the text is in repeated runs of {n} words, at most {most:.0%} allowed",
            )
        # A word in a repeated n-gram is in a repeated shorter one, so that shares only fall as n grows.
        still = (share > min(MOST_REPEATED.values()))[document]
        hashes, lengths, document = hashes[still], lengths[still], document[still]
    return found


def _top_bytes(hashes: np.ndarray, lengths: np.ndarray, document: np.ndarray, n: int, documents: int) -> np.ndarray:
    """Of each document, how often its most frequent n-gram stands there times its bytes; 0 if none stands there twice.

    Of n-grams that are equally frequent, the longest.
    """
    order, equal = _equal_neighbours(hashes, document, n)
    begin = np.flatnonzero(np.diff(equal, prepend=-2) > 1)
    count = np.diff(begin, append=len(equal)) + 1
    first = order[equal[begin]]
    size = sum((lengths[first + word] for word in range(n)), np.zeros(len(first), np.int64))
    best = np.zeros(documents, np.int64)
    np.maximum.at(best, document[first], (count << 32) + size)
    return (best >> 32) * (best & 0xFFFFFFFF)


def _repeated_bytes(
    hashes: np.ndarray, lengths: np.ndarray, document: np.ndarray, n: int, documents: int
) -> np.ndarray:
    """Bytes of each document's words that stand in an n-gram which stood there before, each word once."""
    order, equal = _equal_neighbours(hashes, document, n)
    repeated = order[equal + 1]
    change = np.zeros(len(hashes) + 1, np.int32)
    change[repeated] += 1
    change[repeated + n] -= 1
    covered = np.cumsum(change[:-1]) > 0
    return np.bincount(document[covered], lengths[covered], documents)


def _equal_neighbours(hashes: np.ndarray, document: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """An order of n-grams, given by their first words, and the places in it of those that the next one is equal to.

    Equal n-grams of one document stand together there, in the order in which they stand in the document.
    """
    grams = hash_ngrams(hashes, n)
    # Sorting numbers is several times as fast as sorting places by them, so each is made of a document, the upper bits
    # of a hash, and a place. N-grams that reach into the next document are the last of theirs.
    low = np.uint64((1 << len(grams).bit_length()) - 1)
    high = np.uint64(int(document[-1]).bit_length() if len(document) else 0)
    key = document[: len(grams)].astype(np.uint64) << (np.uint64(64) - high) if high else np.zeros_like(grams)
    key |= (grams >> high) & ~low
    key |= np.arange(len(grams), dtype=np.uint64)
    key.sort()
    order = (key & low).view(np.int64)
    equal = np.flatnonzero((key[1:] ^ key[:-1]) <= low)
    this, following = order[equal], order[equal + 1]
    sure = (grams[this] == grams[following]) & (document[following] == document[following + n - 1])
    return order, equal[sure]
