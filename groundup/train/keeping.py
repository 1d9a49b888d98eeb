"""What is kept of a training, and how it goes on: checkpoints written and read by all its processes together."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.transformer import Transformer
from groundup.train import checkpoint, optimizer, parallel
from groundup.train.continuation import Origin, Start
from groundup.train.sharding import whole_model

if TYPE_CHECKING:
    from groundup.train.loop import Trainer


def save(trainer: "Trainer") -> None:
    """Write a checkpoint. Raises GroundupError `diverged`."""
    trainer.check_finite()
    model, tensors = whole_model(trainer.model), optimizer.state_tensors(trainer.model, trainer.optimizer)
    if trainer.average:
        tensors |= trainer.average.state_tensors()
    parallel.lead(_write, trainer, model, tensors)


def _write(trainer: "Trainer", model: Transformer, tensors: dict[str, Tensor]) -> None:
    train = trainer.recipe.train
    state = {
        "step": trainer.step,
        "valid_bpb": trainer.valid_bpb,
        "seconds": trainer.seconds,
        "factor": trainer.factor(trainer.step - 1) if trainer.step else 0.0,
        "start": asdict(trainer.start),
        "stopped": trainer.stopped,
        "since_best": trainer.since_best,
        "owed": sorted(trainer.owed),
        "guard": trainer.guard.state(),
        "micro_batch": trainer.gradients.micro_batch,
        "processes": parallel.world(),
        "optimizer": train.optimizer,
        "tokens_per_update": train.tokens_per_update,
        "scaler": trainer.scaler.state_dict(),
    }
    saved = checkpoint.save(trainer.run, model, tensors, state)
    checkpoint.retire(trainer.run, train.keep)
    trainer.run.log_event("checkpoint", step=trainer.step, valid_bpb=trainer.valid_bpb)
    say(f"saved checkpoint {saved.path}")


def resume(trainer: "Trainer", origin: Origin | None = None) -> None:
    """Go on from the newest whole checkpoint; without one, begin with the other run's that is continued, if any.

    It may have been made by another number of processes. The leading one finds it for all, and only its `origin`
    counts. Raises GroundupError `checkpoint-damaged` when there are checkpoints and none is whole.
    """
    found = parallel.lead(_find, trainer, origin)
    if found is None:
        trainer.run.rewind(0)
        return
    saved = checkpoint.Checkpoint(Path(found["path"]), found["state"])
    _load(trainer, saved)
    state, before, now = saved.state, saved.state["processes"], parallel.world()
    if found["origin"]:
        trainer.run.rewind(0)
        trainer.start = Start(state["step"], state["factor"], state["seconds"])
        trainer.run.log_event("continued", step=trainer.step, origin=found["origin"])
        say(f"continued from {saved.path}")
        return
    trainer.start, trainer.stopped, trainer.since_best = Start(**state["start"]), state["stopped"], state["since_best"]
    trainer.owed = set(state.get("owed", ()))
    trainer.guard.load(state.get("guard"))
    if before == now:
        trainer.gradients.micro_batch = state["micro_batch"]  # another one would add the gradients in another order
    trainer.best = math.inf if found["best"] is None else found["best"]
    trainer.run.rewind(trainer.step)
    trainer.run.log_event("resumed", step=trainer.step, processes=now, processes_before=before)
    say(f"resumed from {saved.path}" + (f", which {before} processes wrote, with {now}" if before != now else ""))


def _find(trainer: "Trainer", origin: Origin | None) -> dict[str, Any] | None:
    """The checkpoint to begin with: the run's newest whole one, and the best score of all; else that of `origin`."""
    found, problems = checkpoint.whole(trainer.run)
    checkpoint.warn(problems)
    if problems and not found:
        what = f"no checkpoint of {trainer.run.path} is whole; {problems[-1]}"
        fix = f"delete {checkpoint.directory(trainer.run)} to train from the beginning"
        raise GroundupError("checkpoint-damaged", what, fix)
    if found:
        best = checkpoint.best(found)
        state, score = found[-1].state, best.valid_bpb if best else None
        return {"path": str(found[-1].path), "state": state, "best": score, "origin": None}
    if origin:
        return {"path": str(origin.checkpoint.path), "state": origin.checkpoint.state, "origin": origin.name}
    return None


def _load(trainer: "Trainer", saved: checkpoint.Checkpoint) -> None:
    checkpoint.load_weights(saved, trainer.model)
    tensors = checkpoint.load_optimizer(saved)
    optimizer.load_state(trainer.model, trainer.optimizer, tensors)
    if trainer.average:
        trainer.average.load_state(tensors)
    if trainer.scaler.is_enabled() and saved.state["scaler"]:
        trainer.scaler.load_state_dict(saved.state["scaler"])
    trainer.step, trainer.seconds = saved.step, saved.state["seconds"]
