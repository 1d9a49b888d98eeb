"""Which checkpoints are deleted, and how a reader keeps one: by a lock, which ends with the reader in any case."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from groundup.errors import GroundupError
from groundup.store.runs import Run
from groundup.train.checkpoint import MANIFEST, Checkpoint, best, look, paths, select
from groundup.train.writing import DELETING

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted in any case
    fcntl = None  # type: ignore[assignment]


def retire(run: Run, keep: int) -> None:
    """Delete all but the newest `keep`, the best, and those in use. Damaged ones are left for a person to look at.

    A deletion cut short leaves no half checkpoint in sight.
    """
    found = [one for one in map(look, paths(run)) if isinstance(one, Checkpoint)]
    kept = {one.path for one in found[-keep:]} | {one.path for one in [best(found)] if one}
    for one in found:
        if one.path not in kept:
            _delete(one.path)


def _delete(path: Path) -> None:
    hidden = path.with_name(f"{DELETING}{path.name}")
    try:
        with (path / MANIFEST).open("rb") as file:
            if not _locked(file, exclusive=True):
                return
            if fcntl is not None:
                path.rename(hidden)  # while it is locked, so that nobody begins to read it
        if fcntl is None:
            path.rename(hidden)
    except FileNotFoundError:  # somebody else has deleted it
        return
    shutil.rmtree(hidden, ignore_errors=True)


def _locked(file: IO[bytes], exclusive: bool) -> bool:
    """Take the lock if it can be had at once; it goes when the file is closed. Readers share it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, on which the last few checkpoints are safe all the same
        return True
    return True


def in_use(path: Path) -> bool:
    """Whether a process reads the checkpoint and wants it kept."""
    try:
        with (path / MANIFEST).open("rb") as file:
            return not _locked(file, exclusive=True)
    except OSError:
        return False


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Within it retention leaves the checkpoint alone, also that of another process; False: it was gone already."""
    try:
        file = (path / MANIFEST).open("rb")
    except OSError:
        yield False
        return
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_SH)  # a deletion holds the lock for a moment only
            except OSError:
                yield True
                return
        yield _still_there(file, path)


def _still_there(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), (path / MANIFEST).stat())
    except OSError:
        return False


@contextmanager
def reading(run: Run, which: str) -> Iterator[Checkpoint]:
    """The checkpoint that `checkpoint.select` finds, kept from deletion as long as it is read.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`.
    """
    for _ in range(10):  # a run that trains may delete it between being found and being held
        found = select(run, which)
        with held(found.path) as there:
            if there:
                yield found
                return
    raise GroundupError("no-checkpoint", f"the checkpoints of {run.name} go faster than they can be read", "try again")
