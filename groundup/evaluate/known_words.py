"""Words that the training text does not hold: invented, misspelt, or formed anew."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from groundup.data.ngrams import batch_word_hashes, canonical

GROUP = 8 << 20  # characters of training text hashed together


def unknown_words(texts: Sequence[str], training: Iterable[str]) -> list[tuple[list[str], int]]:
    """For each text its words that no training text holds, and how many words it has.

    A word is a run of letters and digits, casefolded. The first and the last word of a text count not: they may be cut.
    The training texts are read once, some megabytes at a time.
    """
    spelt = [canonical(text).split() for text in texts]
    hashes, offsets = batch_word_hashes(texts)
    wanted = np.unique(hashes)
    known = np.zeros(len(wanted), bool)
    for group in _groups(training):
        found, _ = batch_word_hashes(group)
        at = np.minimum(np.searchsorted(wanted, found), max(0, len(wanted) - 1))
        if len(wanted):
            known[at[wanted[at] == found]] = True
    missing = set(wanted[~known].tolist())
    result = []
    for number, words in enumerate(spelt):
        own = hashes[offsets[number] : offsets[number + 1]].tolist()[1:-1]
        result.append(([word for word, one in zip(words[1:-1], own, strict=True) if one in missing], len(own)))
    return result


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group
