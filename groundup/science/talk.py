"""`groundup chat`: a run's writer, and a person at a terminal, or a program at a pipe."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from groundup.console import say
from groundup.errors import GroundupError
from groundup.generate.chat import Chat
from groundup.science.judge import open_writer, sample_options
from groundup.store.runs import Run


def talk(
    run: Run, which: str, given: dict[str, Any], device: str = "auto", show: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Answer the lines of stdin until they end; `show` gets the texts as they are written. A row for each of them.

    On a terminal a mistake is named and the next line awaited; else it ends the command.
    Raises GroundupError `no-checkpoint` and its like, `bad-prompt`, `not-finite`.
    """
    checkpoint, writer = open_writer(run, which, device)
    if sys.stdin is None:  # it was closed
        return []
    terminal = sys.stdin.isatty()
    chat = Chat(
        writer, lambda some: sample_options(run, some), given, show or (lambda text: None), say, careful=not terminal
    )
    if terminal:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # unlike Ctrl-C it is meant for the program, not for the text
        say(f"{run.name} at step {checkpoint.step}. Type a beginning, and it goes on; /help for more.")
    chat.go(_typed() if terminal else _piped())
    return [{"step": checkpoint.step, **one} for one in chat.rows]


def _typed() -> Iterator[str]:
    """The lines that a person types, with the editing and history that the system has."""
    with contextlib.suppress(ImportError):  # Windows has none
        import readline  # noqa: F401
    prompt = "> " if sys.stdout.isatty() else ""
    while True:
        try:
            yield input(prompt)
        except UnicodeDecodeError:
            say("that line is not UTF-8")
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            say("\nCtrl-D or /quit ends")


def _piped() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            what = f"line {number} of stdin is not UTF-8"
            raise GroundupError("bad-prompt", what, "convert it, e.g. with iconv -f latin1 -t utf-8") from None
