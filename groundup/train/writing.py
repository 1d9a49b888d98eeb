"""A checkpoint onto the disk: every byte written and hashed once, and the whole put in its place by one rename."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.store.files import file_record, fsync, write_json
from groundup.store.runs import Run
from groundup.train.checkpoint import MANIFEST, Checkpoint, directory

PIECE = 1 << 22  # bytes that are hashed and written before the next ones: they are still in the processor's cache
# Names of number formats in a safetensors header.
NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
}
SAVING, REPLACED, DELETING = ".saving-", ".replaced-", ".deleting-"


@dataclass(frozen=True)
class Contents:
    """What a checkpoint is made of: named tensors of the model and of the optimizer, the shape, and the state."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    config: ModelConfig
    state: dict[str, Any]

    @property
    def step(self) -> int:
        return self.state["step"]

    def size(self) -> int:
        return sum(tensor.nbytes for part in (self.model, self.optimizer) for tensor in part.values())


def write(run: Run, contents: Contents) -> Checkpoint:
    """Write a checkpoint in a temporary directory and rename it when every byte is on the disk.

    Raises OSError (full disk, a disk that fails); the checkpoints that were there stay as they were.
    """
    final = directory(run) / f"step-{contents.step:08}"
    temporary = final.with_name(f"{SAVING}{final.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        record = {
            name: write_tensors(temporary / name, tensors)
            for name, tensors in (("model.safetensors", contents.model), ("optimizer.safetensors", contents.optimizer))
        }
        write_json(temporary / "model.json", contents.config.to_json())
        write_json(temporary / "state.json", contents.state)
        record |= {name: entry for name, entry in file_record(temporary).items() if name not in record}
        write_json(temporary / MANIFEST, {"format": 2, "files": record})
        for name in ("metrics.jsonl", "samples.jsonl"):  # else a power cut could lose rows that no step writes again
            if (run.path / name).exists():
                fsync(run.path / name)
        _put(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Checkpoint(final, contents.state)


def _put(temporary: Path, final: Path) -> None:
    """Give a whole checkpoint its name, in place of one of the same step that training went back behind.

    No file system renames a directory over another that holds files, so the old one steps aside first. Killed between
    the two renames, `tidy` puts it back.
    """
    aside = final.with_name(f"{REPLACED}{final.name}")
    if final.exists():
        shutil.rmtree(aside, ignore_errors=True)
        final.rename(aside)
    try:
        temporary.rename(final)
    except BaseException:
        if aside.exists():
            aside.rename(final)
        raise
    fsync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def tidy(run: Run) -> None:
    """Undo what a process that was killed had begun: half checkpoints go, and one that had stepped aside comes back.

    For the process that trains the run, before it saves.
    """
    folder = directory(run)
    for aside in folder.glob(f"{REPLACED}*"):
        final = folder / aside.name.removeprefix(REPLACED)
        if not final.exists():
            aside.rename(final)
    for kind in (SAVING, DELETING, REPLACED):
        for path in folder.glob(f"{kind}*"):
            shutil.rmtree(path, ignore_errors=True)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Write a safetensors file to the disk; returns its size in bytes and its SHA-256, made of the bytes on their way.

    The format: 8 bytes that give the length of a JSON header, the header, and the tensors' bytes, one after the other
    (huggingface/safetensors, README, "Format"). Wider numbers come first, so that each begins at a multiple of its
    size.
    """
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])))
    header, place = {}, 0
    for name, tensor in ordered.items():
        spans = [place, place + tensor.nbytes]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": spans}
        place = spans[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            for part in (memoryview(len(text).to_bytes(8, "little") + text), *map(_bytes, ordered.values())):
                for begin in range(0, len(part), PIECE):
                    piece = part[begin : begin + PIECE]
                    digest.update(piece)
                    size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    return {"bytes": size, "sha256": digest.hexdigest()}


def _bytes(tensor: Tensor) -> memoryview:
    """A tensor's bytes, without a copy if it lies in main memory in one piece."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
