"""Run directories: self-contained, append-only, readable without groundup."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.store import locks
from groundup.store.artifacts import NAME, Artifact, load
from groundup.store.files import Unreadable, append_lines, read_json, read_lines, write_atomic

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Run:
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the run's JSON files. Raises GroundupError `run-damaged`."""
        try:
            return read_json(self.path / name)
        except Unreadable as error:
            what = f"{self.path / name} {error}"
            raise GroundupError("run-damaged", what, "delete the run and train it again") from None

    def lineage(self) -> dict[str, Any]:
        """Where the run comes from. Raises GroundupError `run-damaged`."""
        facts = self.read_json("lineage.json")
        try:
            if not all(isinstance(link["id"], str) for link in facts["chain"]):
                raise TypeError("chain")
            if type(facts["model"]["parameters"]) is not int:
                raise TypeError("parameters")
        except (KeyError, TypeError):
            what = f"{self.path / 'lineage.json'} does not say what the run is and what it was made from"
            raise GroundupError("run-damaged", what, "delete the run and train it again") from None
        return facts

    def shards(self) -> Artifact:
        """The shards that the run was trained on, verified. Raises GroundupError `run-damaged`, `artifact-damaged`."""
        ids = [link["id"] for link in self.lineage()["chain"] if link["id"].startswith("shards-")]
        if not ids or not NAME.fullmatch(ids[0]):  # a path that leads out of the lab, say
            raise GroundupError("run-damaged", f"{self.path / 'lineage.json'} names no shards", "train it again")
        shards = load(self.path.parent.parent / "artifacts" / ids[0])
        if shards.manifest["files"] != self.read_json("shards.json").get("files"):
            what = f"{shards.path} does not hold the tokens that the run was trained on, but others"
            raise GroundupError("artifact-damaged", what, f"delete {shards.path} and give `groundup run` again")
        return shards

    def counts(self, sources: list[str]) -> dict[str, Any]:
        """What the corpus holds of these sources, by source and split. Raises GroundupError `run-damaged`."""
        counts = self.read_json("corpus.json").get("counts")
        for source in sources:
            splits = counts.get(source) if isinstance(counts, dict) else None
            parts = [splits.get(split) for split in SPLITS] if isinstance(splits, dict) else [None]
            for part in parts:
                if not isinstance(part, dict) or not all(type(part.get(key)) is int for key in ("documents", "bytes")):
                    raise self._senseless("corpus.json")
                if not _number(part.get("entropy_bpb", 0.0)):
                    raise self._senseless("corpus.json")
        assert isinstance(counts, dict)
        return counts

    def _senseless(self, name: str) -> GroundupError:
        what = f"{self.path / name} does not hold what groundup writes there"
        return GroundupError("run-damaged", what, "delete the run and train it again")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Rows of metrics.jsonl, oldest first. Raises GroundupError `run-damaged`."""
        for row in read_lines(self.path / "metrics.jsonl"):
            scored = row.get("kind") != "valid" or (type(row.get("source")) is str and _number(row.get("bpb")))
            if type(row.get("kind")) is not str or type(row.get("step")) is not int or not scored:
                raise self._senseless("metrics.jsonl")
            yield row

    def log_metrics(self, *rows: dict[str, Any]) -> None:
        append_lines(self.path / "metrics.jsonl", rows)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Rows of samples.jsonl, oldest first. Raises GroundupError `run-damaged`."""
        for row in read_lines(self.path / "samples.jsonl"):
            if type(row.get("step")) is not int or not all(type(row.get(key)) is str for key in ("prompt", "text")):
                raise self._senseless("samples.jsonl")
            yield row

    def log_samples(self, *rows: dict[str, Any]) -> None:
        append_lines(self.path / "samples.jsonl", rows)

    def events(self) -> list[dict[str, Any]]:
        """Rows of events.jsonl, oldest first. Raises GroundupError `run-damaged`."""
        rows = list(read_lines(self.path / "events.jsonl"))
        if not all(type(row.get("event")) is str for row in rows):
            raise self._senseless("events.jsonl")
        return rows

    def log_event(self, event: str, **facts: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        append_lines(self.path / "events.jsonl", [{"time": now, "event": event, **facts}])

    def finished(self) -> bool:
        return any(event["event"] == "finished" for event in self.events())

    def rewind(self, step: int) -> None:
        """Drop metrics and samples after `step`, and final samples: a resumed run computes and logs them again.

        Without this a run killed between two checkpoints would show the steps in between twice.
        """
        for name in ("metrics.jsonl", "samples.jsonl"):
            path = self.path / name
            if path.exists():
                kept = [row for row in read_lines(path) if _step(row) <= step and "checkpoint" not in row]
                text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
                write_atomic(path, text)

    def busy(self) -> bool:
        """Whether a process is working on the run now."""
        return locks.busy(self._lock)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run for this process. Raises GroundupError `run-busy` when another one has it."""
        return locks.hold(self._lock, f"training {self.path}")

    @property
    def _lock(self) -> Path:
        return self.path.parent.parent / "locks" / f"{self.name}.lock"


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _step(row: dict[str, Any]) -> float:
    step = row.get("step")
    return step if isinstance(step, int | float) else math.inf


def _default_lab() -> Path:
    return Path(os.environ.get("GROUNDUP_LAB") or "lab")


def lab_option(lab: Path) -> list[str]:
    """What a command that works in the lab must be given besides: nothing for the one it would take by itself."""
    return [] if lab.absolute() == _default_lab().absolute() else ["--lab", str(lab)]


def lab_directory(given: Path | None) -> Path:
    """The lab: as given, else $GROUNDUP_LAB, else ./lab. Raises GroundupError `not-writable`."""
    lab = given or _default_lab()
    if str(lab.absolute()).encode(errors="replace") != os.fsencode(lab.absolute()):
        what = f"the lab's path {lab} is not UTF-8, and the libraries that read weights need it to be"
        raise GroundupError("not-writable", what, "choose another with --lab")
    try:
        lab.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GroundupError(
            "not-writable", f"the lab {lab} cannot be made: {error.strerror}", "choose another with --lab"
        ) from None
    return lab


def all_runs(lab: Path) -> list[Run]:
    """Every run of the lab, oldest first."""
    directories = [path for path in (lab / "runs").glob("*") if (path / "lineage.json").exists()]
    return [Run(path) for path in sorted(directories, key=lambda path: (path / "lineage.json").stat().st_mtime)]


def find(lab: Path, name: str) -> Run:
    """A run by its name, the unique beginning of its name, its path, or `last`.

    Raises GroundupError `no-such-run`.
    """
    runs = all_runs(lab)
    if name == "last" and runs:
        return runs[-1]
    if len(name) < 1000 and (Path(name) / "lineage.json").exists():
        return Run(Path(name).resolve())
    matching = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(run.name for run in matching[:5])
        raise GroundupError("no-such-run", f"{name!r} fits several runs: {names}", "give more of the name")
    known = ", ".join(run.name for run in runs[-5:]) or "none yet"
    raise GroundupError(
        "no-such-run", f"there is no run {name[:80]!r} in {lab}", f"choose one of: {known}; or name its path"
    )
