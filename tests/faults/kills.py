"""Processes that are killed: at every call that changes a file, in the middle of a write, and at any moment."""

import random
import time
from pathlib import Path

from machine import Ended
from outcome import Fault, Outcome
from shim import CHANGES, Failure
from toy_lab import LOST, Facts, Reference, differences, lost, reached, rows_of, run_of

CALLS: dict[str, int] = {}  # how many calls that change a file an undisturbed command makes
SECONDS: dict[str, float] = {}  # and how long it takes


def runs(lab: Path) -> list[Path]:
    return [path for path in (lab / "runs").glob("*") if not path.name.startswith(".")]


def go_on(
    reference: Reference, lab: Path, verb: str, wanted: Facts | None, *options: str, done: int | None = None
) -> Outcome:
    """Give the same command again, and judge: it ends well, with the undisturbed bits and rows.

    `done`: the steps that had been done, where the metrics do not tell. Without `wanted` a good end is all that counts.
    """
    before = runs(lab)
    known = len(rows_of(before[0] / "events.jsonl")) if before else 0
    done = done if done is not None else max(map(reached, before), default=0)
    ended = reference.machine.go(verb, reference.recipe, *options, "--lab", lab)
    if ended.code != 0:
        return Outcome(ended.words, f"the same command ends with {ended.words}: {tail(ended)}")
    wrong = (differences(run_of(lab), wanted) if wanted else None) or leftovers(lab)
    return Outcome("goes on, same bits", wrong, lost(run_of(lab), known, done) or 0)


def leftovers(lab: Path) -> str | None:
    """Temporary files that the command which went on should have cleared away, in words."""
    hidden = [path for path in lab.rglob(".*") if path.is_dir()]
    return f"{hidden[0].relative_to(lab)} was left behind" if hidden else None


def tail(ended: Ended) -> str:
    return " ".join(ended.err.split())[-300:]


def undisturbed(reference: Reference, verb: str, source: Path | None) -> int:
    """How many calls that change files a command makes; also takes its time."""
    key = f"{verb} {source}"
    if key not in CALLS:
        with reference.copy(source) as lab:
            start = time.monotonic()
            CALLS[key] = reference.machine.go(verb, reference.recipe, "--lab", lab, failure=Failure(str(lab))).calls
            SECONDS[key] = time.monotonic() - start
    return CALLS[key]


def at_calls(
    reference: Reference, chance: random.Random, number: int, verb: str, source: Path | None, wanted: Facts, trials: int
) -> Outcome:
    """Kill at a call, then perhaps the command that goes on, too, and let the next one finish.

    Trial by trial the first kill goes through all calls at even distances, before, after and (writes) within them.
    """
    calls = undisturbed(reference, verb, source)
    with reference.copy(source) as lab:
        nth = 1 + (number * calls // max(1, trials) + chance.randrange(max(1, calls // trials))) % calls
        again = injected = done = 0
        for _ in range(chance.choice((1, 1, 2, 3))):
            action = chance.choice(("kill before", "kill after", "kill half"))
            before = runs(lab)
            known = len(rows_of(before[0] / "events.jsonl")) if before else 0
            done = max(done, *map(reached, before), 0)
            ended = reference.machine.go(
                verb, reference.recipe, "--lab", lab, failure=Failure(str(lab), action, nth, calls=CHANGES)
            )
            if ended.code not in (0, -9):
                return Outcome(ended.words, f"a command to be killed ends with {ended.words}: {tail(ended)}")
            after = runs(lab)
            if after and (steps := lost(after[0], known, done)) is not None:
                again, done = max(again, steps), 0
            injected += ended.code == -9
            nth = chance.randint(1, calls)
        outcome = go_on(reference, lab, verb, wanted, done=max(done, *map(reached, runs(lab)), 0))
        return Outcome(outcome.observed, outcome.wrong, max(again, outcome.lost), injected)


def at_moments(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """Kill from outside, at any moment."""
    undisturbed(reference, "train", reference.made)
    with reference.copy(reference.made) as lab:
        child = reference.machine.start("train", reference.recipe, "--lab", lab)
        time.sleep(chance.uniform(0, SECONDS[f"train {reference.made}"]))
        child.kill()
        ended = child.wait()
        if ended.code not in (0, -9):
            return Outcome(ended.words, f"a command to be killed ends with {ended.words}: {tail(ended)}")
        outcome = go_on(reference, lab, "train", reference.facts)
        return Outcome(outcome.observed, outcome.wrong, outcome.lost, int(ended.code == -9))


TRIALS = 200


def while_training(reference: Reference, chance: random.Random, number: int) -> Outcome:
    return at_calls(reference, chance, number, "train", reference.made, reference.facts, TRIALS)


def while_resuming(reference: Reference, chance: random.Random, number: int) -> Outcome:
    return at_calls(reference, chance, number, "train", reference.half, reference.facts, 80)


def while_finishing(reference: Reference, chance: random.Random, number: int) -> Outcome:
    return at_calls(reference, chance, number, "run", reference.trained, reference.finished_facts, 30)


def while_making(reference: Reference, chance: random.Random, number: int) -> Outcome:
    return at_calls(reference, chance, number, "train", None, reference.facts, 20)


SAME = "the same command goes on, ends with the same bits and rows, and clears away what was left"
FAULTS = [
    Fault("kill-training", f"killed at a file call of training or saving: {SAME}", while_training, TRIALS, 25, LOST,
          needs_layer=True),
    Fault("kill-resuming", f"killed at a file call of a command that goes on: {SAME}", while_resuming, 80, 6, LOST,
          needs_layer=True),
    Fault("kill-moment", f"killed at any moment of training: {SAME}", at_moments, 40, 5, LOST),
    Fault("kill-finishing", f"killed at a file call of evaluation and report: {SAME}", while_finishing, 30, 4, LOST,
          needs_layer=True),
    Fault("kill-making", f"killed while corpus, tokenizer and shards are made: {SAME}", while_making, 20, 3, LOST,
          needs_layer=True),
]  # fmt: skip
