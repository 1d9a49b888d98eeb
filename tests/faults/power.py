"""Power cuts: the process is gone at some call, and so is all that it had not forced to the disk.

The layer logs what was written, forced out, renamed and cut, in order. Of each file the bytes beyond those that an
fsync covered may be lost after a power cut: they are cut off, or zeros (a file system that knew the length and had not
written the blocks), or there. What names a directory holds is taken to be as at the cut, as on a file system with a
journal of its metadata (ext4, xfs); so an fsync of a directory is not what this tests.
"""

import random
from pathlib import Path

from kills import go_on, runs, tail, undisturbed
from outcome import Fault, Outcome
from shim import CHANGES, Failure
from toy_lab import LOST, Reference, reached

TRIALS = 120


def forced(log: Path, before: dict[str, int]) -> dict[str, int]:
    """How many bytes of each file are on the disk, by the log. `before`: sizes of what was there, all of it on disk."""
    safe = dict(before)
    for line in log.read_text().splitlines():
        what, path, other, number = line.split("\t")
        if what == "rename":
            inside = [name for name in safe if name == path or name.startswith(path + "/")]
            moved = {other + name[len(path) :]: safe.pop(name) for name in inside}
            safe.pop(other, None)
            safe |= moved
        elif what == "sync":
            safe[path] = int(number)
        elif what == "empty":
            safe[path] = 0
        elif what == "cut":
            safe[path] = min(safe.get(path, 0), int(number))
        elif what == "remove":
            safe.pop(path, None)
    return safe


def lose(lab: Path, safe: dict[str, int], chance: random.Random) -> int:
    """Do to the files of a lab what a power cut does to bytes that no fsync covered; returns how many files it hit."""
    hit = 0
    for path in sorted(path for path in lab.rglob("*") if path.is_file()):
        size, known = path.stat().st_size, safe.get(str(path), 0)
        fate = chance.choice(("cut", "zeros", "part", "kept"))
        if known >= size or fate == "kept":
            continue
        hit += 1
        with path.open("r+b") as file:
            file.truncate(chance.randint(known, size) if fate == "part" else known)
            if fate == "zeros":
                file.truncate(size)
    return hit


def while_training(reference: Reference, chance: random.Random, number: int) -> Outcome:
    calls = undisturbed(reference, "train", reference.made)
    with reference.copy(reference.made) as lab:
        sizes = {str(path): path.stat().st_size for path in lab.rglob("*") if path.is_file()}
        log = reference.folder / "changes.log"
        log.unlink(missing_ok=True)
        nth = 1 + (number * calls // TRIALS + chance.randrange(max(1, calls // TRIALS))) % calls
        failure = Failure(str(lab), "kill before", nth, calls=CHANGES, log=str(log))
        ended = reference.machine.go("train", reference.recipe, "--lab", lab, failure=failure)
        if ended.code not in (0, -9):
            return Outcome(ended.words, f"a command to be cut off ends with {ended.words}: {tail(ended)}")
        done = max(map(reached, runs(lab)), default=0)
        lose(lab, forced(log, sizes), chance)
        outcome = go_on(reference, lab, "train", reference.facts, done=done)
        return Outcome(outcome.observed, outcome.wrong, outcome.lost)


FAULTS = [
    Fault("power-cut", "all that no fsync covered is cut off, zeros, or there: the same command goes on, ends with the "
          "same bits and rows", while_training, TRIALS, 12, LOST, needs_layer=True),
]  # fmt: skip
