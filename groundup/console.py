"""What people see while work goes on: plain lines on stderr; on a terminal, one line that moves."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from groundup.processes import here

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """The text with U+FFFD for what is not Unicode: file names need not be."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def harmless(text: str) -> str:
    """The text with U+FFFD for control characters other than line ends and tabs: a terminal would obey them."""
    return CONTROL.sub("\ufffd", text)


def say(line: str) -> None:
    """Print one line to stderr: stdout is kept for data. Of several processes only the leading one speaks."""
    if here().rank == 0:
        line = printable(line)
        print(harmless(line) if sys.stderr.isatty() else line, file=sys.stderr, flush=True)


class Advance(Protocol):
    def __call__(self, amount: int) -> None: ...


def duration(seconds: float) -> str:
    """1:02:03, 4:05 or 7s."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def progress_line(label: str, done: int, total: int | None, unit: str, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    line = f"{label}: {done:,}" + (f"/{total:,}" if total else "") + f" {unit}, {rate:,.0f} {unit}/s"
    return line + (f", {duration((total - done) / rate)} left" if total and 0 < done < total else "")


@contextmanager
def progress(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show progress with speed and time left; `total` and `unit` are what `advance` counts in.

    On a terminal the line is redrawn five times a second; elsewhere a line appears every ten seconds.
    """
    terminal = sys.stderr.isatty()
    interval = 0.2 if terminal else 10.0
    start = shown = time.monotonic()
    done = 0

    def advance(amount: int) -> None:
        nonlocal done, shown
        done += amount
        now = time.monotonic()
        if now - shown >= interval:
            shown = now
            line = progress_line(label, done, total, unit, now - start)
            print(f"\r\x1b[2K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        if terminal and shown > start:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
