"""File calls that fail, once or for good: errors of the disk, short writes, interrupted and slow calls."""

import errno
import random
from pathlib import Path

from kills import go_on, tail, undisturbed
from outcome import Fault, Outcome
from shim import CHANGES, Failure
from toy_lab import LOST, Facts, Reference, differences, run_of

KINDS = ("write", "sync", "rename", "open", "remove", "make", "cut")


def tried(
    reference: Reference,
    failure: Failure,
    lab: Path,
    allowed: tuple[str, ...],
    verb: str = "train",
    wanted: Facts | None = None,
) -> Outcome:
    """A command under a failure: it ends well with the undisturbed bits, or with an allowed error, after which the same
    command, undisturbed, ends so."""
    wanted = wanted or reference.facts
    ended = reference.machine.go(verb, reference.recipe, "--lab", lab, failure=failure)
    if ended.code == 0:
        return Outcome("not noticed, same bits", differences(run_of(lab), wanted))
    if ended.error not in allowed or ended.code != 3:
        return Outcome(ended.words, f"it ends with {ended.words}: {tail(ended)}")
    after = go_on(reference, lab, verb, wanted)
    return Outcome(f"{ended.error}, then goes on", after.wrong, after.lost)


def disk_error(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """EIO, once or from some call on, at calls of one kind or of any that changes a file."""
    calls = undisturbed(reference, "train", reference.made)
    kinds = chance.choice((CHANGES, *((kind,) for kind in KINDS)))
    nth = chance.randint(1, calls if len(kinds) > 1 else calls // 5)
    with reference.copy(reference.made) as lab:
        return tried(
            reference, Failure(str(lab), "fail", nth, chance.choice((0, 1)), kinds), lab, ("disk-error", "disk-full")
        )


def disk_full(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """ENOSPC (or a quota's EDQUOT) at whatever needs room, from some call on."""
    calls = undisturbed(reference, "train", reference.made)
    with reference.copy(reference.made) as lab:
        failure = Failure(
            str(lab), "fail", chance.randint(1, calls // 2), 1, ("open", "write", "make", "cut"),
            argument=chance.choice((errno.ENOSPC, errno.ENOSPC, errno.EDQUOT)),
        )  # fmt: skip
        return tried(reference, failure, lab, ("disk-full",))


def unreadable(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """EIO while files are read, by a command that has to read a checkpoint."""
    with reference.copy(reference.half) as lab:
        failure = Failure(str(lab), "fail", chance.randint(1, 120), chance.choice((0, 0, 7)), ("read",))
        return tried(reference, failure, lab, ("disk-error", "artifact-damaged", "checkpoint-damaged", "run-damaged"))


def unnoticed(reference: Reference, failure: Failure, lab: Path) -> Outcome:
    ended = reference.machine.go("train", reference.recipe, "--lab", lab, failure=failure)
    if ended.code != 0:
        return Outcome(ended.words, f"it ends with {ended.words}: {tail(ended)}")
    return Outcome("not noticed, same bits", differences(run_of(lab), reference.facts))


def short(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """Writes and reads that do only half of what they were asked, now and then or always."""
    with reference.copy(chance.choice((None, *[reference.made] * 9))) as lab:
        return unnoticed(
            reference, Failure(str(lab), "short", chance.randint(1, 9), chance.randint(1, 5), ("write", "read")), lab
        )


def interrupted(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """EINTR, as a signal causes it."""
    kinds = ("write", "read", "sync", "open")
    with reference.copy(reference.made) as lab:
        failure = Failure(str(lab), "fail", chance.randint(1, 9), chance.randint(2, 9), kinds, argument=errno.EINTR)
        return unnoticed(reference, failure, lab)


def slow(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A disk that takes its time to force bytes out."""
    with reference.copy(reference.made) as lab:
        failure = Failure(
            str(lab), "delay", chance.randint(1, 9), chance.randint(5, 20), ("sync",), argument=chance.randint(10, 150)
        )
        return unnoticed(reference, failure, lab)


AFTER = "a named error or no harm; the same command then goes on, ends with the same bits and rows"
FAULTS = [
    Fault("disk-error", f"EIO at a file call, once or for good: {AFTER}", disk_error, 80, 8, LOST, needs_layer=True),
    Fault("disk-full-call", f"no room, or no quota, from a file call on: disk-full; {AFTER}", disk_full, 40, 5, LOST,
          needs_layer=True),
    Fault("unreadable", f"EIO while reading: {AFTER}", unreadable, 40, 5, LOST, needs_layer=True),
    Fault("short", "reads and writes do half of what was asked: no difference", short, 30, 3, needs_layer=True),
    Fault("interrupted", "calls are interrupted by signals: no difference", interrupted, 30, 3, needs_layer=True),
    Fault("slow", "fsync takes up to 0.15 s: no difference", slow, 10, 1, needs_layer=True),
]  # fmt: skip
