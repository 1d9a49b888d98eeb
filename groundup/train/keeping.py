"""What is kept of a training, and how it goes on: checkpoints written and read by all its processes together."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.transformer import Transformer
from groundup.train import checkpoint, optimizer, parallel
from groundup.train.checkpoint import Checkpoint
from groundup.train.continuation import Origin, Start
from groundup.train.instruments import Interval
from groundup.train.saver import Saver, affordable
from groundup.train.sharding import whole_model
from groundup.train.writing import Contents, tidy

if TYPE_CHECKING:
    from groundup.train.loop import Trainer


def saver_of(trainer: "Trainer") -> Saver:
    """What writes a trainer's checkpoints: in the background as its recipe says, for `auto` where memory allows."""
    train = trainer.recipe.train
    weights = sum(parameter.numel() * 4 for parameter in trainer.model.parameters())
    states = 1 + (1 if train.optimizer == "muon" else 2) + (1 if train.ema else 0)
    wanted = train.background_saving
    return Saver(trainer.run, train.keep, affordable(weights * states) if wanted == "auto" else wanted)


def save(trainer: "Trainer", wait: bool = True) -> None:
    """Write a checkpoint; without `wait` perhaps in the background, and then `trainer.saver` tells how it went.

    Raises GroundupError `diverged`; OSError, also of the save before this one.
    """
    trainer.check_finite()
    interval = trainer.interval.of_all()
    model, tensors = whole_model(trainer.model), optimizer.state_tensors(trainer.model, trainer.optimizer)
    if trainer.average:
        tensors |= trainer.average.state_tensors()
    parallel.lead(_write, trainer, model, tensors, interval, wait)


def _write(trainer: "Trainer", model: Transformer, tensors: dict[str, Tensor], interval: Interval, wait: bool) -> None:
    train = trainer.recipe.train
    state = {
        "step": trainer.step,
        "valid_bpb": trainer.valid_bpb,
        "best": trainer.best if math.isfinite(trainer.best) else None,
        "since_best": trainer.since_best,
        "stopped": trainer.stopped,
        "seconds": trainer.seconds,
        "factor": trainer.factor(trainer.step - 1) if trainer.step else 0.0,
        "start": asdict(trainer.start),
        "interval": interval.numbers(),
        "owed": sorted(trainer.owed),
        "guard": trainer.guard.state(),
        "micro_batch": trainer.gradients.micro_batch,
        "processes": parallel.world(),
        "optimizer": train.optimizer,
        "tokens_per_update": train.tokens_per_update,
        "scaler": trainer.scaler.state_dict(),
        "made_with": made_with(trainer),
    }
    contents = Contents(dict(model.state_dict()), tensors, model.config, state)
    trainer.saver.save(contents, wait)


def made_with(trainer: "Trainer") -> dict[str, Any]:
    """What changes the rounding of numbers, and no more: a run may go on with another, which is then declared."""
    device = trainer.device
    return {
        "processes": parallel.world(),
        "train.micro_batch": trainer.recipe.train.micro_batch,
        "train.parallel": trainer.recipe.train.parallel,
        "torch": torch.__version__,
        "device": device.name if device.device.type == "cuda" else device.device.type,
        "precision": device.precision,
        "compile": device.compile,
    }


def resume(trainer: "Trainer", origin: Origin | None = None) -> None:
    """Go on from the newest whole checkpoint; without one, begin with the other run's that is continued, if any.

    It may have been made by another number of processes. The leading one finds it for all, and only its `origin`
    counts. Raises GroundupError `checkpoint-damaged` when there are checkpoints and none is whole; OSError where a save
    that was pending failed.
    """
    trainer.saver.finish()
    found = parallel.lead(_find, trainer, origin)
    if found is None:
        trainer.run.rewind(0)
        return
    saved = Checkpoint(Path(found["path"]), found["state"])
    _load(trainer, saved)
    state, before, now = saved.state, saved.state["processes"], parallel.world()
    if found["origin"]:
        trainer.run.rewind(0)
        trainer.start = Start(state["step"], state["factor"], state["seconds"])
        trainer.run.log_event("continued", step=trainer.step, origin=found["origin"])
        say(f"continued from {saved.path}")
        return
    trainer.start, trainer.stopped, trainer.since_best = Start(**state["start"]), state["stopped"], state["since_best"]
    trainer.best = math.inf if state["best"] is None else state["best"]
    trainer.interval = Interval.of_numbers(state["interval"], trainer.device.device, parallel.leads())
    trainer.owed = set(state["owed"])
    trainer.guard.load(state["guard"])
    changes = _changes(state["made_with"], made_with(trainer))
    if "train.micro_batch" not in changes and before == now:
        trainer.gradients.micro_batch = state["micro_batch"]  # another one would add the gradients in another order
    trainer.run.rewind(trainer.step)
    facts = {"processes": now, "processes_before": before, "micro_batch": trainer.gradients.micro_batch}
    trainer.run.log_event("resumed", step=trainer.step, **facts, changes=changes)
    say(f"resumed from {saved.path}")
    if changes:
        words = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changes.items())
        say(f"other than when it was saved: {words}; the weights will differ by rounding from those of a run without")


def _changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [before[name], value] for name, value in now.items() if name in before and before[name] != value}


def _find(trainer: "Trainer", origin: Origin | None) -> dict[str, Any] | None:
    """The checkpoint to begin with: the run's newest whole one; else that of `origin`."""
    tidy(trainer.run)
    found, problems = checkpoint.newest(trainer.run, lambda one: unfit(trainer, one))
    checkpoint.warn(problems)
    if problems and not found:
        what = f"no checkpoint of {trainer.run.path} is whole; {problems[0]}"
        fix = f"delete {checkpoint.directory(trainer.run)} to train from the beginning"
        raise GroundupError("checkpoint-damaged", what, fix)
    if found:
        return {"path": str(found.path), "state": found.state, "origin": None}
    if origin:
        if wrong := unfit(trainer, origin.checkpoint):
            raise GroundupError("checkpoint-damaged", wrong, "continue from another checkpoint")
        return {"path": str(origin.checkpoint.path), "state": origin.checkpoint.state, "origin": origin.name}
    return None


def unfit(trainer: "Trainer", saved: Checkpoint) -> str | None:
    """Why a trainer cannot go on from a checkpoint whose files are as they were written: a tensor is missing, has
    another shape or number format, or is not finite. None if it can."""
    shapes = {name: tuple(value.shape) for name, value in trainer.model.named_parameters()}
    tensors = optimizer.state_shapes(trainer.model, trainer.optimizer)
    if trainer.average:
        tensors |= {f"{name}/average": shape for name, shape in shapes.items()}
    for name, wanted in (("model.safetensors", shapes), ("optimizer.safetensors", tensors)):
        path = saved.path / name
        try:
            with safe_open(path, "pt") as file:
                if missing := sorted(wanted.keys() - set(file.keys())):
                    return f"{path} has no {missing[0]}"
                for key, shape in wanted.items():
                    tensor = file.get_tensor(key)
                    if tuple(tensor.shape) != shape:
                        return f"{path}: {key} has the shape {tuple(tensor.shape)} instead of {shape}"
                    if tensor.dtype != torch.float32:
                        return f"{path}: {key} is {tensor.dtype}"
                    if not bool(tensor.isfinite().all()):
                        return f"{path}: {key} is not finite"
        except (OSError, SafetensorError) as error:
            return f"{path} cannot be read: {' '.join(str(error).split())[:200]}"
    if saved.state["interval"].keys() != Interval().numbers().keys():
        return f"{saved.path / 'state.json'} has another kind of interval"
    if saved.state["guard"].keys() != trainer.guard.state().keys():
        return f"{saved.path / 'state.json'} has another kind of guard"
    scaler = saved.state["scaler"]
    if trainer.scaler.is_enabled() and scaler and scaler.keys() != trainer.scaler.state_dict().keys():
        return f"{saved.path / 'state.json'} has another kind of scaler"
    return None


def _load(trainer: "Trainer", saved: Checkpoint) -> None:
    checkpoint.load_weights(saved, trainer.model)
    tensors = checkpoint.load_optimizer(saved)
    optimizer.load_state(trainer.model, trainer.optimizer, tensors)
    if trainer.average:
        trainer.average.load_state(tensors)
    if trainer.scaler.is_enabled() and saved.state["scaler"]:
        trainer.scaler.load_state_dict(saved.state["scaler"])
    trainer.step, trainer.seconds = saved.step, saved.state["seconds"]
