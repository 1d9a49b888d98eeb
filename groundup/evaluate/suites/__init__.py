"""The suites of choice items that come with groundup, each pinned by its SHA-256. README.md here is their card.

A phenomenon is `local` where a word's neighbours can tell the right option, and `distant` where they cannot: there an
item has a twin with the same options and the same neighbouring words, of which another option is right.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resource
from typing import Any

from groundup.errors import GroundupError
from groundup.evaluate.items import SuiteItem, parse


@dataclass(frozen=True)
class Suite:
    name: str
    version: int
    sha256: str  # of the file of items
    items: tuple[SuiteItem, ...]
    reach: dict[str, str]  # by phenomenon: "local" or "distant"


@cache
def manifest() -> dict[str, Any]:
    """Version, and for each suite its file, SHA-256, number of items, and the reach of its phenomena."""
    return json.loads((resource(__name__) / "manifest.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    return list(manifest()["suites"])


@cache
def load(name: str) -> Suite:
    """A suite by name. Raises GroundupError `unknown-task`, `wrong-hash`."""
    if name not in manifest()["suites"]:
        raise GroundupError("unknown-task", f"there is no suite {name!r}", f"choose one of: {', '.join(names())}")
    known = manifest()["suites"][name]
    data = pinned(resource(__name__) / known["file"], known["sha256"])
    return Suite(name, manifest()["version"], known["sha256"], tuple(parse(data, known["file"])), known["phenomena"])


def pinned(path: Any, sha256: str) -> bytes:
    """The bytes of a file that comes with groundup. Raises GroundupError `wrong-hash` when it was changed."""
    data: bytes = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        what = f"{path} does not have the SHA-256 in its manifest: its scores would be those of another suite"
        raise GroundupError("wrong-hash", what, "install groundup again")
    return data


def twins(items: tuple[SuiteItem, ...]) -> list[list[SuiteItem]]:
    """Items by the number in their ids: twins have the same one, and a letter behind it that tells them apart."""
    groups: dict[str, list[SuiteItem]] = {}
    for item in items:
        groups.setdefault(item.id[:-1], []).append(item)
    return list(groups.values())
