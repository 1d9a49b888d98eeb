"""What differs between two texts, word by word."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from groundup.report.page import Piece

COMPARED = 300  # words of each text: difflib's time grows with their product
AROUND = 12  # equal words shown on each side of a change
LONGEST = 120  # characters shown of one word


def differences(before: str, after: str, compared: int = COMPARED, around: int = AROUND) -> list[Piece]:
    """The pieces of `after` with what is `new` in it and what is `gone` from `before`; space is not compared.

    Equal beginnings and ends of any length are passed over at once; of the words between them, the first `compared` of
    each text are compared, and a `gap` says how many are not. Stretches of equal words are shortened to a `gap`, too.
    """
    old, new = before.split(), after.split()
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    left, right = old_middle[:compared], new_middle[:compared]
    pieces = list(_equal(new[:start], 0, around))
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces += _equal(right[c:d], around, around)
        else:
            pieces += [Piece(_joined(left[a:b]), "gone")] if b > a else []
            pieces += [Piece(_joined(right[c:d]), "new")] if d > c else []
    if cut := [len(old_middle) - len(left), len(new_middle) - len(right)]:
        pieces += [Piece(f"[… {cut[0]:,} and {cut[1]:,} words not compared]", "gap")] if any(cut) else []
    return pieces + list(_equal(new[len(new) - end :], around, 0))


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words at the beginning are the same."""
    for place, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return place
    return min(len(a), len(b))


def _equal(words: Sequence[str], first: int, last: int) -> Iterator[Piece]:
    """Equal words, of a long stretch only the `first` and the `last` ones."""
    left_out = len(words) - first - last
    if left_out <= 8:  # the note would be hardly shorter
        yield from [Piece(_joined(words))] if words else []
        return
    yield from [Piece(_joined(words[:first]))] if first else []
    yield Piece(f"[… {left_out:,} equal words]", "gap")
    yield from [Piece(_joined(words[-last:]))] if last else []


def _joined(words: Sequence[str]) -> str:
    return " ".join(word if len(word) <= LONGEST else word[:LONGEST] + "…" for word in words)
