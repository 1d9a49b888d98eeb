"""Files that are damaged while nobody looks: flipped bits, lost ends, zeroed blocks, files that are gone."""

import json
import random
import shutil
from pathlib import Path

from kills import go_on, tail
from outcome import Fault, Outcome
from toy_lab import EVERY, Reference, differences, facts_of, resumed_at, rows_of, run_of, steps_of

BLOCK = 512
KINDS = ("flip", "flip", "cut", "zeros", "gone", "empty", "longer")


def harm(path: Path, chance: random.Random) -> str:
    """Damage a file, and say how."""
    kind = chance.choice(KINDS)
    data = bytearray(path.read_bytes())
    if kind == "flip" and data:
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        data[place] ^= 1 << bit
        kind = f"bit {bit} of byte {place} of {path.name} flipped"
    elif kind == "cut" and data:
        del data[chance.randrange(len(data)) :]
        kind = f"{path.name} cut to {len(data)} bytes"
    elif kind == "zeros" and any(data):
        while not any(data[(place := chance.randrange(0, len(data), BLOCK)) : place + BLOCK]):
            pass
        size = len(data[place : place + BLOCK])
        data[place : place + BLOCK] = bytes(size)
        kind = f"{size} bytes of {path.name} from {place} on are zeros"
    elif kind == "longer":
        data += chance.randbytes(chance.randint(1, 100))
        kind = f"{path.name} has bytes behind its end"
    elif kind == "gone" or not data:
        path.unlink()
        return f"{path.name} is gone"
    else:
        data.clear()
        kind = f"{path.name} is empty"
    path.write_bytes(data)
    return kind


def same_json(path: Path, before: bytes) -> bool:
    """Whether a file still says what it said, though its bytes are others."""
    try:
        return json.loads(path.read_bytes()) == json.loads(before)
    except (OSError, ValueError):
        return False


def pick(folder: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in folder.rglob("*") if path.is_file()))


def artifact(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A corpus, a tokenizer or shards."""
    with reference.copy(reference.made) as lab:
        one = chance.choice(sorted((lab / "artifacts").iterdir()))
        path = pick(one, chance)
        before = path.read_bytes()
        how = harm(path, chance)
        ended = reference.machine.go("train", reference.recipe, "--lab", lab)
        if path.name.endswith(".json") and same_json(path, before):
            return Outcome("says the same, same bits", f"{how}: {tail(ended)}" if ended.code else None)
        if ended.error != "artifact-damaged" or ended.code != 3:
            return Outcome(ended.words, f"{how}: {ended.words}: {tail(ended)}")
        if (lab / "runs").exists() and list((lab / "runs").iterdir()):
            return Outcome("trained on", f"{how}: a run was made of it")
        if one.name.startswith("corpus") and number % 25:
            return Outcome("artifact-damaged")
        if f"fix: delete {one}" not in ended.err:
            return Outcome(ended.words, f"{how}: the fix does not name {one}")
        shutil.rmtree(one)  # the fix that is named
        after = go_on(reference, lab, "train", reference.facts)
        return Outcome("artifact-damaged", after.wrong and f"{how}, then deleted: {after.wrong}")


def newest_checkpoint(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """One file of the newest checkpoint of a run that is not over."""
    with reference.copy(reference.half) as lab:
        run = run_of(lab)
        *_, older, newest = steps_of(run)
        path = pick(run / "checkpoints" / f"step-{newest:08}", chance)
        before, known = path.read_bytes(), len(rows_of(run / "events.jsonl"))
        how = harm(path, chance)
        ended = reference.machine.go("train", reference.recipe, "--lab", lab)
        if ended.code != 0:
            return Outcome(ended.words, f"{how}: {ended.words}: {tail(ended)}")
        step = resumed_at(run, known)
        if step == newest and not (path.name == "MANIFEST.json" and path.exists() and _same_files(before, path)):
            return Outcome("not found", f"{how}: the checkpoint was used all the same")
        if step == older and "checkpoint-damaged" not in ended.err:
            return Outcome("older one, not said", f"{how}: it was passed over without a word")
        wrong = differences(run, reference.facts)
        observed = "older one used, same bits" if step != newest else "says the same, same bits"
        return Outcome(observed, wrong and f"{how}: {wrong}", newest - step)


def _same_files(before: bytes, path: Path) -> bool:
    """Whether a manifest names the same files, sizes and hashes as before."""
    return json.loads(before).get("files") == json.loads(path.read_bytes()).get("files")


def every_checkpoint(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A large file of every checkpoint."""
    with reference.copy(reference.half) as lab:
        run = run_of(lab)
        for folder in sorted((run / "checkpoints").iterdir()):
            harm(folder / chance.choice(("model.safetensors", "optimizer.safetensors", "state.json")), chance)
        verb = chance.choice(("train", "sample"))
        words = [reference.recipe] if verb == "train" else ["last"]
        ended = reference.machine.go(verb, *words, "--lab", lab)
        if ended.error != "checkpoint-damaged" or ended.code != 3:
            return Outcome(ended.words, f"{verb} ends with {ended.words}: {tail(ended)}")
        shutil.rmtree(run / "checkpoints")  # the fix that is named
        after = go_on(reference, lab, "train", reference.facts, done=0)
        return Outcome("checkpoint-damaged", after.wrong)


OF_RUN = ("recipe.yaml", "lineage.json", "shards.json", "corpus.json", "tokenizer.json", "tokenizer_config.json")


def run_file(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """One of the files that make a run what it is: training goes on exactly, or all say what is wrong."""
    with reference.copy(reference.half) as lab:
        run = run_of(lab)
        how = harm(run / chance.choice(OF_RUN), chance)
        verb = chance.choice(("train", "eval", "sample", "report", "ls"))
        words = {"train": [reference.recipe], "ls": []}.get(verb, ["last"])
        ended = reference.machine.go(verb, *words, "--lab", lab)
        if ended.code == 0:
            if verb != "train":
                return Outcome("no harm")
            found = facts_of(run)
            wrong = None if found.files == reference.facts.files else f"{how}: the weights differ"
            return Outcome("no harm, same bits", wrong)
        allowed = ("run-damaged", "bad-tokenizer", "no-such-run", "artifact-damaged")
        if ended.error not in allowed:
            return Outcome(ended.words, f"{how}: {verb} ends with {ended.words}: {tail(ended)}")
        return Outcome(ended.error or "")


def log_file(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """A log of a run: torn at its end it loses that line alone; damaged elsewhere it is named, or weights are exact."""
    with reference.copy(reference.half) as lab:
        run = run_of(lab)
        path = run / chance.choice(("metrics.jsonl", "samples.jsonl", "events.jsonl"))
        torn = number % 2 == 0
        if torn:
            data = path.read_bytes()
            last = data.rstrip(b"\n").rfind(b"\n") + 1
            path.write_bytes(data[: chance.randint(last + 1, len(data) - 1)])
            how = f"{path.name} torn in its last line"
        else:
            how = harm(path, chance)
        ended = reference.machine.go("train", reference.recipe, "--lab", lab)
        if ended.code == 0:
            found = facts_of(run)
            wrong = None if found.files == reference.facts.files else f"{how}: the weights differ"
            if torn:
                wrong = wrong or differences(run, reference.facts)
            return Outcome("goes on, same bits", wrong)
        if torn or ended.error != "run-damaged":
            return Outcome(ended.words, f"{how}: {ended.words}: {tail(ended)}")
        return Outcome(ended.error or "")


def source_changed(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """The text under a run: the same command makes another run of the new text and leaves the old one alone."""
    text = reference.folder / "text.txt"
    before = text.read_bytes()
    with reference.copy(reference.half) as lab:
        old = run_of(lab)
        kept = facts_of(old)
        try:
            data = bytearray(before)
            data[chance.randrange(len(data) // 2)] = chance.randrange(97, 123)
            if data == before:
                return Outcome("no change")
            text.write_bytes(data)
            ended = reference.machine.go("train", reference.recipe, "train.steps=3", "train.warmup=1", "--lab", lab)
        finally:
            text.write_bytes(before)
        if ended.code != 0:
            return Outcome(ended.words, f"{ended.words}: {tail(ended)}")
        runs = sorted((lab / "runs").iterdir())
        if len(runs) != 2 or facts_of(old) != kept or len(list((lab / "artifacts").glob("corpus-*"))) != 2:
            return Outcome("mixed up", f"the lab has {len(runs)} runs, or the old one was changed")
        after = reference.machine.go("train", reference.recipe, "--lab", lab)
        return Outcome("another run", differences(old, reference.facts) or (tail(after) if after.code else None))


def shards_swapped(reference: Reference, chance: random.Random, number: int) -> Outcome:
    """Two files of an artifact that change places, or one that is another artifact's."""
    with reference.copy(reference.half) as lab:
        shards = next((lab / "artifacts").glob("shards-*"))
        one, other = chance.sample([path for path in sorted(shards.iterdir()) if path.suffix == ".npy"], 2)
        spare = lab / "spare"
        one.rename(spare)
        other.rename(one)
        spare.rename(other)
        verb = chance.choice(("train", "eval"))
        words = [reference.recipe] if verb == "train" else ["last"]
        ended = reference.machine.go(verb, *words, "--lab", lab)
        wrong = None if ended.error == "artifact-damaged" else f"{verb} ends with {ended.words}: {tail(ended)}"
        return Outcome(ended.words, wrong)


FAULTS = [
    Fault("damaged-artifact", "a file of a corpus, tokenizer or shards: artifact-damaged, nothing is trained on it, "
          "the fix that is named works", artifact, 150, 10),
    Fault("damaged-checkpoint", "a file of the newest checkpoint is damaged: said, the older one is used, same bits",
          newest_checkpoint, 120, 10, EVERY),
    Fault("damaged-checkpoints", "a file of every checkpoint: checkpoint-damaged, none is used", every_checkpoint,
          30, 3),
    Fault("damaged-run", "a run's recipe, lineage, manifests or tokenizer are damaged: a named error or no harm, never "
          "other weights", run_file, 70, 8),
    Fault("damaged-log", "a log torn in its last line: goes on, same rows; damaged elsewhere: run-damaged, or the "
          "same weights", log_file, 40, 6),
    Fault("source-changed", "the text is edited between two commands: another run, the old one is left as it was",
          source_changed, 8, 1),
    Fault("shards-swapped", "shards change places: artifact-damaged", shards_swapped, 40, 2),
]  # fmt: skip
