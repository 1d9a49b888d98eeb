"""A conversation of one kind: a person gives a beginning, the model goes on. Lines in, texts out.

It knows neither terminals nor runs: `talk` is given where lines come from and where text goes.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from groundup.errors import GroundupError
from groundup.generate.sampler import Writer, Written, outgrown, row, unreadable
from groundup.recipe.sampling import PRESET_KEYS
from groundup.recipe.schema import Sample

HELP = """a line          the model goes on from it (an empty one: from nothing; //x: from /x)
/more           go on with the last text
/again          the last prompt once more, with the next seed
/history        what was written so far
/preset NAME    safe, balanced or wild
/seed N         of the next text; it counts on from there
/KEY VALUE      another setting: KEYS; /KEY alone takes it back
/settings       the settings as they are
/help, /quit    (Ctrl-D quits, too; Ctrl-C stops a text)"""
KEYS = (
    "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "no_repeat_ngram", "stop", "max_tokens",
)  # fmt: skip
SETTABLE = ("preset", "seed", *KEYS)
COMMANDS = ("help", "quit", "more", "again", "history", "settings", *SETTABLE)


@dataclass
class Chat:
    """What is settled and what was said."""

    writer: Writer
    settle: Callable[[dict[str, Any]], Sample]  # options from what is given; raises GroundupError
    given: dict[str, Any]
    show: Callable[[str], None]  # text, as it is written
    note: Callable[[str], None]  # everything else
    careful: bool  # whether a mistake ends it all, as when nobody is there to see it
    texts: list[Written] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)  # the texts as they were when each was shown

    def __post_init__(self) -> None:
        self.options = self.settle(self.given)
        self.seed = self.options.seed

    def go(self, lines: Iterator[str]) -> None:
        """Answer each line until they end or one says /quit. Raises GroundupError if `careful`."""
        for line in lines:
            try:
                if line.startswith("/") and not line.startswith("//"):
                    if not self._command(line[1:].strip()):
                        return
                else:
                    self._write(line[1:] if line.startswith("//") else line)
            except GroundupError as error:
                if self.careful:
                    raise
                self.note(f"{error.what} [{error.code}]; {error.fix}")

    def _command(self, line: str) -> bool:
        """Do what the line says; False when it says to quit."""
        name, _, value = line.partition(" ")
        name, value = name.strip().replace("-", "_"), value.strip()
        if name == "quit":
            return False
        if name == "help":
            self.note(HELP.replace("KEYS", ", ".join(KEYS)))
        elif name == "more":
            self._more()
        elif name == "again":
            self._write(self._last().prompt)
        elif name == "history":
            for number, text in enumerate(self.texts, 1):
                self.note(f"{number}. [seed {text.seed}] {' '.join(text.text.split())[:200]}")
        elif name == "settings":
            shown = {key: getattr(self.options, key) for key in SETTABLE} | {"seed": self.seed}
            self.note(", ".join(f"{key} {value}" for key, value in shown.items()))
        elif name in SETTABLE:
            self._set(name, value)
        else:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            raise GroundupError("usage", f"there is no /{name}", f"did you mean /{near[0]}?" if near else "/help")
        return True

    def _set(self, key: str, value: str) -> None:
        given = {name: kept for name, kept in self.given.items() if name != key}
        if key == "preset":  # it is to be heard: what it sets is no longer what was set before
            given = {name: kept for name, kept in given.items() if name not in PRESET_KEYS}
        if value:
            given[key] = [value.replace("\\n", "\n").replace("\\t", "\t")] if key == "stop" else value
        self.options, self.given = self.settle(given), given
        if key == "seed":
            self.seed = self.options.seed
        self.note(f"{key} {getattr(self.options, key)}")

    def _last(self) -> Written:
        if not self.texts:
            raise GroundupError("usage", "nothing was written yet", "type a beginning")
        return self.texts[-1]

    def _write(self, prompt: str) -> None:
        for line in unreadable(self.writer, [prompt]):
            self.note(line)
        (text,) = self.writer.begin(
            self.options.model_copy(update={"prompts": [prompt], "samples": 1, "seed": self.seed})
        )
        self.seed = (self.seed + 1) % 2**63
        self.texts.append(text)
        self.show(text.prompt)
        self._on(text)

    def _more(self) -> None:
        text = self._last()
        text.seed, self.seed = self.seed, (self.seed + 1) % 2**63
        self.writer.whole(text)
        self.show(text.text)
        self._on(text)

    def _on(self, text: Written) -> None:
        """Let the text be written. Ctrl-C ends it where it is."""
        before = text.moved
        try:
            for _, piece in self.writer.write([text], self.options):
                self.show(piece.text)
        except KeyboardInterrupt:
            if self.careful:
                raise
        finally:
            self.show("\n\n")
            self.rows.append(row(text, self.options))
        if text.moved and not before:
            self.note(outgrown(self.writer, "the text"))
