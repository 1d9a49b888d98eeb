"""Long documents cut into pieces: at chapter headings, else between paragraphs, sentences, and at last words."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, pairwise

_PARTS = (
    "chapter book part volume canto act scene letter section stave tome chapitre livre partie kapitel teil band "
    "capítulo parte capitolo hoofdstuk deel глава часть"
)
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty first second third fourth fifth sixth seventh eighth ninth tenth last"
)
_ALONE = "prologue epilogue preface foreword introduction conclusion appendix afterword interlude contents"


def _either(*lines: str) -> str:
    return "(?:" + "|".join(word for line in lines for word in line.split()) + ")"


_NUMBER = rf"(?:[IVXLCDM]+|\d{{1,4}}|(?:[Tt]he |THE )?{_either(_NUMBERS, _NUMBERS.title(), _NUMBERS.upper())})\b"
_BLANK = r"\n[ \t\r]*(?=\n|\Z)"
# Each pattern ends where the next piece begins. A heading is a line of markdown, or stands after a blank line and names
# a part of a book with its number, or it is a roman numeral or a word like Prologue between two blank lines.
HEADING = re.compile(
    rf"\n(?= {{0,3}}\#{{1,6}}[ \t]+\S)"
    rf"|\n[ \t\r]*\n(?=[ \t*_]*(?:{_either(_PARTS.title(), _PARTS.upper())}[ \t]+{_NUMBER}[^\n]{{0,80}}(?:\n|\Z)"
    rf"|(?:[IVXLC]+|{_either(_ALONE.title(), _ALONE.upper())})[.:*_ \t\r]*{_BLANK}))"
)
PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
SENTENCE = re.compile(r"""[.!?…]["'”’»)\]_*]*\s+(?![a-z])""")
WORD = re.compile(r"\S+\s*")
LEVELS = (PARAGRAPH, SENTENCE)
TINY = 20  # a piece of less than one twentieth of the words goes with the next, as a heading does with its chapter
SLAB = 1 << 20  # characters of which the words are counted at a time: as objects, they take twenty times the room
FULL = 0.875  # what pieces are aimed at, so that cutting between paragraphs seldom makes one too many


def cut(text: str, words: int) -> list[str]:
    """Pieces of at most `words` words, which joined together are the text, to the character.

    A text that is not longer stays whole. A longer one is cut at every heading, whatever the size of its chapters;
    only a part that is tiny, a title page or a heading without text, goes with the one after it. A chapter that is too
    long is cut into pieces of about equal size between paragraphs, a longer paragraph between sentences, a longer
    sentence between words. Words are what white space separates, so writing without spaces is not cut.
    """
    sections = _join(_at(text, HEADING), words // TINY, None)
    counts = list(map(_words, sections))
    if sum(counts) <= words:
        return [text]
    pieces: list[str] = []
    for section, count in zip(sections, counts, strict=True):
        pieces += [section] if count <= words else _join(_fit(section, words, 0), words // TINY, words)
    return pieces


def _words(text: str) -> int:
    total = 0
    for start in range(0, len(text), SLAB):
        total += len(text[start : start + SLAB].split())
        if start and not text[start - 1].isspace() and not text[start].isspace():
            total -= 1  # a word that lies across the border
    return total


def _at(text: str, border: re.Pattern[str]) -> list[str]:
    """The text cut after each match."""
    return _between(text, (found.end() for found in border.finditer(text)))


def _between(text: str, ends: Iterable[int]) -> list[str]:
    places = [0, *ends, len(text)]
    return [text[start:end] for start, end in pairwise(places) if end > start]


def _join(pieces: list[str], tiny: int, most: int | None) -> list[str]:
    """Pieces of which the tiny ones are joined to those that follow, the last one to the one before, if they fit."""
    joined: list[str] = []
    held = ""
    for piece in pieces:
        if held and most is not None and _words(held) + _words(piece) > most:
            joined.append(held)
            held = ""
        held += piece
        if len(held.split(None, tiny)) > tiny:  # more than so many words, counted no further
            joined.append(held)
            held = ""
    if held and joined and (most is None or _words(joined[-1]) + _words(held) <= most):
        joined[-1] += held
    elif held:
        joined.append(held)
    return joined


def _fit(text: str, words: int, level: int) -> list[str]:
    """Cut a text that is too long at the borders of a level, and of the next where that is not enough."""
    if level == len(LEVELS):
        total = _words(text)
        size = -(-total // -(-total // words))
        ends = (found.end() for number, found in enumerate(WORD.finditer(text), 1) if number % size == 0)
        return _between(text, ends)
    parts = _at(text, LEVELS[level])
    until = [0, *accumulate(map(_words, parts))]

    def split(first: int, last: int) -> list[str]:
        """Halve a range of parts, as near the middle as makes both halves whole pieces, until each fits."""
        total = until[last] - until[first]
        if total <= words:
            return ["".join(parts[first:last])]
        if last - first == 1:
            return _fit(parts[first], words, level + 1)
        count = max(2, round(total / (words * FULL) + 0.5))
        left = count // 2
        wanted = until[first] + total * left / count
        near = bisect_left(until, wanted, first + 1, last - 1)
        room = (until[last] - (count - left) * words, until[first] + left * words)
        middle = min(
            (place for place in (near - 1, near) if first < place < last),
            key=lambda place: (not room[0] <= until[place] <= room[1], abs(until[place] - wanted)),
        )
        return split(first, middle) + split(middle, last)

    return split(0, len(parts))
