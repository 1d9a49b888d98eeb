"""Saving while training goes on: a copy of the state in main memory, which a thread writes to the disk.

The files are those of a save that training waits for, byte for byte. At most one save is pending; the next one waits
for it. A thread cannot tell anyone that the disk is full, so its failure is raised in the training thread, by the next
call of `poll`, `begin` or `finish`.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from types import TracebackType

import torch
from torch import Tensor

from groundup.console import say
from groundup.store.runs import Run
from groundup.train.checkpoint import Checkpoint
from groundup.train.retention import retire
from groundup.train.writing import Contents, write

MEMORY = Path("/proc/meminfo")
ROOM = 3  # times the state's bytes that must be free for a copy: there is other need for memory, too


@dataclass
class _Pending:
    thread: Thread
    contents: Contents
    blocked: float  # seconds that training waited
    outcome: Checkpoint | BaseException | None = None
    seconds: float = 0.0  # of writing


class Saver:
    """Writes a run's checkpoints and retires old ones, in the background where `background` says so.

    To be entered as a context: whatever ends it, the pending save is waited for.
    """

    def __init__(self, run: Run, keep: int, background: bool) -> None:
        self.run, self.keep, self.background = run, keep, background
        self.pending: _Pending | None = None
        self.copies: dict[str, Tensor] = {}

    def save(self, contents: Contents, wait: bool) -> None:
        """Save, at the latest when `finish` returns; with `wait`, before this returns. Raises OSError, also of the save
        before this one."""
        start = time.perf_counter()
        self.finish()
        ready: torch.cuda.Event | None = None
        background = self.background and not wait
        if background:
            contents, ready = self._copied(contents)
        thread = Thread(target=self._work, args=(ready,), name="saving", daemon=True)
        self.pending = _Pending(thread, contents, 0.0)
        if background:
            thread.start()
            self.pending.blocked = time.perf_counter() - start
            return
        self._work(None)
        self.pending.blocked = time.perf_counter() - start
        self.finish()

    def poll(self) -> None:
        """Take note of a save that has ended. Raises OSError if it failed."""
        if self.pending and not self.pending.thread.is_alive():
            self.finish()

    def finish(self) -> None:
        """Wait for the pending save, if there is one. Raises OSError if it failed."""
        if self.pending is None:
            return
        if self.pending.thread.ident is not None:
            self.pending.thread.join()
        done, self.pending = self.pending, None
        if isinstance(done.outcome, BaseException):
            raise done.outcome
        state = done.contents.state
        facts = {"bytes": done.contents.size(), "seconds": round(done.seconds, 4), "blocked": round(done.blocked, 4)}
        self.run.log_event("checkpoint", step=done.contents.step, valid_bpb=state["valid_bpb"], **facts)
        if isinstance(done.outcome, Checkpoint):
            say(f"saved checkpoint {done.outcome.path}")

    def _work(self, ready: "torch.cuda.Event | None") -> None:
        pending, start = self.pending, time.perf_counter()
        assert pending
        try:
            if ready is not None:
                ready.synchronize()
            pending.outcome = write(self.run, pending.contents)
            retire(self.run, self.keep)
        except BaseException as error:  # whatever it is, the training thread is to hear of it
            pending.outcome = error
        pending.seconds = time.perf_counter() - start

    def _copied(self, contents: Contents) -> "tuple[Contents, torch.cuda.Event | None]":
        """The contents as they are now, in memory of their own; from a GPU when the event has come to pass.

        The copies from a GPU go into pinned memory, so the processor need not wait for them; and they stand in line
        before the next update, which therefore changes nothing that has not been copied.
        """
        parts = [
            {name: self._copy(f"{which}/{name}", tensor) for name, tensor in part.items()}
            for which, part in (("model", contents.model), ("optimizer", contents.optimizer))
        ]
        ready = None
        if any(tensor.is_cuda for tensor in contents.model.values()):
            ready = torch.cuda.Event()
            ready.record()
        return replace(contents, model=parts[0], optimizer=parts[1]), ready

    def _copy(self, key: str, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        copy = self.copies.get(key)
        if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
            copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self.copies[key] = copy  # kept: to pin memory, or to touch it first, takes longer than to fill it
        return copy.copy_(tensor, non_blocking=True)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.finish()
        except OSError as failure:
            if error is None:
                raise
            if failure is not error:  # what ended the training is said by its own error
                say(f"warning: the last checkpoint could not be written: {failure}")


def affordable(size: int) -> bool:
    """Whether main memory has room for a copy of so many bytes; True where the system does not tell (Linux does)."""
    try:
        lines = MEMORY.read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return True
    return free >= ROOM * size
