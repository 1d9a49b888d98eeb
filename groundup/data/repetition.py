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
    borders = np.searchsorted(words.starts, np.cumsum([0, *(len(one) + 1 for one in folded)]))
    document = np.repeat(np.arange(len(texts)), np.diff(borders))
    until = np.concatenate([[0], np.cumsum(words.lengths)])  # bytes of the words before each
    size = np.maximum(np.diff(until[borders]), 1)
    found: list[Finding | None] = [None] * len(texts)
    first, hashes = np.arange(len(document)), words.hashes  # of n-grams: their first word, and their polynomial
    for n in range(2, max(MOST_REPEATED) + 1):
        whole = first + n <= borders[document[first] + 1]
        first, hashes = first[whole], hashes[whole]
        hashes = hashes * np.uint64(WORD_BASE) + words.hashes[first + n - 1]
        order, equal = _equal_neighbours(hashes, document[first])
        for reason, limits, measure, what in MEASURES:
            if n in limits:
                share = measure(first[order], equal, n, document, until, len(texts)) / size
                for index in np.flatnonzero(share > limits[n]):
                    detail = f"{min(share[index], 1):.1%} of the text is {what} {n} words, at most {limits[n]:.0%} allowed"
                    found[index] = found[index] or (reason, detail)
        # Only where an n-gram stands more than once can a longer one do so: of most texts, next to nothing is left.
        again = np.zeros(len(first), bool)
        again[order[equal]] = again[order[equal + 1]] = True
        first, hashes = first[again], hashes[again]
    return found


