"""The world around a run: real full and read-only disks, limits, clocks, signals, trackers, numbers that are none."""

import contextlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from errors import unnoticed
from kills import go_on, tail, undisturbed
from outcome import Fault, Outcome
from shim import Failure
from toy_lab import LOST, STEPS, Reference, differences, facts_of, rows_of, run_of, steps_of

NOBODY = 65534


@contextmanager
def disk(reference: Reference, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory, of so many MB; `copy` makes its lab there."""
    place = reference.folder / "disk"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@cache
def mounts() -> bool:
    """Whether this process may mount file systems: being root is not enough in many containers."""
    with tempfile.TemporaryDirectory() as place:
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True, capture_output=True)
            subprocess.run(["umount", "-l", place], check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


def fill(ballast: Path, room: int) -> None:
    """Write a file that leaves so many bytes on its disk, or as few as can be left when others write, too."""
    free = shutil.disk_usage(ballast.parent).free
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        file.write(bytes(max(0, free - room)))


def full_disk(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A real small disk with little room left: for artifacts, metrics, checkpoints, evaluation and report."""
    verb = chance.choice(("train", "train", "run"))
    with disk(reference, 8) as place:
        lab = place / "lab"
        if number % 12:
            shutil.copytree(reference.made, lab)
        ballast = place / "ballast"
        # What a run needs lies between nothing and 1.3 MB; little room is where most of it can go wrong.
        room = 4096 * int(330 * chance.random() ** 2)
        late = number % 3 > 0  # when what groundup looks at before it trains has found room enough
        if not late:
            fill(ballast, room)
        child = reference.machine.start(verb, reference.recipe, "--lab", lab)
        if late and child.has_said(f"step {chance.randint(1, 9)}/"):
            fill(ballast, room // 2)
        ended = child.wait()
        ballast.unlink(missing_ok=True)
        wanted = reference.facts if verb == "train" else reference.finished_facts
        if ended.code == 0:
            return Outcome("room enough", differences(run_of(lab), wanted), injected=0)
        if ended.error not in ("disk-full", "disk-too-small") or ended.code != 3:
            return Outcome(ended.words, f"{verb} ends with {ended.words}: {tail(ended)}")
        after = go_on(reference, lab, verb, wanted)
        return Outcome(f"{ended.error}, then goes on", after.wrong, after.lost)


def file_limit(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A limit on the size of files (ulimit -f)."""
    with reference.copy(reference.made) as lab:
        # stderr is a file here, too: a limit that it reaches would be another fault.
        limit = int(10 ** chance.uniform(4, 5.3))
        ended = reference.machine.go("train", reference.recipe, "--lab", lab, file_size=limit)
        if ended.code == 0:
            return Outcome("room enough", differences(run_of(lab), reference.facts), injected=0)
        if ended.error not in ("disk-full", "disk-error", "disk-too-small") or ended.code != 3:
            return Outcome(ended.words, f"{limit} bytes: {ended.words}: {tail(ended)}")
        after = go_on(reference, lab, "train", reference.facts)
        return Outcome(f"{ended.error}, then goes on", after.wrong, after.lost)


def read_only(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A lab that may be read and not written to: another user's, or on a disk mounted so."""
    with disk(reference, 8) as place:
        lab, user = place / "lab", None
        shutil.copytree(reference.half, lab)
        kept = facts_of(run_of(lab))
        reference.folder.chmod(0o755)
        if number % 2:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        else:
            user = NOBODY
        for verb, words, wanted in (
            ("ls", [], None),
            ("sample", ["last"], None),
            ("train", [reference.recipe], "not-writable"),
            ("eval", ["last"], "not-writable"),
            ("report", ["last"], "not-writable"),
        ):
            home = {"HOME": str(place)}
            ended = reference.machine.go(verb, *words, "--lab", lab, user=user, environment=home)
            if ended.error != wanted or ended.code != (3 if wanted else 0):
                return Outcome(ended.words, f"{verb} ends with {ended.words}: {tail(ended)}")
        if facts_of(run_of(lab)) != kept:
            return Outcome("changed", "the run was changed")
        if number % 2:
            subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        after = go_on(reference, lab, "train", reference.facts, done=0)
        return Outcome("not-writable; reading works", after.wrong, injected=5)


def clock(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """The wall clock jumps at some reading, forwards or back, by seconds or years."""
    seconds = chance.choice((1, 60, 3600, 86400, 10 * 365 * 86400)) * chance.choice((1, -1))
    with reference.copy(chance.choice((reference.made, reference.half))) as lab:
        failure = Failure(str(lab), clock=(chance.randrange(200), seconds))
        return unnoticed(reference, failure, lab)


def tracker(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A mirror of the metrics is down, hangs, or ends its thread."""
    kind = f"{chance.choice(('fails', 'hangs', 'leaves'))} {chance.choice(('at once', 'later'))}"
    with reference.copy(reference.made) as lab:
        failure = Failure(str(lab), setup=["tracker", kind])
        words = ("train", reference.recipe, "train.track=[tensorboard]", "--lab", lab)
        ended = reference.machine.go(*words, failure=failure)
        if ended.code != 0 or "tensorboard gets no more metrics" not in ended.err:
            return Outcome(ended.words, f"a tracker that {kind}: {ended.words}: {tail(ended)}")
        return Outcome("warned of, same bits", differences(run_of(lab), reference.facts))


def loader(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A batch takes half a second to come."""
    with reference.copy(reference.made) as lab:
        failure = Failure(str(lab), setup=["slow_loader", chance.randrange(STEPS), 0.5])
        return unnoticed(reference, failure, lab)


def not_a_number(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A loss is not a number, once or from then on."""
    import torch
    from safetensors.torch import load_file

    times = chance.choice((1, 1, 2, 10_000))
    with reference.copy(reference.made) as lab:
        failure = Failure(str(lab), setup=["not_a_number", chance.randrange(STEPS), times])
        ended = reference.machine.go("train", reference.recipe, "--lab", lab, failure=failure)
        run = run_of(lab)
        for path in run.glob("checkpoints/step-*/*.safetensors"):
            if not all(bool(torch.isfinite(value).all()) for value in load_file(path).values()):
                return Outcome(ended.words, f"{path.parent.name}/{path.name} holds what is no number")
        told = {event["event"] for event in rows_of(run / "events.jsonl")} - {"started", "checkpoint", "trained"}
        if ended.code == 0:
            wrong = None if told and steps_of(run)[-1] == STEPS else "no event tells of it"
            return Outcome("passed over, and said", wrong)
        if ended.code != 5 or ended.error != "diverged":
            return Outcome(ended.words, f"{ended.words}: {tail(ended)}")
        passed_over = told - {"diverged"}  # then updates were left out of what is gone on from
        after = go_on(reference, lab, "train", None if passed_over else reference.facts)
        return Outcome("diverged, then goes on", after.wrong, after.lost)


def signals(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """Ctrl-C or SIGTERM at any moment of training, once or twice."""
    undisturbed(reference, "train", reference.made)
    with reference.copy(reference.made) as lab:
        slow = Failure(str(lab), "delay", 1, 2, ("sync",), argument=5)
        child = reference.machine.start("train", reference.recipe, "--lab", lab, failure=slow)
        if not child.has_said("run: "):
            return Outcome("early", f"it ended before it trained: {child.wait().words}")
        time.sleep(chance.uniform(0, 0.4))
        number_of = chance.choice((signal.SIGINT, signal.SIGTERM))
        twice = chance.random() < 0.3
        child.kill(number_of)
        if twice:
            time.sleep(chance.uniform(0, 0.05))
            child.kill(number_of)
        ended = child.wait()
        if ended.code not in (0, 4):
            return Outcome(ended.words, f"{number_of.name}: {ended.words}: {tail(ended)}")
        outcome = go_on(reference, lab, "train", reference.facts)
        if not twice and outcome.lost:
            return Outcome(
                outcome.observed, f"{outcome.lost} steps were lost, though it had time to save", outcome.lost
            )
        return Outcome(f"{ended.words}, then same bits", outcome.wrong, outcome.lost, int(ended.code == 4))


FAULTS = [
    Fault("disk-full", "a real disk fills: a named error; what was whole stays so; the same command goes on, same bits "
          "and rows", full_disk, 50, 5, LOST, needs_root=True),
    Fault("file-limit", "ulimit -f is reached: a named error; the same command goes on, same bits", file_limit, 20, 3,
          LOST),
    Fault("read-only", "a read-only lab: reading works, the rest says not-writable and changes nothing", read_only, 8,
          1, needs_root=True),
    Fault("clock", "the clock jumps: no difference", clock, 30, 3, needs_layer=True),
    Fault("tracker", "a mirror is down, hangs or ends: one warning, same bits", tracker, 12, 2, needs_layer=True),
    Fault("loader", "a batch is late: no difference", loader, 8, 1, needs_layer=True),
    Fault("not-a-number", "a loss is no number: passed over and said, or exit 5; never in a checkpoint", not_a_number,
          24, 3, LOST, needs_layer=True),
    Fault("signals", "Ctrl-C or SIGTERM: the step is saved, exit 4; the same command goes on, same bits", signals, 30,
          3, LOST, needs_layer=True),
]  # fmt: skip
