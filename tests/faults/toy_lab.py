"""The lab that faults are injected into: a recipe of seconds, what it gives undisturbed, and what differs from that."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from machine import Machine

from groundup.science.changes import LOOKS

STEPS, EVERY = 12, 3  # of the training, and between two checkpoints
LOST = (
    2 * EVERY - 1
)  # most steps that a kill may lose: a checkpoint that is being written is lost, and the next save waits
CLOCKS = (
    "seconds",
    "tokens_per_s",
    "mfu",
    "mfu_of",
    "memory_gb",
    "data_wait",
)  # what of a metric is no function of the recipe


def write_recipe(folder: Path) -> Path:
    """A text of 405 documents and a recipe of one layer that trains on it."""
    texts = [
        f"The {animal} {number} sat on the {place} and ate a {fruit}."
        for animal in ("cat", "dog", "hen")
        for place in ("mat", "hill", "road")
        for fruit in ("fig", "bun", "pear")
        for number in range(15)
    ]
    (folder / "text.txt").write_text("\n---\n".join(texts))
    train = {"steps": STEPS, "tokens_per_update": 64, "micro_batch": 4, "learning_rate": 0.005, "warmup": 2}
    train |= {"log_every": 1, "valid_every": 6, "checkpoint_every": EVERY, "sample_every": 6, "keep": 3}
    values = {
        "name": "tiny",
        "data": {"sources": {"mine": {"path": str(folder / "text.txt"), "delimiter": "---"}}},
        "tokenizer": {"vocab_size": 290},
        "model": {"family": "modern", "layers": 1, "width": 32, "heads": 2, "context": 16, "dropout": 0.1},
        "train": train | {"device": "cpu"},
        "sample": {"prompts": ["The"], "max_tokens": 4},
    }
    values["data"] |= {"valid_fraction": 0.1, "test_fraction": 0.1}  # type: ignore[operator]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@dataclass(frozen=True)
class Facts:
    """What a run holds that its recipe alone decides."""

    files: dict[str, str]  # SHA-256 of the last checkpoint's weights and optimizer
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    own: dict[str, Any]  # of the files that make it a run, what does not tell when or where it was made


@dataclass(frozen=True)
class Reference:
    """The undisturbed runs that all others are compared with."""

    machine: Machine
    folder: Path
    recipe: Path
    made: Path  # a lab that holds the artifacts and no run
    half: Path  # a lab in which training has lost its last checkpoint, and has two others
    trained: Path  # one in which it is over
    finished: Path  # and one in which everything is
    facts: Facts
    finished_facts: Facts

    @contextmanager
    def copy(self, source: Path | None = None) -> Iterator[Path]:
        """A lab to break: a copy of `source`, or an empty one."""
        lab = self.folder / "lab"
        if source:
            shutil.copytree(source, lab)
        else:
            lab.mkdir()
        try:
            yield lab
        finally:
            shutil.rmtree(lab)


def reference(machine: Machine, folder: Path) -> Reference:
    """Make all of it. Raises RuntimeError when the undisturbed commands fail."""
    recipe, lab = write_recipe(folder), folder / "lab"
    facts = {}
    for verb in ("data", "tokenizer", "train", "run"):
        ended = machine.go(verb, recipe, "--lab", lab)
        if ended.code != 0:
            raise RuntimeError(f"groundup {verb} fails without any fault: {ended.words}\n{ended.err}")
        if verb in ("train", "run"):
            facts[verb] = facts_of(run_of(lab))
            shutil.copytree(lab, folder / verb)
    shutil.copytree(folder / "train", folder / "half")
    run = run_of(folder / "half")
    shutil.rmtree(run / "checkpoints" / f"step-{STEPS:08}")
    shutil.rmtree(lab / "runs")
    shutil.move(lab, folder / "made")
    places = folder / "made", folder / "half", folder / "train", folder / "run"
    return Reference(machine, folder, recipe, *places, facts["train"], facts["run"])


def run_of(lab: Path) -> Path:
    """The directory of the lab's only run."""
    (run,) = (path for path in (lab / "runs").iterdir() if not path.name.startswith("."))
    return run


def steps_of(run: Path) -> list[int]:
    """The steps of the checkpoints that have their names, oldest first."""
    return sorted(int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file up to the first that is torn."""
    rows = []
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            rows.append(json.loads(line if line.endswith(b"\n") else b"torn"))
        except ValueError:
            break
    return rows


def facts_of(run: Path) -> Facts:
    last = sorted(run.glob("checkpoints/step-*"))[-1]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(last.glob("*.safetensors"))}
    metrics = [
        {key: value for key, value in row.items() if key not in CLOCKS} for row in rows_of(run / "metrics.jsonl")
    ]
    return Facts({"step": last.name} | files, metrics, rows_of(run / "samples.jsonl"), own_of(run))


def own_of(run: Path) -> dict[str, Any]:
    """What of the files that make it a run is the same each time; None for a file that is torn or not there."""
    found: dict[str, Any] = {"recipe.yaml": None}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        found[name] = (run / name).read_text(errors="replace") if (run / name).is_file() else None
    with suppress(OSError, yaml.YAMLError, TypeError, KeyError):
        recipe = yaml.safe_load((run / "recipe.yaml").read_bytes())
        train = {key: value for key, value in recipe["train"].items() if key not in LOOKS}
        found["recipe.yaml"] = recipe | {"train": train}
    for name, key in (("lineage.json", "tokenizer_sha256"), ("corpus.json", "id"), ("shards.json", "files")):
        try:
            found[name] = json.loads((run / name).read_bytes())[key]
        except (OSError, ValueError, KeyError, TypeError):
            found[name] = None
    return found


def differences(run: Path, wanted: Facts) -> str | None:
    """How a run differs from the undisturbed one, in words; None when it has the same bits and the same rows."""
    try:
        found = facts_of(run)
    except (OSError, IndexError) as error:
        return f"there is no final checkpoint ({error})"
    if found.files != wanted.files:
        changed = [name for name in wanted.files if found.files.get(name) != wanted.files[name]]
        return f"the last checkpoint differs in {', '.join(changed)}"
    if found.own != wanted.own:
        return f"{', '.join(name for name in wanted.own if found.own[name] != wanted.own[name])} of the run differ"
    for name, mine, theirs in (("metrics", found.metrics, wanted.metrics), ("samples", found.samples, wanted.samples)):
        if mine != theirs:
            steps = [[row["step"] for row in rows] for rows in (mine, theirs)]
            what = f"steps {steps[0]} instead of {steps[1]}" if steps[0] != steps[1] else "values"
            return f"{name}.jsonl differs in {what}"
    return None


def reached(run: Path) -> int:
    """The last step that is known to have been done: every step logs a row before anything else is made of it."""
    return max((row["step"] for row in rows_of(run / "metrics.jsonl")), default=0)


def resumed_at(run: Path, events_before: int) -> int:
    """The step at which the last command went on: 0 when it began anew."""
    events = rows_of(run / "events.jsonl")[events_before:]
    return next((event["step"] for event in events if event["event"] == "resumed"), 0)


def lost(run: Path, events_before: int, done: int) -> int | None:
    """How many of the `done` steps the last command did again; None when it was gone before it had said so, or found
    nothing left to do."""
    said = {event["event"] for event in rows_of(run / "events.jsonl")[events_before:]}
    return max(0, done - resumed_at(run, events_before)) if said & {"started", "resumed"} else None
