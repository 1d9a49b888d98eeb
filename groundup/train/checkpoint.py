"""Checkpoints: safetensors and JSON, whole or not there, found by verification and not by name.

`checkpoints/step-00000500/`: model.safetensors and optimizer.safetensors (named tensors), model.json (the shape),
state.json (step, validation bpb, scaler, micro-batch, seconds), and MANIFEST.json, written last, with each file's
size and SHA-256. Nothing in it is ever unpickled.
"""

import errno
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.size import parameters
from groundup.model.transformer import Transformer
from groundup.store.files import Unreadable, damage, file_record, fsync, read_json, write_json
from groundup.store.runs import Run
from groundup.store.tensors import check_tensors
from groundup.train.sharding import share_out

MANIFEST = "MANIFEST.json"
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


def save(run: Run, model: Transformer, optimizer: dict[str, torch.Tensor], state: dict[str, Any]) -> Checkpoint:
    """Write a checkpoint in a temporary directory and rename it when every byte is on the disk.

    Raises OSError (full disk); the checkpoints that were there stay as they were.
    """
    final = directory(run) / f"step-{state['step']:08}"
    temporary = final.with_name(f".saving-{final.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _save_tensors(
            {name: value.detach() for name, value in model.state_dict().items()}, temporary / "model.safetensors"
        )
        _save_tensors(optimizer, temporary / "optimizer.safetensors")
        write_json(temporary / "model.json", model.config.to_json())
        write_json(temporary / "state.json", state)
        record = file_record(temporary)
        for name in record:
            fsync(temporary / name)
        write_json(temporary / MANIFEST, {"format": 1, "files": record})
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step, which resuming went back behind
        temporary.rename(final)
        fsync(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Checkpoint(final, state)


def _save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        save_file({name: value.contiguous().cpu() for name, value in tensors.items()}, path)
    except SafetensorError as error:  # the library turns the system's error into words
        if "os error 28" in str(error) or "No space" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from None
        raise OSError(errno.EIO, str(error), str(path)) from None


def problem(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None when it is whole. Reads every byte."""
    try:
        record = read_json(path / MANIFEST)["files"]
        needed = {"model.safetensors", "optimizer.safetensors", "model.json", "state.json"}
        if missing := needed - record.keys():
            return f"{path / MANIFEST} does not list {', '.join(sorted(missing))}"
        return damage(path, record) or _senseless(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{path / MANIFEST} cannot be read ({type(error).__name__}: {error})"


def _senseless(path: Path) -> str | None:
    """What a state.json lacks that everything else relies on: a hash vouches for the bytes, not for their writer."""
    state = read_json(path / "state.json")
    bpb = state["valid_bpb"]
    if type(state["step"]) is int and (bpb is None or type(bpb) in (int, float)):
        return None
    return f"{path / 'state.json'} does not tell step and validation bpb"


def whole(run: Run) -> tuple[list[Checkpoint], list[str]]:
    """The checkpoints that pass verification, oldest first, and what is wrong with the others."""
    found, problems = [], []
    for path in sorted(directory(run).glob("step-*")):
        wrong = problem(path)
        if wrong:
            problems.append(wrong)
        else:
            found.append(Checkpoint(path, read_json(path / "state.json")))
    return found, problems


def warn(problems: list[str]) -> None:
    for wrong in problems:
        say(f"warning: {wrong}; it is passed over [checkpoint-damaged]")


def select(run: Run, which: str) -> Checkpoint:
    """`last`, `best` (lowest validation bpb) or a step number.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`.
    """
    found, problems = whole(run)
    warn(problems)
    chosen: Checkpoint | None
    if which == "last":
        chosen = found[-1] if found else None
    elif which == "best":
        chosen = best(found) or (found[-1] if found else None)
    else:
        named = directory(run) / f"step-{int(which) if which.isascii() and which.isdigit() else 0:08}"
        wrong = [text for text in problems if text.startswith(str(named))]
        if wrong:
            raise GroundupError("checkpoint-damaged", wrong[0], "choose another: --checkpoint last or best")
        chosen = next((one for one in found if one.path == named), None)
    if chosen is not None:
        return chosen
    if problems:
        raise GroundupError(
            "checkpoint-damaged", f"no checkpoint is whole; {problems[-1]}", "train again; look at the disk"
        )
    steps = ", ".join(str(one.step) for one in found) or "none yet"
    raise GroundupError("no-checkpoint", f"{run.name} has no checkpoint {which!r}", f"its checkpoints are: {steps}")


def best(found: list[Checkpoint]) -> Checkpoint | None:
    """The checkpoint with the lowest validation bpb, the earlier of two equal ones."""
    scored = [one for one in found if one.valid_bpb is not None]
    return min(scored, key=lambda one: (one.valid_bpb, one.step)) if scored else None


def retire(run: Run, keep: int) -> None:
    """Delete all but the newest `keep` and the best. A deletion cut short leaves no half checkpoint in sight."""
    paths = sorted(directory(run).glob("step-*"))
    states = []
    for path in paths:
        try:
            states.append(Checkpoint(path, read_json(path / "state.json")))
        except (OSError, ValueError):
            continue  # damaged: left for a person to look at
    kept = {one.path for one in states[-keep:]} | {one.path for one in [best(states)] if one}
    for one in states:
        if one.path not in kept:
            hidden = one.path.with_name(f".deleting-{one.path.name}")
            one.path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)


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
