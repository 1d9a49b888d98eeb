"""Artifacts: directories that one stage made, named by what they were made from, never changed afterwards."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.console import say
from groundup.errors import GroundupError
from groundup.store.files import Unreadable, damage, digest, file_record, fsync, read_json, sha256, write_json
from groundup.store.locks import hold

NAME = re.compile(r"[a-z]+-[0-9a-f]{16}")
HASH = re.compile(r"[0-9a-f]{64}")
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
        manifest = read_manifest(path)
        problem = damage(path, manifest["files"]) or _uninvited(path, manifest["files"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        manifest, problem = {}, f"{path / 'manifest.json'} {error}"
    if problem:
        raise GroundupError("artifact-damaged", problem, f"delete {path} and repeat the command: it is made again")
    return Artifact(path, manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """An artifact's manifest, as it was written, without a look at the files. Raises Unreadable."""
    manifest = read_json(path / "manifest.json")
    stated = manifest.pop("sha256", None)
    if manifest.get("id") != path.name or stated != digest(manifest):
        raise Unreadable("was changed after it was written")
    files, inputs = manifest.get("files"), manifest.get("inputs")
    if not NAME.fullmatch(path.name) or manifest.get("stage") != path.name.rpartition("-")[0]:
        raise Unreadable("does not describe an artifact")
    if not isinstance(files, dict) or not all(_is_file_record(record) for record in files.values()):
        raise Unreadable("does not list files with their sizes and hashes")
    if not isinstance(inputs, list) or not all(
        isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("id", "sha256")) for one in inputs
    ):
        raise Unreadable("does not say what the artifact was made from")
    return manifest


def _is_file_record(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    size, content = record.get("bytes"), record.get("sha256")
    return type(size) is int and size >= 0 and isinstance(content, str) and HASH.fullmatch(content) is not None


def _uninvited(path: Path, files: dict[str, Any]) -> str | None:
    """A file that no manifest vouches for: shards and documents are found by their names, so it would be read."""
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if not file.is_dir() and name not in files and name != "manifest.json" and not file.name.startswith("."):
            return f"{file} is not in the manifest: it was put there afterwards"
    return None


def make(lab: Path, stage: str, stage_version: int, part: Any, inputs: list[Artifact], build: Build) -> Artifact:
    """Return the artifact of this recipe part and these inputs, making it only if it is not there.

    `build` works in a temporary directory, which takes its final name when whole. Another process that makes the
    same artifact is waited for. Raises GroundupError `artifact-damaged`, and whatever `build` raises.
    """
    name = identify(stage, stage_version, part, inputs)
    path, temporary = lab / "artifacts" / name, lab / "artifacts" / f".making-{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(lab / "locks" / f"{name}.lock", f"making {path}", wait=True):
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
