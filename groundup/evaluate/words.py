"""Words and sentences of a text, by rules that depend on no tokenizer, so that figures compare across runs."""

import re

# A word keeps its apostrophes; any other mark is a word of its own, as in the papers that count n-grams of such tokens.
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)")


def words(text: str) -> list[str]:
    """Words and marks in order, casefolded."""
    return WORD.findall(text.casefold())


def spelled(text: str) -> list[str]:
    """The words without the marks, in order and casefolded, but for the first and the last, which may be cut off."""
    return [word for word in words(text) if word[0].isalnum() or word[0] == "_"][1:-1]


def sentence_lengths(text: str) -> list[int]:
    """Words, without marks, of each sentence that comes to its end."""
    lengths, begin = [], 0
    for end in SENTENCE_END.finditer(text):
        if count := sum(word[0].isalnum() for word in words(text[begin : end.start()])):
            lengths.append(count)
        begin = end.end()
    return lengths


def ngrams(items: list[str], n: int) -> list[tuple[str, ...]]:
    """The n-grams of a text in order; none where it has fewer than n words."""
    return list(zip(*(items[first:] for first in range(n)), strict=False))
