"""The text of a row as it grows, for whoever reads along: whole characters, and nothing behind a stop string."""

import codecs


class Text:
    """Takes tokens and gives out text, in pieces that are final.

    Characters that are spelt by several tokens appear when they are whole; bytes that are no UTF-8 become U+FFFD. What
    may turn out to be the beginning of a stop string is held back until that is decided.
    """

    def __init__(self, spellings: list[bytes], stop: list[str], tail: bytes = b"") -> None:
        """tail: bytes of a character that was begun before."""
        self.spellings, self.stop = spellings, stop
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.decoder.decode(tail)
        self.held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """What the token adds to the text that can be shown."""
        return self._show(self.decoder.decode(self.spellings[token]))

    def finish(self) -> str:
        """The rest, when no token follows."""
        shown = self._show(self.decoder.decode(b"", final=True))
        rest, self.held = self.held, ""
        return shown + rest

    def _show(self, new: str) -> str:
        if self.stopped or not new:
            return ""
        text = self.held + new
        ends = [at for at in (text.find(stop) for stop in self.stop) if at >= 0]
        if ends:
            self.stopped, self.held = True, ""
            return text[: min(ends)]
        hold = max((_overlap(text, stop) for stop in self.stop), default=0)
        self.held = text[len(text) - hold :]
        return text[: len(text) - hold]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that is a beginning of the stop string, but not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
