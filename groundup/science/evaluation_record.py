"""Evaluations as files: `RUN/evaluations/CHECKPOINT.NAME.json`, and beside it what each document or item came to.

A record says everything that its numbers depend on. An evaluation is reused only where all of that is the same, the
model's weights, the text or task and the versions included; else it is done again and takes the old one's place.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from groundup import __version__
from groundup.console import say
from groundup.evaluate.seen import Trained, overlap, trained_on, words
from groundup.model.transformer import Transformer
from groundup.store.files import digest, fsync, sha256, write_json
from groundup.store.lineage import environment
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.tokens.encoding import FILE, Encoding
from groundup.train.checkpoint import Checkpoint, load_model
from groundup.train.precision import Device, choose
from groundup.train.retention import reading

VERSION = 2  # of the way in which numbers are made; a change makes every evaluation be done again


@dataclass(frozen=True)
class Judged:
    """A checkpoint that is to be evaluated, ready for use. Its products are made in fp32 on every device, so that a
    score does not depend on the device by more than the order of additions."""

    run: Run
    checkpoint: Checkpoint
    weights_sha256: str
    model: Transformer
    encoding: Encoding
    device: Device
    trained: Trained

    @property
    def lab(self) -> Path:
        return self.run.path.parent.parent

    def identity(self) -> dict[str, Any]:
        """What every number of this checkpoint depends on."""
        versions = environment()["versions"]
        return {
            "evaluation_version": VERSION,
            "checkpoint_sha256": self.weights_sha256,
            "model": self.model.config.to_json(),
            "tokenizer_sha256": sha256(self.run.path / FILE),
            "device": self.device.device.type,
            "precision": self.device.precision,
            "versions": {name: versions[name] for name in ("torch", "tokenizers", "numpy")} | {"groundup": __version__},
        }


def judge(run: Run, which: str, device: str = "auto") -> Judged:
    """Open a checkpoint.

    Raises GroundupError `run-damaged`, `no-checkpoint`, `checkpoint-damaged`, `bad-tokenizer`, `no-device`.
    """
    run.lineage()  # a damaged one is named before anything else asks it
    encoding, on = tokenizer.of_run(run), choose(device, "fp32", compile=False, tf32=False)
    with reading(run, which) as checkpoint:
        weights = sha256(checkpoint.path / "model.safetensors")
        return Judged(run, checkpoint, weights, load_model(checkpoint, on.device), encoding, on, trained_on(run))


Made = tuple[dict[str, Any], dict[str, pa.Array | list[Any]]]
"""What is to be said, and columns of values by document or item."""


def keep(judged: Judged, name: str, depends_on: dict[str, Any], make: Callable[[], Made]) -> dict[str, Any]:
    """The evaluation of that name, made unless it is there and depends on the very same. `name` may be empty."""
    stem = ".".join(filter(None, [judged.checkpoint.path.name, name]))
    folder = judged.run.path / "evaluations"
    path, values = folder / f"{stem}.json", folder / f"{stem}.values.parquet"
    identity = judged.identity() | depends_on
    if (known := _reusable(path, values, digest(identity))) is not None:
        say(f"evaluation: reused {path}")
        return known
    start = time.monotonic()
    said, columns = make()
    folder.mkdir(exist_ok=True)
    _write_table(values, columns)
    result = {
        "run": judged.run.name,
        "checkpoint": judged.checkpoint.path.name,
        "step": judged.checkpoint.step,
        "device": judged.device.device.type,
        "precision": judged.device.precision,
        "context": judged.model.config.context,
        **_finite(said),
        "depends_on": identity,
        "depends_on_sha256": digest(identity),
        "values": {"file": values.name, "sha256": sha256(values)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - start, 3),
    }
    write_json(path, result)
    return result


def _finite(value: Any) -> Any:
    """The same with null for what is infinite or no number: a perplexity may be, and JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reusable(path: Path, values: Path, identity: str) -> dict[str, Any] | None:
    """The evaluation that is there, if it depends on the same and its values are as they were written."""
    try:
        known = json.loads(path.read_bytes())
        same = known["depends_on_sha256"] == digest(known["depends_on"]) == identity
        return known if same and known["values"]["sha256"] == sha256(values) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_table(path: Path, columns: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        pq.write_table(pa.table(columns), temporary, compression="zstd")
        fsync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flag(judged: Judged, texts: list[str], hashes: list[str], deep: bool = True) -> dict[str, Any]:
    """What is known of whether the model was trained on it; a warning is printed where it was."""
    about = overlap(judged.trained, texts, hashes, deep)
    if warning := words(about):
        say(f"warning: {warning}")
    return about
