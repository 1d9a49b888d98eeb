"""Artifacts: directories that one stage made, named by what they were made from, never changed afterwards."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from groundup import __version__
from groundup.console import say
from groundup.errors import GroundupError
from groundup.store.files import damage, digest, file_record, fsync, sha256, write_json

Build = Callable[[Path], dict[str, Any]]
"""Fills an empty directory and returns what the manifest should say besides: `counts` and the like."""


@dataclass(frozen=True)
class Artifact:
    """A directory that is whole, with its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        return self.manifest["id"]

    def reference(self) -> dict[str, str]:
        """What a later stage records of this one: the manifest's hash covers every file and input."""
        return {"id": self.id, "sha256": sha256(self.path / "manifest.json")}


def identify(stage: str, stage_version: int, part: Any, inputs: list[Artifact]) -> str:
    """An artifact's name: a hash of its part of the recipe, of what it is made from, and of the stage's version."""
    return f"{stage}-" + digest([stage, stage_version, part, [artifact.id for artifact in inputs]])[:16]


def load(path: Path) -> Artifact:
    """Open an artifact and check every file against its manifest.

    Raises GroundupError `artifact-damaged`.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        problem: str | None
        stated = manifest.pop("sha256")
        if manifest["id"] != path.name or stated != digest(manifest):
            problem = f"{path / 'manifest.json'} was changed after it was written"
        else:
            problem = damage(path, manifest["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{path / 'manifest.json'} cannot be read ({type(error).__name__}: {error})"
    if problem:
        raise GroundupError("artifact-damaged", problem, f"delete {path} and repeat the command: it is made again")
    return Artifact(path, manifest)


def make(lab: Path, stage: str, stage_version: int, part: Any, inputs: list[Artifact], build: Build) -> Artifact:
    """Return the artifact of this recipe part and these inputs, making it only if it is not there.

    `build` works in a temporary directory, which takes its final name when whole. Another process that makes the
    same artifact is waited for. Raises GroundupError `artifact-damaged`, and whatever `build` raises.
    """
    name = identify(stage, stage_version, part, inputs)
    path, temporary = lab / "artifacts" / name, lab / "artifacts" / f".making-{name}"
    lock = lab / "locks" / f"{name}.lock"
    for directory in (lock.parent, path.parent):
        directory.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if path.exists():
            artifact = load(path)
            say(f"{stage}: reused {path}")
            return artifact
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left behind
        temporary.mkdir()
        start = time.monotonic()
        try:
            extra = build(temporary)
            files = file_record(temporary)
            for file in files:
                fsync(temporary / file)
            manifest = {
                "id": name,
                "stage": stage,
                "stage_version": stage_version,
                "recipe": part,
                "inputs": [artifact.reference() for artifact in inputs],
                "files": files,
                "versions": {"groundup": __version__},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - start, 3),
            } | extra
            write_json(temporary / "manifest.json", manifest | {"sha256": digest(manifest)})
            temporary.rename(path)
            fsync(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        say(f"{stage}: made {path} in {manifest['seconds']:.1f} s")
        return Artifact(path, manifest)
