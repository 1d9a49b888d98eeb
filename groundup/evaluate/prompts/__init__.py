"""Beginnings for a model to go on from, fifty of each kind, each file pinned by its SHA-256.

`grammar`: beginnings whose sentence has to be finished in agreement with what stands there. `facts`: sentences that a
fact of everyday life finishes. `stories`: first sentences that ask for a story.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resource
from typing import Any

from groundup.errors import GroundupError
from groundup.evaluate.suites import pinned


@dataclass(frozen=True)
class Prompt:
    id: str
    kind: str
    prompt: str


@dataclass(frozen=True)
class Prompts:
    kind: str
    version: int
    sha256: str  # of the file of prompts
    prompts: tuple[Prompt, ...]


@cache
def manifest() -> dict[str, Any]:
    """Version, and for each kind its file, SHA-256 and number of prompts."""
    return json.loads((resource(__name__) / "manifest.json").read_text(encoding="utf-8"))


def kinds() -> list[str]:
    return list(manifest()["prompts"])


@cache
def load(kind: str) -> Prompts:
    """The prompts of a kind. Raises GroundupError `unknown-task`, `wrong-hash`."""
    if kind not in manifest()["prompts"]:
        what = f"there is no prompt set {kind!r}"
        raise GroundupError("unknown-task", what, f"choose one of: {', '.join(kinds())}")
    known = manifest()["prompts"][kind]
    rows = pinned(resource(__name__) / known["file"], known["sha256"]).decode().splitlines()
    return Prompts(kind, manifest()["version"], known["sha256"], tuple(Prompt(**json.loads(row)) for row in rows))
