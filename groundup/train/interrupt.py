"""Signals that ask to stop: the step is finished and saved, and the exit code is 4. A second one stops at once."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from groundup.errors import INTERRUPTED
from groundup.processes import here, stop_signals

LUMP = 0.5  # seconds in which several are one: launchers hand on what a scheduler has sent to all processes anyway
GRACE = 5.0  # seconds to clean up in after the second one
ORDERS = (signal.SIGINT, signal.SIGTERM)  # of a person; the others are a scheduler's notice, or a terminal that closed


@dataclass
class Requests:
    """Which signals have come, and when."""

    first: int | None = None
    at: float = 0.0

    def second(self, number: int, now: float) -> bool:
        """Take in a signal; whether it is one that means: at once.

        That is the first one again, or SIGINT and SIGTERM after each other. SIGTERM after a notice is only what
        Slurm sends next: what is being saved is still to be finished before its SIGKILL.
        """
        if self.first is None:
            self.first, self.at = number, now
            return False
        again = number == self.first or (number in ORDERS and self.first in ORDERS)
        return again and now - self.at > LUMP


class Interrupt(Exception):
    """True once the process was asked to stop. It can be raised, to break off what takes long and can be done later."""

    def __init__(self) -> None:
        super().__init__("asked to stop")
        self.requests = Requests()

    def __bool__(self) -> bool:
        return self.requests.first is not None


@contextmanager
def interruptible(interrupt: Interrupt | None = None) -> Iterator[Interrupt]:
    """Turn the first signal that asks to stop into a request; the second raises KeyboardInterrupt.

    Python runs a signal's handler only between two of its own instructions. So a thread listens, too: it ends the
    process some seconds after a second signal, should that hang in a library or a file system.
    """
    interrupt = Interrupt() if interrupt is None else interrupt

    def ask(number: int, frame: FrameType | None) -> None:
        fresh = not interrupt
        if interrupt.requests.second(number, time.monotonic()):
            _say("stopping at once")
            raise KeyboardInterrupt
        if fresh:
            _say(f"{signal.Signals(number).name}: finishing this step and saving; once more stops at once")

    hears, speaks = socket.socketpair()
    speaks.setblocking(False)
    listener = threading.Thread(target=_listen, args=(hears,), name="signals", daemon=True)
    before = {number: signal.signal(number, ask) for number in stop_signals()}
    descriptor = signal.set_wakeup_fd(speaks.fileno(), warn_on_full_buffer=False)
    listener.start()
    try:
        yield interrupt
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        speaks.close()


def _listen(hears: socket.socket) -> None:
    requests = Requests()
    while number := hears.recv(1):  # nothing: the other end is closed
        if number[0] in stop_signals() and requests.second(number[0], time.monotonic()):
            time.sleep(GRACE)
            os._exit(INTERRUPTED)


def _say(text: str) -> None:
    """As console.say, but a handler must not print: it may have broken in on a print."""
    if here().rank == 0:
        os.write(2, f"{text}\n".encode())
