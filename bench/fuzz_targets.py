"""What is fuzzed: for each kind of file what a tiny run has made, a mutation that keeps its form, and its reader."""

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from mutate import Structural, dumps, of_json

from groundup.cli import main
from groundup.recipe.load import preset_paths, resolve
from groundup.science.summary import describe
from groundup.store.arrays import save_array
from groundup.store.artifacts import load
from groundup.store.files import canonical, digest
from groundup.store.runs import all_runs
from groundup.tokens.encoding import open_tokenizer
from groundup.tokens.pack import read_shards
from groundup.train.checkpoint import Checkpoint, directory, load_model

NAMES = ("recipe", "manifest", "shards", "safetensors", "tokenizer")
RECIPE = """
name: tiny
data:
  sources:
    mine: {path: PATH, delimiter: "---"}
  valid_fraction: 0.1
  test_fraction: 0.1
tokenizer: {vocab_size: 290}
model: {family: modern, layers: 1, width: 16, heads: 2, context: 16}
train: {steps: 2, tokens_per_update: 64, micro_batch: 4, warmup: 1, checkpoint_every: 1, device: cpu}
sample: {prompts: ["The"], max_tokens: 4}
"""


@dataclass(frozen=True)
class Target:
    """`read` is what users' commands do with such a file; it may raise GroundupError and nothing else."""

    file: Path  # where an input is written for its reader
    seeds: list[bytes]
    structural: Structural | None
    read: Callable[[Path], Any]


def targets(folder: Path, names: tuple[str, ...] = NAMES) -> dict[str, Target]:
    """The targets, with real files that a run in `folder` makes."""
    lab = _tiny_run(folder)
    run = all_runs(lab)[0]
    shards, tokenizer = (next(lab.glob(f"artifacts/{stage}-*")) for stage in ("shards", "tokenizer"))
    checkpoint = max(directory(run).glob("step-*"))
    work = folder / "work"
    shutil.copytree(checkpoint, work / checkpoint.name)
    shutil.copytree(tokenizer, work / tokenizer.name)
    array = next(shards.glob("mine.train.*-000.npy"))
    documents = array.with_suffix(".documents.npy")
    (work / "shards").mkdir()
    found = {
        "recipe": Target(
            work / "recipe.yaml",
            [(run.path / "recipe.yaml").read_bytes(), *(path.read_bytes() for path in preset_paths().values())],
            _recipe,
            _read_recipe,
        ),
        "manifest": Target(
            work / tokenizer.name / "manifest.json",
            [(tokenizer / "manifest.json").read_bytes()],
            _manifest,
            lambda path: load(path.parent).reference(),
        ),
        "shards": Target(
            work / "shards" / "mine.train.00000-000.npy",
            [_beginning(array, work), _beginning(documents, work)],
            _array,
            lambda path: [one.tobytes()[:100] for one in read_shards(path.parent, "mine", "train")],
        ),
        "safetensors": Target(
            work / checkpoint.name / "model.safetensors",
            [(checkpoint / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")],
            _tensors,
            lambda path: load_model(Checkpoint(path.parent, {"step": 1, "valid_bpb": None}), torch.device("cpu")),
        ),
        "tokenizer": Target(
            work / "tokenizer.json",
            [(tokenizer / "tokenizer.json").read_bytes(), *_other_tokenizers(folder, lab)],
            _within,
            _read_tokenizer,
        ),
    }
    return {name: found[name] for name in names}


def _beginning(path: Path, work: Path) -> bytes:
    """A shard's first entries as a file of their own."""
    save_array(work / "beginning.npy", np.load(path, allow_pickle=False)[:200])
    return (work / "beginning.npy").read_bytes()


def _tiny_run(folder: Path) -> Path:
    animals, places = ("cat", "dog", "hen", "fox"), ("mat", "hill", "road", "roof")
    texts = [f"The {a} {n} sat on the {p} and ate." for a in animals for p in places for n in range(12)]
    (folder / "text.txt").write_text("\n---\n".join(texts))
    (folder / "tiny.yaml").write_text(RECIPE.replace("PATH", str(folder / "text.txt")))
    code = main(["train", str(folder / "tiny.yaml"), "--lab", str(folder / "lab")])
    assert code == 0, "the tiny run that makes the seeds has failed"
    return folder / "lab"


def _other_tokenizers(folder: Path, lab: Path) -> list[bytes]:
    for kind, size in (("unigram", 290), ("characters", 300), ("bytes", 258)):
        command = [str(folder / "tiny.yaml"), f"tokenizer.kind={kind}", f"tokenizer.vocab_size={size}"]
        assert main(["tokenizer", *command, "--lab", str(lab)]) == 0
    return [path.read_bytes() for path in sorted(lab.glob("artifacts/tokenizer-*/tokenizer.json"))]


def _read_recipe(path: Path) -> None:
    """As `groundup show` and a run's beginning: the recipe is resolved, described, hashed and written down."""
    resolved = resolve(str(path))
    describe(resolved)
    values = resolved.recipe.model_dump(mode="json")
    canonical(values)
    yaml.safe_dump(values).encode()


def _read_tokenizer(path: Path) -> None:
    encoding = open_tokenizer(path)
    encoding.decode(encoding.encode("The cat 12 sat on the mat. naïve 😀\n"))


# -- files whose form is right and whose content is not ----------------------------------------------------------------


def _within(chance: random.Random, raw: bytes) -> bytes:
    try:
        return dumps(of_json(chance, json.loads(raw)))
    except (ValueError, RecursionError):
        return raw


def _recipe(chance: random.Random, raw: bytes) -> bytes:
    try:
        value = yaml.safe_load(raw)
        return yaml.safe_dump(of_json(chance, value), allow_unicode=True).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError, yaml.YAMLError, TypeError, AttributeError):
        return raw


def _manifest(chance: random.Random, raw: bytes) -> bytes:
    """With the hash that the changed manifest should have: who can write files can write hashes."""
    try:
        manifest = of_json(chance, json.loads(raw))
        manifest.pop("sha256", None)
        return dumps(manifest | {"sha256": digest(manifest)})
    except (ValueError, RecursionError, TypeError, AttributeError):
        return raw


def _array(chance: random.Random, raw: bytes) -> bytes:
    """Another header of the right length before the same data."""
    length = int.from_bytes(raw[8:10], "little")
    header, data = raw[10 : 10 + length], raw[10 + length :]
    old = chance.choice([b"<u2", b"False", b"(", b",)", b"descr", b"shape", b"'", b"}", b"fortran_order", b"<u8"])
    new = chance.choice(
        [
            b"|O",
            b"<u4",
            b"<f8",
            b">u2",
            b"True",
            b"((",
            b")",
            b"-1",
            b"9" * 19,
            b"9" * 5000,
            b"1e9",
            b"()",
            b"None",
            b"x",
            b"[('a', 'O')]",
            b"M8",
            b"S1000000000",
            b"1,1",
            b" " * 2000,
            b"__import__('os')",
        ]
    )
    header = header.replace(old, new, 1)
    return raw[:8] + struct.pack("<H", min(len(header), 65535)) + header + data


def _tensors(chance: random.Random, raw: bytes) -> bytes:
    """A changed header, with its length."""
    length = int.from_bytes(raw[:8], "little")
    try:
        header = dumps(of_json(chance, json.loads(raw[8 : 8 + length])))
    except (ValueError, RecursionError, OverflowError):
        return raw
    return struct.pack("<Q", len(header)) + header + raw[8 + length :]


def name_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:10]
