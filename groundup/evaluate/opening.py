"""Prompts for open generation: those that come with groundup, or a file of one's own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError

FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Prompt:
    id: str
    kind: str
    prompt: str


def own_kinds() -> list[str]:
    """Names of the sets that come with groundup."""
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def read_prompts(name: str) -> list[Prompt]:
    """A set of groundup's own by its name, or a file: .jsonl with {"id", "kind", "prompt"}, else a prompt on each line.

    Raises GroundupError `no-such-file`, `bad-file`.
    """
    path = FOLDER / f"{name}.jsonl" if name in own_kinds() else Path(name)
    if not path.is_file():
        fix = f"name a file, or one of: {', '.join(own_kinds())}" if own_kinds() else "name a file of prompts"
        raise GroundupError("no-such-file", f"there are no prompts {name[:200]!r}", fix)
    try:
        lines = path.read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise GroundupError("bad-file", f"{path} is not UTF-8: {error}", "save it as UTF-8") from None
    given = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if path.suffix == ".jsonl":
        prompts = [_of_json(path, number, line) for number, line in given]
    else:
        prompts = [Prompt(f"{path.stem}-{number}", path.stem, line) for number, line in given]
    if not prompts:
        raise GroundupError("bad-file", f"{path} holds no prompt", "write one on each line")
    return prompts


def _of_json(path: Path, number: int, line: str) -> Prompt:
    try:
        row: Any = json.loads(line)
        if not isinstance(row["prompt"], str):
            raise TypeError("prompt is no text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{path}, line {number} is no JSON object with a text under prompt ({type(error).__name__})"
        fix = 'write lines such as {"id": "1", "kind": "story", "prompt": "A cat"}'
        raise GroundupError("bad-file", what, fix) from None
    return Prompt(str(row.get("id", f"{path.stem}-{number}")), str(row.get("kind", path.stem)), row["prompt"])
