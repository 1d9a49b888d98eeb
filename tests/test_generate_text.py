"""What is shown of a growing text is whole characters, never what a stop string may still take back."""

from hypothesis import given
from hypothesis import strategies as st

from groundup.generate.text import Text

BYTES = [bytes([byte]) for byte in range(256)]


def written(tokens: bytes, stop: list[str]) -> tuple[list[str], Text]:
    """The pieces that are shown, byte by byte, until the text stops or ends."""
    text, shown = Text(BYTES, stop), []
    for token in tokens:
        shown.append(text.add(token))
        if text.stopped:
            return shown, text
    return [*shown, text.finish()], text


@given(st.binary(max_size=30))
def test_whatever_bytes_come_the_pieces_are_the_text(raw: bytes) -> None:
    pieces, _ = written(raw, [])
    assert "".join(pieces) == raw.decode("utf-8", "replace")


@given(st.text(max_size=20))
def test_no_piece_holds_half_a_character(text: str) -> None:
    pieces, _ = written(text.encode(), [])
    assert "".join(pieces) == text and ("\ufffd" in text or not any("\ufffd" in piece for piece in pieces))
    assert pieces[-1] == "", "each character is shown when its last byte is there"


@given(st.text("abé", max_size=20), st.lists(st.text("abé", min_size=1, max_size=4), max_size=3))
def test_the_text_ends_before_the_first_stop_string_and_shows_nothing_of_it(text: str, stop: list[str]) -> None:
    pieces, end = written(text.encode(), stop)
    ends = [at for at in map(text.find, stop) if at >= 0]
    # the first of them to be whole decides, as nothing is known of what would follow
    whole = min((text.find(one) + len(one) for one in stop if one in text), default=None)
    known = text if whole is None else text[:whole]
    assert end.stopped == bool(ends)
    assert "".join(pieces) == known[: min((at for at in map(known.find, stop) if at >= 0), default=len(known))]


def test_what_cannot_become_a_stop_string_is_shown_at_once() -> None:
    pieces, _ = written(b"one\n\ntwo", ["\n\n\n"])
    assert pieces == ["o", "n", "e", "", "", "\n\nt", "w", "o", ""]
