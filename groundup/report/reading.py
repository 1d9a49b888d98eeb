"""Reads what is there: the files of a directory that may be young, half-written or damaged. Nothing here raises."""

import json
import math
import pathlib
from collections.abc import Iterable
from typing import Any

from groundup.store.files import Missing, Unreadable, parse_json, read_bounded
from groundup.store.plain_yaml import parse_yaml

Row = dict[str, Any]
NOTHING = float("nan")
LARGEST = 256 << 20  # bytes of a file that are drawn; a row of metrics.jsonl takes about one KB


class Folder:
    """Reads the files of one directory. What was absent or unreadable is noted in `notes`, one sentence each."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.notes: list[str] = []

    def text(self, name: str) -> str:
        try:
            return read_bounded(self.path / name, LARGEST).decode("utf-8", errors="replace")
        except Missing:
            self.notes.append(f"{name} is absent.")
        except Unreadable as error:
            self.notes.append(f"{name} {error}.")
        return ""

    def table(self, name: str) -> Row:
        """A file that holds one JSON object, or one YAML mapping."""
        text = self.text(name)
        row = _parse_yaml(text) if name.endswith(".yaml") else _parse(text)
        if row is None and (self.path / name).exists():
            self.notes.append(f"{name} {'could not be understood; its values were left out.' if text else 'is empty.'}")
        return row or {}

    def rows(self, name: str) -> list[Row]:
        """A file with one JSON object on each line. The last line may be half-written: then it is ignored."""
        lines = self.text(name).split("\n")
        rows = [_parse(line) for line in lines]
        bad = sum(row is None and bool(line.strip()) for row, line in zip(rows[:-1], lines[:-1], strict=True))
        if bad:
            self.notes.append(f"{name}: {bad:,} damaged {'line was' if bad == 1 else 'lines were'} left out.")
        return [row for row in rows if row is not None]


def in_order(rows: list[Row], key: str) -> list[Row]:
    """Rows with ascending numbers under `key`. Who goes back and writes a number again replaces what came after it."""
    kept: list[Row] = []
    for row in rows:
        at = number(row, key)
        while kept and number(kept[-1], key) >= at:
            kept.pop()
        if math.isfinite(at):
            kept.append(row)
    return kept


def number(row: Row, key: str) -> float:
    """The number under `key`, or not-a-number where there is none."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def mapping(row: Row, key: str) -> Row:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def listing(row: Row, key: str) -> list[Row]:
    """The objects in the list under `key`."""
    value = row.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def numbers(row: Row, key: str) -> list[float]:
    """The list of numbers under `key`; not-a-number stands for an item that is none."""
    value = row.get(key)
    return [number({"": item}, "") for item in value] if isinstance(value, list) else []


def total(values: Iterable[float]) -> float:
    """The sum of those that are finite, or not-a-number where none is."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else NOTHING


def words(row: Row, key: str, absent: str = "") -> str:
    """The value under `key` as text."""
    value = row.get(key)
    if value is None:
        return absent
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def finite(value: float, otherwise: float = NOTHING) -> float:
    return value if math.isfinite(value) else otherwise


def ratio(part: float, whole: float) -> float:
    """part / whole, or not-a-number where that has no meaning."""
    return part / whole if whole > 0 else NOTHING


def spread(rows: list[Row], most: int) -> list[Row]:
    """At most `most` (> 1) of the rows, evenly spaced, with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def clip(text: str, most: int, where: str) -> str:
    """The first `most` characters; where that cuts, it is said how many more there are, and where."""
    return text if len(text) <= most else f"{text[:most]} […{len(text) - most:,} more characters in {where}]"


def _parse(text: str) -> Row | None:
    try:
        row = parse_json(text.encode(), finite=False, spellable=False)
    except Unreadable:
        return None
    return row if isinstance(row, dict) else None


def _parse_yaml(text: str) -> Row | None:
    try:
        row = parse_yaml(text)
    except Unreadable:
        return None
    return row if isinstance(row, dict) else None
