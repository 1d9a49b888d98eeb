"""What changes between two commands on one run, and what happens beside it: recipes, versions, other processes."""

import json
import random
import time
from pathlib import Path
from typing import Any

from kills import go_on, leftovers, runs, tail
from machine import Ended
from outcome import Fault, Outcome
from shim import Failure
from toy_lab import EVERY, STEPS, Reference, differences, facts_of, resumed_at, rows_of, run_of, steps_of

OTHER = ("train.learning_rate=0.004", "seed=2", "train.weight_decay=0.2", "train.warmup=3", "model.dropout=0.2",
         "train.tokens_per_update=128", "model.width=48", "train.optimizer=muon", "train.valid_every=4")  # fmt: skip
SAME = ("train.feed=prefetch", "train.measure_peak=true", "sample.max_tokens=4", "evaluate.splits=[valid]")


def recipe(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A key of the recipe is another one when the command is given again."""
    with reference.copy(reference.half) as lab:
        old = run_of(lab)
        kept = facts_of(old)
        key = chance.choice(SAME if number % 3 == 0 else OTHER)
        ended = reference.machine.go("train", reference.recipe, key, "--lab", lab)
        if ended.code != 0:
            return Outcome(ended.words, f"{key}: {ended.words}: {tail(ended)}")
        if key in SAME:
            return Outcome("goes on, same bits", differences(run_of(lab), reference.facts))
        others = [run for run in runs(lab) if run != old]
        if len(others) != 1 or facts_of(old) != kept:
            return Outcome("mixed up", f"{key}: it trained the old run, or changed it")
        first = rows_of(others[0] / "metrics.jsonl")[0]["step"]
        return Outcome("another run", None if first == 1 else f"{key}: the other run begins at step {first}")


def rewritten(folder: Path, change: dict[str, Any], drop: str | None, format: int | None) -> None:
    """Another version's state.json in a checkpoint, with a manifest that fits."""
    from groundup.store.files import file_record

    state = json.loads((folder / "state.json").read_bytes()) | change
    if drop:
        state.pop(drop, None)
    (folder / "state.json").write_text(json.dumps(state))
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    record = file_record(folder)
    del record["MANIFEST.json"]
    manifest |= {"files": record} | ({"format": format} if format is not None else {})
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))


def version(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """The newest checkpoint, or each, was written by another version: keys more or less, of other types."""
    with reference.copy(reference.half) as lab:
        run = run_of(lab)
        folders = sorted((run / "checkpoints").iterdir())
        known = sorted(json.loads((folders[-1] / "state.json").read_bytes()))
        kind = chance.choice(("more", "less", "type", "format"))
        key, before = chance.choice(known), len(rows_of(run / "events.jsonl"))
        change: dict[str, Any] = {"more": {"from_the_future": 1}, "type": {key: [["?"]]}}.get(kind, {})
        all_of_them = chance.random() < 0.3
        for folder in folders if all_of_them else folders[-1:]:
            rewritten(folder, change, key if kind == "less" else None, 99 if kind == "format" else None)
        ended = reference.machine.go("train", reference.recipe, "--lab", lab)
        what = f"{kind} {key if kind in ('less', 'type') else ''}"
        if ended.code == 0:
            found, wanted = facts_of(run), reference.facts
            lost = max(0, steps_of(run)[0] - resumed_at(run, before)) if kind == "more" else 0
            wrong = None if found.files == wanted.files else f"{what}: the weights differ"
            return Outcome("goes on, same bits", wrong or (differences(run, wanted) and f"{what}: rows differ"), lost)
        if ended.code == 3 and ended.error in ("checkpoint-damaged", "checkpoint-foreign"):
            return Outcome(ended.error)
        return Outcome(ended.words, f"{what}: {ended.words}: {tail(ended)}")


def two(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """Two or three processes are given the same command at about the same time."""
    source = None if number % 10 == 9 else chance.choice((reference.made, reference.half))
    with reference.copy(source) as lab:
        slow = Failure(str(lab), "delay", 1, 3, ("sync",), argument=chance.randint(1, 10))
        children = []
        for _ in range(chance.choice((2, 2, 3))):
            children.append(reference.machine.start("train", reference.recipe, "--lab", lab, failure=slow))
            time.sleep(chance.choice((0, 0, 0.05, 0.2)))
        ends: list[Ended] = [child.wait() for child in children]
        for ended in ends:
            if ended.code != 0 and ended.error != "run-busy":
                return Outcome(ended.words, f"one of them ends with {ended.words}: {tail(ended)}")
        if all(ended.code for ended in ends):
            return Outcome("none", "each found another one busy, and none trained")
        busy = sum(ended.code != 0 for ended in ends)
        return Outcome(f"{busy} of {len(ends)} run-busy", differences(run_of(lab), reference.facts) or leftovers(lab))


def stale_lock(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A killed process leaves its lock files, and something has scribbled into them."""
    with reference.copy(reference.made) as lab:
        child = reference.machine.start("train", reference.recipe, "--lab", lab)
        child.has_said("step 4/")
        child.kill()
        child.wait()
        for path in sorted((lab / "locks").iterdir()):
            if chance.random() < 0.5:
                path.write_bytes(chance.choice((b"", b"999999\n", b"{", chance.randbytes(64))))
        outcome = go_on(reference, lab, "train", reference.facts)
        return Outcome(outcome.observed, outcome.wrong, outcome.lost)


def reader(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A run is evaluated, sampled and reported while it trains and deletes old checkpoints."""
    with reference.copy(reference.made) as lab:
        slow = Failure(str(lab), "delay", 1, 1, ("sync", "remove"), argument=chance.randint(2, 8))
        trainer = reference.machine.start("train", reference.recipe, "train.keep=1", "--lab", lab, failure=slow)
        seen = []
        if trainer.has_said("saved checkpoint"):
            for _ in range(3):
                verb = chance.choice(("eval", "sample", "sample", "report", "ls"))
                # Reads that take their time are those which a deletion overtakes.
                late = Failure(str(lab), "delay", chance.randint(1, 20), 5, ("read",), argument=10)
                words = [] if verb == "ls" else ["last"]
                ended = reference.machine.go(verb, *words, "--lab", lab, failure=late)
                if ended.code != 0 and ended.error not in ("no-checkpoint", "checkpoint-damaged"):
                    return Outcome(ended.words, f"{verb} ends with {ended.words}: {tail(ended)}")
                seen.append(ended.code)
        ended = trainer.wait()
        wrong = f"training ends with {ended.words}: {tail(ended)}" if ended.code else None
        return Outcome("both end well", wrong or differences(run_of(lab), reference.facts), injected=max(1, len(seen)))


def processes(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A run that one process began goes on with two."""
    with reference.copy(reference.half) as lab:
        ended = reference.machine.go("train", reference.recipe, "--processes", 2, "--lab", lab)
        if ended.code != 0:
            return Outcome(ended.words, f"{ended.words}: {tail(ended)}")
        mine, theirs = (rows for rows in (facts_of(run_of(lab)).metrics, reference.facts.metrics))
        steps = [[row["step"] for row in rows] for rows in (mine, theirs)]
        if steps[0] != steps[1] or steps[0][-1] != STEPS:
            return Outcome("other steps", f"metrics of steps {steps[0]}")
        apart = max(abs(one["bpb"] - other["bpb"]) / other["bpb"] for one, other in zip(mine, theirs, strict=True))
        # Dropout differs from rank to rank, and three steps of it move a loss of one layer by some percent.
        return Outcome("goes on, same steps", None if apart < 0.1 else f"the losses differ by {apart:.0%}")


FAULTS = [
    Fault("changed-recipe", "another recipe is another run, the old one is left as it is; with what decides no weight "
          "it goes on", recipe, 30, 4),
    Fault("other-version", "a checkpoint by another version: used if it can be, with the same bits, or named", version,
          50, 6, EVERY),
    Fault("two-at-once", "the same command two or three times at once: one trains, the others wait or say run-busy, "
          "same bits", two, 30, 3),
    Fault("stale-lock", "lock files of a killed process, scribbled into: the same command goes on, same bits",
          stale_lock, 20, 2, EVERY),
    Fault("racing-reader", "eval, sample, report and ls while checkpoints are deleted: each ends well, or says that "
          "there is none", reader, 20, 2, needs_layer=True),
    Fault("processes", "begun by one process, gone on with by two: same steps, no row missing or double", processes, 3,
          0),
]  # fmt: skip
