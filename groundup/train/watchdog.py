"""A process that makes no progress says where it stands, and ends, so that whoever waits for it can start it again."""

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundup.errors import GroundupError
from groundup.processes import here

LONG = 1800.0  # seconds, besides, for what cannot say how far it is: the compiler, a sample, a checkpoint being written
LOOK = 0.5  # seconds between looks
AWAY = 5.0  # seconds between two looks from which on it was the whole process that did not run, as after Ctrl-Z
WRITING = 5.0  # seconds in which the stacks may get onto a disk: it may be the disk that hangs


class Watchdog:
    """To be fed in time. With minutes = None it needs no food."""

    def __init__(self, run: Path, minutes: float | None) -> None:
        self.run, self.limit = run, None if minutes is None else 60 * minutes
        self.until, self.pauses = 0.0, 0
        self.feed()

    def feed(self, patience: float = 0.0) -> None:
        """There was progress; the next may take `patience` seconds longer than the limit."""
        self.until = time.monotonic() + (self.limit or 0.0) + patience

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it, it is another's progress that is waited for."""
        self.pauses += 1
        try:
            yield
        finally:
            self.feed()
            self.pauses -= 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it, a thread ends the process with the exit code of `hung` when nobody feeds it in time.

        A thread that hangs without giving back Python's lock stops this one, too: that is not found.
        """
        done = threading.Event()
        self.feed()
        thread = threading.Thread(target=self._watch, args=(done,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _watch(self, done: threading.Event) -> None:
        last = time.monotonic()
        while not done.wait(LOOK):
            now = time.monotonic()
            if now - last > AWAY:
                self.until += now - last
            last = now
            if self.limit is not None and not self.pauses and now > self.until:
                self._bark()

    def _bark(self) -> None:
        rank = here().rank
        stacks = self.run / (f"stacks-{rank}.txt" if rank else "stacks.txt")
        hung = GroundupError(
            "hung",
            f"no progress for {self.limit or 0:.0f} s; where each thread stands is below and in {stacks}",
            "look there; the same command goes on from the last checkpoint; train.hang_minutes is how long to wait",
        )
        who = f"process {rank}: " if rank else ""
        _tell(f"{who}error: {hung}\n  fix: {hung.fix}\n  more: groundup explain {hung.code}\n")
        faulthandler.dump_traceback(2)
        writer = threading.Thread(target=_write, args=(stacks,), daemon=True)
        writer.start()
        writer.join(WRITING)
        os._exit(hung.exit_code)


def _tell(text: str) -> None:
    os.write(2, text.encode())  # sys.stderr may be locked by the thread that hangs


def _write(path: Path) -> None:
    with path.open("w") as file:
        faulthandler.dump_traceback(file)
