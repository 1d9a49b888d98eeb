"""Items as groundup's suites write them down: a context, several ways to go on, and which of them is right.

What is scored is evaluate/choice.py's Item, which a row of any task file becomes. Here a row is one JSON object a line:
`id`, `suite`, `phenomenon`, `context`, `options`, `gold`, and perhaps `source` and `note`. An option goes on where the
context ends, exactly as written: the space between them belongs to the option. For minimal pairs the context may be
empty and the options whole sentences.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.store.files import Missing, Unreadable, parse_json, read_bounded

LARGEST_FILE = 256 << 20  # bytes: all of BLiMP has 30 MB
REQUIRED = {"id": str, "suite": str, "phenomenon": str, "context": str, "options": list, "gold": int}
OPTIONAL = {"source": str, "note": str}


@dataclass(frozen=True)
class SuiteItem:
    id: str
    suite: str
    phenomenon: str
    context: str
    options: tuple[str, ...]
    gold: int  # index of the right option
    source: str | None = None
    note: str | None = None

    @property
    def texts(self) -> list[str]:
        """The whole text of each option, the context before it."""
        return [self.context + option for option in self.options]

    def to_line(self) -> str:
        row = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(row, ensure_ascii=False) + "\n"


def read_items(path: Path) -> list[SuiteItem]:
    """The items of a file, checked. Raises GroundupError `no-such-file`, `bad-task`."""
    return parse(read_task(path), str(path))


def read_task(path: Path) -> bytes:
    """A file of items. Raises GroundupError `no-such-file`, `bad-task`."""
    try:
        return read_bounded(path, LARGEST_FILE)
    except Missing as error:
        raise GroundupError("no-such-file", f"{path} {error}", "check the path") from None
    except Unreadable as error:
        raise _bad(str(path), str(error), "check the path") from None


def rows(data: bytes, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, JSON object) of each line that is not blank, in the bytes of a file called `name`.

    Raises GroundupError `bad-task`, also where there is none.
    """
    empty = True
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        where, empty = f"{name}, line {number}", False
        try:
            row = parse_json(line)
        except Unreadable as error:
            raise _bad(where, str(error), "write one JSON object a line, in UTF-8") from None
        if not isinstance(row, dict):
            raise _bad(where, "is not a JSON object", "one JSON object a line")
        yield where, row
    if empty:
        raise _bad(name, "holds no item", "one JSON object a line")


def parse(data: bytes, name: str) -> list[SuiteItem]:
    """The items in the bytes of a file called `name`, checked. Raises GroundupError `bad-task`."""
    items: list[SuiteItem] = []
    places: dict[str, str] = {}
    for where, row in rows(data, name):
        item = _item(row, where)
        if item.id in places:
            raise _bad(where, f"has the id {item.id!r} of {places[item.id]}", "give each item an id of its own")
        places[item.id] = where.rpartition(", ")[2]
        items.append(item)
    return items


def _item(row: dict[str, Any], where: str) -> SuiteItem:
    _check_keys(row, where)
    options: list[str] = row["options"]
    gold: int = row["gold"]
    if not all(isinstance(option, str) and option.strip() for option in options):
        raise _bad(where, "has an option that is not text, or empty", "write each option as text")
    if len(options) < 2:
        raise _bad(where, f"has {len(options)} option", "an item needs at least two options")
    if len(set(options)) == 1:
        raise _bad(where, "has options that are all equal", "write options that differ")
    if len(set(options)) < len(options):
        twice = next(option for option, count in Counter(options).items() if count > 1)
        raise _bad(where, f"has the option {twice!r} twice", "write options that differ")
    if not 0 <= gold < len(options):
        what = f"has gold {gold}, but options 0 to {len(options) - 1}"
        raise _bad(where, what, "gold counts the options from 0")
    return SuiteItem(**{**row, "options": tuple(options)})


def _check_keys(row: dict[str, Any], where: str) -> None:
    for key, kind in (REQUIRED | OPTIONAL).items():
        if key not in row:
            if key in REQUIRED:
                raise _bad(where, f"has no {key!r}", f"an item has {', '.join(REQUIRED)}")
        elif not isinstance(row[key], kind) or isinstance(row[key], bool):
            what = f"has {key} = {row[key]!r}, which is no {kind.__name__}"
            raise _bad(where, what, f"write a {kind.__name__}")
    if unknown := row.keys() - REQUIRED.keys() - OPTIONAL.keys():
        known = ", ".join(REQUIRED | OPTIONAL)
        raise _bad(where, f"has the unknown key {min(unknown)!r}", f"known keys: {known}")


def chance(items: Iterable[SuiteItem]) -> float:
    """Expected accuracy of guessing: the mean of one over the number of options."""
    shares = [1 / len(item.options) for item in items]
    return sum(shares) / len(shares)


def _bad(where: str, what: str, fix: str) -> GroundupError:
    return GroundupError("bad-task", f"{where} {what}", fix)
