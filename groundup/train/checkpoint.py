"""Checkpoints: safetensors and JSON, whole or not there, found by verification and not by name.

`checkpoints/step-00000500/`: model.safetensors and optimizer.safetensors (named tensors), model.json (the shape),
state.json (step, validation bpb, scaler, micro-batch, seconds), and MANIFEST.json, written last (writing.py), with each
file's size and SHA-256. Nothing in it is ever unpickled.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.size import parameters
from groundup.model.transformer import Transformer
from groundup.store.files import Unreadable, damage, read_json
from groundup.store.runs import Run
from groundup.store.tensors import check_tensors
from groundup.train.sharding import share_out

MANIFEST = "MANIFEST.json"
LARGE = ("model.safetensors", "optimizer.safetensors")
SMALL = ("model.json", "state.json")
NUMBER = (int, float)
# What state.json must hold, and of which types.
STATE: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "valid_bpb": (*NUMBER, type(None)),
    "best": (*NUMBER, type(None)),
    "since_best": (int,),
    "stopped": (str, type(None)),
    "seconds": NUMBER,
    "factor": NUMBER,
    "start": (dict,),
    "interval": (dict,),
    "micro_batch": (int,),
    "processes": (int,),
    "optimizer": (str,),
    "tokens_per_update": (int,),
    "scaler": (dict,),
    "made_with": (dict,),
}
MOST_CONTEXT = 1 << 24  # tokens: rotary positions have a table of so many rows, and no weights to count it by


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        return self.state["step"]

    @property
    def valid_bpb(self) -> float | None:
        return self.state["valid_bpb"]


def directory(run: Run) -> Path:
    return run.path / "checkpoints"


def paths(run: Run) -> list[Path]:
    """Every checkpoint that is there by its name, oldest first."""
    return sorted(directory(run).glob("step-*"))


# -- verification -----------------------------------------------------------------------------------------------------


def look(path: Path) -> Checkpoint | str:
    """A checkpoint whose small files and all files' sizes are right, or what is wrong with it, in words.

    Quick, however large the model: a changed byte of the weights is found by `problem` alone.
    """
    try:
        record = _record(path)
        if isinstance(record, str):
            return record
        for name in record:
            file, size = path / name, record[name]["bytes"]
            if not file.is_file():
                return f"{file} is missing"
            if file.stat().st_size != size:
                return f"{file} has {file.stat().st_size:,} bytes instead of {size:,}"
        if wrong := damage(path, {name: record[name] for name in SMALL}):
            return wrong
        state = read_json(path / "state.json")
        if wrong := _wrong_state(state, path.name):
            return f"{path / 'state.json'} {wrong}"
        return Checkpoint(path, state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{path} cannot be read ({type(error).__name__}: {error})"


def problem(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None when it is whole. Reads every byte."""
    found = look(path)
    if isinstance(found, str):
        return found
    try:
        return damage(path, read_json(path / MANIFEST)["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{path} cannot be read ({type(error).__name__}: {error})"


def _record(path: Path) -> dict[str, dict[str, Any]] | str:
    try:
        record = read_json(path / MANIFEST)["files"]
        missing = {*LARGE, *SMALL} - record.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{path / MANIFEST} cannot be read ({type(error).__name__}: {error})"
    return f"{path / MANIFEST} does not list {', '.join(sorted(missing))}" if missing else record


def _wrong_state(state: Any, name: str) -> str | None:
    """What is wrong with a state that has the right hash: one that another program, or another version, wrote."""
    if not isinstance(state, dict):
        return "is not an object"
    for key, kinds in STATE.items():
        if key not in state:
            return f"has no {key!r}"
        if not isinstance(state[key], kinds) or isinstance(state[key], bool):
            return f"has {key!r} = {state[key]!r}"[:200]
    for key in ("start", "interval", "scaler"):
        if wrong := [inner for inner, value in state[key].items() if not isinstance(value, NUMBER)]:
            return f"has no number for {key}.{wrong[0]}"
    if state["start"].keys() != {"step", "factor", "seconds"}:
        return f"has 'start' = {state['start']!r}"[:200]
    if name != f"step-{state['step']:08}" or state["micro_batch"] < 1 or state["processes"] < 1:
        return f"is of step {state['step']}, with {state['micro_batch']} sequences by {state['processes']} processes"
    return None


# -- choosing ---------------------------------------------------------------------------------------------------------


def whole(run: Run) -> tuple[list[Checkpoint], list[str]]:
    """All checkpoints that pass verification, oldest first, and what is wrong with the others. Reads every byte."""
    found, problems = [], []
    for path in paths(run):
        wrong = problem(path)
        if wrong:
            problems.append(wrong)
        else:
            found.append(Checkpoint(path, read_json(path / "state.json")))
    return found, problems


Unfit = Callable[[Checkpoint], str | None]


def first_whole(candidates: list[Path], unfit: Unfit | None = None) -> tuple[Checkpoint | None, list[str]]:
    """The first of the candidates that passes verification, and what is wrong with those before it.

    `unfit` says in words what else is wrong with one. The others are not read: a run may keep many large ones.
    """
    problems: list[str] = []
    for path in candidates:
        found = look(path)
        wrong = found if isinstance(found, str) else problem(path) or (unfit(found) if unfit else None)
        if wrong:
            problems.append(wrong)
        elif isinstance(found, Checkpoint):
            return found, problems
    return None, problems


def newest(run: Run, unfit: Unfit | None = None) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and what is wrong with newer ones."""
    return first_whole(paths(run)[::-1], unfit)


def best(found: list[Checkpoint]) -> Checkpoint | None:
    """The checkpoint with the lowest validation bpb, the earlier of two equal ones."""
    return next(iter(_by_score(found)), None)


def _by_score(found: list[Checkpoint]) -> list[Checkpoint]:
    scored = [(one.valid_bpb, one.step, one) for one in found if one.valid_bpb is not None]
    return [one for *_, one in sorted(scored, key=lambda each: each[:2])]


def warn(problems: list[str]) -> None:
    for wrong in problems:
        say(f"warning: {wrong}; it is passed over [checkpoint-damaged]")


def select(run: Run, which: str) -> Checkpoint:
    """`last`, `best` (lowest validation bpb) or a step number; of those in question, the first that is whole.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`.
    """
    there = paths(run)
    if which in ("last", "best"):
        ordered = there[::-1]
        if which == "best":
            scored = [one.path for one in _by_score([one for one in map(look, there) if isinstance(one, Checkpoint)])]
            ordered = [*scored, *(path for path in ordered if path not in scored)]
        found, problems = first_whole(ordered)
        warn(problems)
        if found:
            return found
        if problems:
            what = f"no checkpoint is whole; {problems[0]}"
            raise GroundupError("checkpoint-damaged", what, "train again; look at the disk")
    named = directory(run) / f"step-{int(which) if which.isascii() and which.isdigit() else 0:08}"
    if named in there:
        found, problems = first_whole([named])
        if found:
            return found
        if len(there) == 1 or not first_whole([path for path in there if path != named])[0]:
            what = f"no checkpoint is whole; {problems[0]}"
            raise GroundupError("checkpoint-damaged", what, "train again; look at the disk")
        raise GroundupError("checkpoint-damaged", problems[0], "choose another: --checkpoint last or best")
    steps = ", ".join(str(int(path.name[5:])) for path in there if path.name[5:].isdigit()) or "none yet"
    raise GroundupError("no-checkpoint", f"{run.name} has no checkpoint {which!r}", f"its checkpoints are: {steps}")


# -- loading ----------------------------------------------------------------------------------------------------------


def load_model(checkpoint: Checkpoint, device: torch.device) -> Transformer:
    """The model of a checkpoint. Raises GroundupError `checkpoint-damaged` if shape and weights do not fit."""
    try:
        model = Transformer(_shape(checkpoint.path)).to(device)
    except (RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise _unfit(checkpoint, error) from None
    load_weights(checkpoint, model)
    return model


def _shape(path: Path) -> ModelConfig:
    """The shape in a model.json, where the weights beside it are of that size: a model of any other is not built, since
    it might be larger than memory. Raises ValueError, TypeError."""
    config = ModelConfig(**read_json(path / "model.json"))
    sizes = (config.vocab_size, config.layers, config.width, config.heads, config.kv_heads, config.feed_forward)
    if not all(type(size) is int and size > 0 for size in (*sizes, config.context)) or config.context > MOST_CONTEXT:
        raise ValueError("model.json does not describe a model")
    described = sum(parameters(config).values())
    held = sum(math.prod(shape) for shape in check_tensors(path / "model.safetensors").values())
    if described != held:
        raise ValueError(f"model.json describes {described:,} parameters, and model.safetensors holds {held:,}")
    return config


def load_weights(checkpoint: Checkpoint, model: Transformer) -> None:
    """Put a checkpoint's weights into a model. Raises GroundupError `checkpoint-damaged` if they do not fit."""
    try:
        weights = _read_tensors(checkpoint.path / "model.safetensors")
        own = dict(model.named_parameters())
        model.load_state_dict(
            {name: share_out(value, own[name]) if name in own else value for name, value in weights.items()}
        )
    except (RuntimeError, SafetensorError, Unreadable) as error:
        raise _unfit(checkpoint, error) from None


def _unfit(checkpoint: Checkpoint, error: Exception) -> GroundupError:
    what = f"{checkpoint.path}: {' '.join(str(error).split())[:300]}"
    return GroundupError("checkpoint-damaged", what, "choose another checkpoint")


def load_optimizer(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The optimizer's tensors by name. Raises GroundupError `checkpoint-damaged`."""
    try:
        return _read_tensors(checkpoint.path / "optimizer.safetensors")
    except (SafetensorError, Unreadable) as error:
        raise _unfit(checkpoint, error) from None


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    check_tensors(path)
    return load_file(path)
