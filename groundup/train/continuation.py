"""Training longer: a run that begins where another one was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.recipe.schema import Train
from groundup.store.files import read_json, sha256
from groundup.store.runs import Run, find
from groundup.train import checkpoint
from groundup.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class Start:
    """Where a run begins: after so many steps and seconds of training, at so much of the peak learning rates."""

    step: int = 0
    factor: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Origin:
    """The checkpoint of another run that a run begins with."""

    run: Run
    checkpoint: Checkpoint
    name: str  # RUN@STEP

    def reference(self) -> dict[str, str]:
        """Name and hash, as an input in a lineage."""
        return {"id": self.name, "sha256": sha256(self.checkpoint.path / checkpoint.MANIFEST)}


def split(name: str) -> tuple[str, str | None]:
    """RUN and STEP, `best` or `last` of `RUN@STEP`; None where the name of a checkpoint is not given."""
    head, at, tail = name.rpartition("@")
    if at and (tail in ("best", "last") or (tail.isascii() and tail.isdigit())):
        return head, tail
    return name, None


def find_origin(lab: Path, name: str) -> Origin:
    """The checkpoint that `RUN`, `RUN@STEP`, `RUN@best` or `RUN@last` names; the last one where none is named.

    Raises GroundupError `cannot-continue`, `no-such-run`, `no-checkpoint`, `checkpoint-damaged`.
    """
    given, which = split(name)
    run = find(lab, given)
    if given == "last":
        what = "train.continue_from = last would be another run when the same command is given again"
        raise GroundupError("cannot-continue", what, f"train.continue_from={run.name}")
    found = checkpoint.select(run, which or "last")
    where = run.name if run.path.resolve() == (lab / "runs" / run.name).resolve() else str(run.path)
    return Origin(run, found, f"{where}@{found.step}")


def check(origin: Origin, train: Train, config: ModelConfig, tokenizer_sha256: str) -> None:
    """Raise GroundupError `cannot-continue` where a recipe's run cannot begin with a checkpoint."""

    def refuse(what: str, fix: str) -> None:
        raise GroundupError("cannot-continue", f"{origin.name} {what}", fix)

    theirs = read_json(origin.checkpoint.path / "model.json")
    ours = config.to_json()
    for key in ours:
        if key not in ("family", "dropout") and theirs.get(key) != ours[key]:
            refuse(
                f"has model.{key} = {theirs.get(key)}, and the recipe {ours[key]}", "continue it with the same model"
            )
    if origin.run.lineage().get("tokenizer_sha256") != tokenizer_sha256:
        refuse("has another tokenizer", f"tokenizer.use={origin.run.name}")
    state: dict[str, Any] = origin.checkpoint.state
    for key in ("optimizer", "tokens_per_update"):
        if state[key] != getattr(train, key):
            refuse(f"has train.{key} = {state[key]}, and the recipe {getattr(train, key)}", f"train.{key}={state[key]}")
    if train.steps <= state["step"]:
        refuse(
            f"has {state['step']} steps behind it, and the recipe ends at {train.steps}, these included",
            f"e.g. train.steps={2 * state['step']}",
        )
