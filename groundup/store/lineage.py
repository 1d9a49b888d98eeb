"""Where a run comes from: the code, the machine and the chain of hashes from raw bytes to this run."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.store.artifacts import Artifact

PACKAGES = ("torch", "numpy", "tokenizers", "safetensors", "pyarrow")


def _git(*arguments: str) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def code() -> dict[str, Any] | None:
    """Commit and uncommitted changes of the checkout that this code runs from; None when it is installed elsewhere."""
    if _git("ls-files", "--error-unmatch", "lineage.py") is None:
        return None  # not a checkout of groundup, though some other repository may surround it
    commit, diff = _git("rev-parse", "HEAD"), _git("diff", "HEAD")
    if commit is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(diff), "diff": diff or ""}


def environment() -> dict[str, Any]:
    """Interpreter, platform and library versions."""
    versions = {"groundup": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return {"python": sys.version.split()[0], "platform": platform.platform(), "versions": versions}


def chain(artifacts: list[Artifact]) -> list[dict[str, Any]]:
    """One entry for each stage, oldest first: its id, the hash of its manifest, and what it was made from."""
    return [
        {"stage": artifact.manifest["stage"], **artifact.reference(), "path": str(artifact.path)}
        | {"inputs": [*artifact.manifest["inputs"], *artifact.manifest.get("sources", [])]}
        for artifact in artifacts
    ]
