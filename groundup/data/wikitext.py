"""WikiText: its lines put together to articles, and its tokenisation taken out in a way that can be undone.

The corpus was tokenised for word-level models: every mark of punctuation stands apart (` , `), and a mark that stood
within a word or number stands between signs (` @-@ `). Detokenising takes out nothing but spaces and those signs, so
what was taken out, with its places, is enough to put every character back.

Headings keep the shape that they have in the corpus, less the spaces: `= Title =`, `== Section ==`. It is the
encyclopedia's own notation, says where an article begins, and gives the model one sign for structure.
"""

import re
from collections.abc import Callable, Iterable, Iterator

ARTICLE = re.compile(rb"^ = [^=].* = \s*$")  # ` = Title = `; sections have more signs

# Spaces that are superfluous whatever else is there: before closing marks, after opening ones, at the ends of lines,
# and within the signs of a heading.
SPACES = re.compile(
    r" (?:(?=[,.;!?)\]}”](?![^ \n]))|(?=\n)|(?<=\n )|(?<=[(\[{“‘#] )(?<![^ \n]..)|(?<== )(?==(?![^ \n]))(?<![^ \n]..))"
)
SIGNS = re.compile(r" @(?=[-,.]@ )|@ (?<= @[-,.]@ )")
# Marks of which the neighbours decide, ends of words that were cut at their apostrophe ('s, 'Étang), ends of lines.
OTHERS = re.compile(r"""\n|["'’:%$£€¥₱₩₤°′″/–—‑−+±~&](?<![^ \n].)(?:(?<=')[^\W\d_][^ \n]*)?(?![^ \n])""")
CLOSING = frozenset(",.;:!?)]}”")
CURRENCIES = frozenset("$£€¥₱₩₤")
DOLLARS = frozenset(["US", "A", "AU", "C", "CA", "NZ", "NT", "HK", "S", "R", "Z", "J", "B"])  # US$, A$ ...
ENDINGS = frozenset(["s", "S", "t", "d", "m", "re", "ve", "ll"])  # of don't, it's ..., where the apostrophe is alone
NOT_POSSESSIVE = frozenset(
    ["is", "as", "was", "has", "his", "this", "its", "us", "'s", "says", "does", "these", "thus"]
)
MONTH = re.compile("(?:Jan|Febr)uary|March|April|May|June|July|August|(?:Septem|Octo|Novem|Decem)ber")
SHORT_NUMBER = re.compile(r"\d{1,2}")
DECADE = re.compile(r"\d\ds?")  # of the '90s
CLOSED = re.compile(r"'(?= )|'$", re.MULTILINE)
WORD = re.compile(r"[^ \n]*")
Edits = list[tuple[int, str]]


def articles(lines: Iterable[bytes | None], largest: int) -> Iterator[tuple[int, bytes | None]]:
    """(number of its first line, from 1, and its bytes) of each article, which begin at ` = Title = `.

    A title stands between two blank lines; without them, rows of tables and formulas would pass for titles.
    An article larger than `largest` bytes, or with a line that came as None, comes as None.
    """
    article, first, count, whole = bytearray(), 1, 0, True
    blank, title = b"", b""  # the two lines before, if they are what they are named after
    for number, line in enumerate(lines, 1):
        titled = count > 2 and line is not None and not (line.strip() or blank.strip()) and ARTICLE.match(title)
        if titled and (not whole or article[: -len(blank + title)].strip()):
            yield first, bytes(article[: -len(title)]) if whole else None
            article, first, count, whole = bytearray(title), number - 1, 1, True
        article += line or b""
        count += 1
        whole = whole and line is not None and len(article) <= largest
        if not whole:
            article.clear()
        blank, title = title, line or b""
    yield first, bytes(article) if whole else None


def detokenise(text: str) -> tuple[str, Edits]:
    """The text as it is written, and what was taken out: (place in the plain text, characters), in order.

    `retokenise` puts it back. Where the tokenised text does not say how it was written (` – ` between words, ` - `,
    ` ... `), it is left as it is.
    """
    plain: list[str] = []
    edits: Edits = []
    end = length = 0  # of what is copied, in the text and in the plain text
    for place in _superfluous(text):
        if place == end and edits:
            edits[-1] = (length, edits[-1][1] + text[place])
        else:
            plain.append(text[end:place])
            length += place - end
            edits.append((length, text[place]))
        end = place + 1
    plain.append(text[end:])
    return "".join(plain), edits


def retokenise(plain: str, edits: Edits) -> str:
    """The text that `detokenise` made these of, character by character."""
    parts: list[str] = []
    end = 0
    for place, taken in edits:
        parts += (plain[end:place], taken)
        end = place
    return "".join([*parts, plain[end:]])


def _superfluous(text: str) -> list[int]:
    """Places of the spaces and signs that tokenisation put in, in order."""
    gone = {found.start() for found in SPACES.finditer(text)}
    for found in SIGNS.finditer(text):
        gone.update((found.start(), found.start() + 1))
    quoted = single = False  # whether a quotation of either kind is open in this line
    spaces = {0, len(text) - 1}
    for found in OTHERS.finditer(text):
        start, end = found.span()
        mark = found[0]
        if mark == "\n":
            quoted = single = False
        elif mark == '"':
            follows = _after(text, end)
            if quoted:
                opens = text[max(0, start - 2) : start] in ("( ", "[ ") and bool(follows)  # another was never closed
            else:
                opens = bool(follows) and follows not in CLOSING
            spaces.add(end if opens else start - 1)
            quoted = opens
        elif mark == "'":
            taken, single = _apostrophe(text, start, single)
            spaces.update(taken)
        else:
            spaces.update(_between(text, mark, start, end))
    return sorted(gone.union(place for place in spaces if text[place : place + 1] == " "))


def _before(text: str, start: int) -> str:
    """The word before a mark in its line, or nothing."""
    end = max(start - 1, 0)
    return text[max(text.rfind(" ", 0, end), text.rfind("\n", 0, end)) + 1 : end]


def _after(text: str, end: int) -> str:
    """The word after a mark in its line, or nothing."""
    found = WORD.match(text, end + 1) if text[end : end + 1] == " " else None
    return found[0] if found else ""


def _apostrophe(text: str, start: int, single: bool) -> tuple[list[int], bool]:
    """What is superfluous around an apostrophe that stands alone, and whether a quotation is open after it."""
    before, after = start - 1, start + 1
    last, follows = _before(text, start), _after(text, after)
    if follows in ENDINGS:  # U.S. ' s
        return [before, after], single
    if single:
        return [before], False
    if last[-1:] in ("s", "x", "z") and last not in NOT_POSSESSIVE:  # the dogs ' bowl
        return [before], False
    if DECADE.fullmatch(follows):
        return [after], False
    line = text.find("\n", after)
    if follows and CLOSED.search(text, after, line if line >= 0 else len(text)):
        return [after], True
    return [], False


def _between(text: str, mark: str, start: int, end: int) -> list[int]:
    """What is superfluous around a mark whose neighbours decide."""
    before, last, follows = start - 1, _before(text, start), _after(text, end)
    number, to_number = last[-1:].isnumeric(), follows[:1].isnumeric()
    if mark[0] == "'":  # Teddy 's
        return [before]
    if mark == "’":
        return [before, end] if follows in ENDINGS else [before]
    if mark == ":":
        clock = SHORT_NUMBER.fullmatch(last) and SHORT_NUMBER.fullmatch(follows)  # 12 : 30, 4 : 3
        return [before, end] if clock else [before]
    if mark in JOINED:
        return [before, end] if JOINED[mark](last, follows, _after(text, end + 1 + len(follows))) else []
    if mark == "%":
        return [before] if number else []
    if mark == "°":  # 20 °C, 9°24′
        return [] if not number else [end] if follows in ("C", "F") else [before, end] if to_number else [before]
    if mark in "′″":
        on = to_number or follows.rstrip(".") in ("N", "S", "E", "W")
        return [] if not number else [before, end] if on else [before]
    if mark in CURRENCIES:
        return [] if not to_number else [before, end] if last in DOLLARS else [end]
    return [end] if to_number and (last.islower() or last in ("", "(", "/")) else []  # below − 80


def _range(last: str, follows: str, then: str) -> bool:
    """5 – 6, 1934 – 37, but 15 July 1914 – 23 December 1976."""
    return last[-1:].isnumeric() and follows[:1].isnumeric() and not (len(last) == 4 and MONTH.match(then))


JOINED: dict[str, Callable[[str, str, str], bool]] = {  # by the word before, the word after and the next
    "—": lambda last, follows, _: bool(last and follows),
    "‑": lambda last, follows, _: last[-1:].isalnum() and follows[:1].isalnum(),
    "/": lambda last, follows, _: last[-1:].isalnum() and follows[:1].isalnum() and (last + follows).isascii(),
    "–": _range,
    "&": lambda last, follows, _: all(len(word) <= 2 and word.isupper() for word in (last, follows)),  # R & B, AT & T
}
