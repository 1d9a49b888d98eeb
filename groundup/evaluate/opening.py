"""Prompts for open generation: those that come with groundup, or a file of one's own."""

import json
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.evaluate.prompts import Prompt, kinds, load


def read_prompts(name: str) -> list[Prompt]:
    """A set of groundup's own by its name, or a file: .jsonl with {"id", "kind", "prompt"}, else a prompt on each line.

    Raises GroundupError `no-such-file`, `bad-file`, `wrong-hash`.
    """
    if name in kinds():
        return list(load(name).prompts)
    path = Path(name)
    if not path.is_file():
        fix = f"name a file, or one of: {', '.join(kinds())}"
        raise GroundupError("no-such-file", f"there are no prompts {name[:200]!r}", fix)
    try:
        lines = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")  # U+2028 may stand in a text
    except UnicodeDecodeError as error:
        raise GroundupError("bad-file", f"{path} is not UTF-8: {error}", "save it as UTF-8") from None
    given = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if path.suffix == ".jsonl":
        found = [_of_json(path, number, line) for number, line in given]
    else:
        found = [Prompt(f"{path.stem}-{number}", path.stem, line) for number, line in given]
    if not found:
        raise GroundupError("bad-file", f"{path} holds no prompt", "write one on each line")
    return found


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
