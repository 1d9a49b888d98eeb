"""Files that somebody made to run code: a pickle, or YAML with a tag, in place of each file that is read."""

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
from damage import pick
from kills import tail
from outcome import Fault, Outcome
from toy_lab import Reference, run_of

REFUSALS = (
    "artifact-damaged", "checkpoint-damaged", "run-damaged", "bad-tokenizer", "bad-file", "no-such-run", "no-text",
    "recipe-syntax", "unknown-key", "bad-value", "no-checkpoint", "cannot-continue", "text-too-short",
)  # fmt: skip


class Trap:
    """What makes a directory of the given name when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.canary),)


def trapped(canary: Path, chance: random.Random) -> bytes:
    """Bytes that run code in a reader that trusts them: pickle, torch's archive, .npy of objects, or YAML."""
    payload = pickle.dumps(Trap(canary))
    kind = chance.choice(("pickle", "torch", "numpy", "yaml"))
    if kind == "torch":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("archive/data.pkl", payload)
            file.writestr("archive/version", "3\n")
        return archive.getvalue()
    if kind == "numpy":
        array = io.BytesIO()
        np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        return array.getvalue() + payload
    if kind == "yaml":
        return f"!!python/object/apply:os.mkdir ['{canary}']\n".encode()
    return payload


def judged(reference: Reference, lab: Path, canary: Path, verbs: list[list[object]], what: str) -> Outcome:
    """Commands over what was planted: none runs it, and each ends well or with a code."""
    seen = "no harm"
    for verb, *words in verbs:
        ended = reference.machine.go(verb, *words, "--lab", lab)
        if canary.exists():
            canary.rmdir()
            return Outcome("RAN THE CODE", f"{verb} unpickled {what}")
        if ended.code != 0:
            if ended.error not in REFUSALS:
                return Outcome(ended.words, f"{what}: {verb} ends with {ended.words}: {tail(ended)}")
            seen = ended.error
    return Outcome(seen)


def verbs_of(reference: Reference, chance: random.Random) -> list[list[object]]:
    every = [["train", reference.recipe], ["eval", "last"], ["sample", "last"], ["report", "last"], ["ls"]]
    return chance.sample(every, 2)


def in_place(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """In place of any file of the lab, as it is."""
    canary = reference.folder / "canary"
    with reference.copy(reference.half) as lab:
        path = pick(lab / chance.choice(("artifacts", "runs", "runs")), chance)
        path.write_bytes(trapped(canary, chance))
        return judged(reference, lab, canary, verbs_of(reference, chance), path.name)


def with_hashes(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """In place of a file of a checkpoint or an artifact whose manifest was made to fit."""
    from groundup.store.files import digest, file_record

    canary = reference.folder / "canary"
    with reference.copy(reference.half) as lab:
        if chance.random() < 0.6:
            folders = sorted((run_of(lab) / "checkpoints").iterdir())
            name = chance.choice(("model.safetensors", "optimizer.safetensors", "state.json", "model.json"))
            for folder in folders:
                (folder / name).write_bytes(trapped(canary, chance))
                manifest = json.loads((folder / "MANIFEST.json").read_bytes())
                record = file_record(folder)
                del record["MANIFEST.json"]
                (folder / "MANIFEST.json").write_text(json.dumps(manifest | {"files": record}))
        else:
            folder = chance.choice(sorted((lab / "artifacts").iterdir()))
            name = chance.choice([path.name for path in sorted(folder.iterdir()) if path.name != "manifest.json"])
            (folder / name).write_bytes(trapped(canary, chance))
            manifest = json.loads((folder / "manifest.json").read_bytes())
            record = file_record(folder)
            del record["manifest.json"], manifest["sha256"]
            manifest["files"] = record
            (folder / "manifest.json").write_text(json.dumps(manifest | {"sha256": digest(manifest)}))
            if folder.name.startswith("shards"):
                (run_of(lab) / "shards.json").write_text(json.dumps(manifest))
        return judged(reference, lab, canary, verbs_of(reference, chance), name)


def given(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """As a file that the user names: a recipe, a text, a tokenizer."""
    canary, planted = reference.folder / "canary", reference.folder / "planted"
    kind = chance.choice(("recipe", "planted.jsonl", "planted.parquet", "planted.csv", "planted.txt", "tokenizer.json"))
    path = planted.with_suffix(".yaml") if kind == "recipe" else planted.with_name(kind)
    with reference.copy(reference.made) as lab:
        path.write_bytes(trapped(canary, chance))
        if kind == "recipe":
            verbs: list[list[object]] = [["train", path]]
        elif kind == "tokenizer.json":
            verbs = [["train", reference.recipe, f"tokenizer.use={path}", "train.steps=3"]]
        else:
            verbs = [["data", reference.recipe, f"data.sources={{mine: {{path: {path}}}}}"]]
        try:
            return judged(reference, lab, canary, verbs, kind)
        finally:
            path.unlink()


SAFE = "nothing is run, a named error or no harm"
FAULTS = [
    Fault("hostile-file", f"a pickle, object array or YAML tag in place of a file: {SAFE}", in_place, 80, 8),
    Fault("hostile-hashed", f"the same with manifests that fit: {SAFE}", with_hashes, 80, 8),
    Fault("hostile-given", f"the same as a recipe, text or tokenizer that is named: {SAFE}", given, 20, 3),
]  # fmt: skip
