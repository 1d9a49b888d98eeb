"""Mutations for the fuzzer: of bytes, of a text's words, of JSON's structure. All chance comes from one Random."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

TOKEN = re.compile(rb"\s+|[A-Za-z_][A-Za-z_0-9.-]*|[0-9][0-9.eE+-]*|.", re.DOTALL)
HOSTILE = [
    b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"null",
    b"true", b"1.5", b"9" * 400, b"9" * 5000, b"0x" + b"f" * 300, b"18446744073709551616", b"9223372036854775807",
    b"4294967295", b'"', b"'", b"\\", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b"[" * 200, b'{"a":' * 200, b":",
    b",", b"\n", b"#", b"- ", b"? ", b"&a ", b"*a", b"!!python/object/apply:os.getpid []", b"<<: ", b"---", b"...",
    b"|", b">", b"%YAML 1.1", b"../../etc/passwd", b"/dev/zero", b"~", b"1:59:59", b"2026-13-99", b"0b1", b".inf",
    b".nan", b"yes", b"=",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, float("inf"), float("nan"), "", "x", "\x00",
    "\ud800", "é" * 1000, "../../x", "/dev/zero", "<|endoftext|>", [], [[]], [None], [1, 2], {},
    {"": {}}, {"type": "x"},
]  # fmt: skip
Structural = Callable[[random.Random, bytes], bytes]
"""Changes what a file says and makes a whole file of it again, with lengths and hashes that are right."""


def of_bytes(chance: random.Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    """One change of some bytes, or a splice with another input."""
    at, end = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    end = min(end, at + chance.choice([1, 4, 64, 1 << 20]))
    kind = chance.randrange(7)
    if kind == 0 and raw:
        at = min(at, len(raw) - 1)
        return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
    if kind == 1:
        return raw[:at] + raw[end:]
    if kind == 2:
        return raw[:at] + raw[at:end] * chance.choice([2, 3, 50]) + raw[end:]
    if kind == 3:
        return raw[:at] + chance.randbytes(chance.choice([1, 2, 8])) + raw[at:]
    if kind == 4:
        number = chance.choice([0, 1, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
        return raw[:at] + number.to_bytes(8, "little") + raw[at + 8 :]
    if kind == 5:
        return raw[:at]
    other = chance.choice(others)
    return raw[:at] + other[chance.randrange(len(other) + 1) :]


def of_words(chance: random.Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    """One word of a text put elsewhere, taken out, doubled, or replaced by a hostile one or another input's."""
    words = TOKEN.findall(raw)
    if not words:
        return chance.choice(HOSTILE)
    at, kind = chance.randrange(len(words)), chance.randrange(6)
    if kind == 0:
        words[at] = chance.choice(HOSTILE)
    elif kind == 1:
        words.insert(at, chance.choice(HOSTILE))
    elif kind == 2:
        del words[at : at + chance.choice([1, 1, 3, 20])]
    elif kind == 3:
        other = chance.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    elif kind == 4:
        words[at] *= chance.choice([2, 10])
    else:
        theirs = TOKEN.findall(chance.choice(others))
        start = chance.randrange(len(theirs) + 1)
        words[at:at] = theirs[start : start + chance.choice([1, 5, 30])]
    return b"".join(words)


def of_json(chance: random.Random, value: Any) -> Any:
    """One place of a JSON value replaced, taken out, doubled, or exchanged with another place of the same value."""
    value = copy.deepcopy(value)
    places = list(islice(_places(value), 2000))
    if not places:
        return chance.choice(VALUES)
    holder, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        there, other = chance.choice(places)
        holder[key] = copy.deepcopy(there[other])
    elif kind == 2 and isinstance(holder, dict):
        holder[chance.choice(["", "x", "../../x", "\x00", "a" * 300, f"{key}2"])] = holder.pop(key)
    elif kind == 3 and isinstance(holder, list):
        holder.extend(copy.deepcopy(holder[key : key + 1]) * chance.choice([1, 2, 1000]))
    elif kind == 4 and type(holder[key]) in (int, float):
        holder[key] = chance.choice([-holder[key], holder[key] + 1, holder[key] * 2, str(holder[key]), [holder[key]]])
    else:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything inside a value; a long list's beginning stands for all of it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in islice(inner, 200):
        yield value, key
        if isinstance(one, dict | list):
            yield from _places(one)


def mutate(chance: random.Random, raw: bytes, others: Sequence[bytes], structural: Structural | None) -> bytes:
    """Up to four mutations of an input, of at most 1 MB."""
    for _ in range(chance.choice([1, 1, 2, 4])):
        if structural is not None and chance.random() < 0.6:
            raw = structural(chance, raw)
        else:
            raw = chance.choice([of_bytes, of_words])(chance, raw, others)
    return raw[: 1 << 20]


def dumps(value: Any) -> bytes:
    """JSON as a hostile writer would have it: also what is no JSON."""
    return json.dumps(value, ensure_ascii=bool(len(str(value)) % 2)).encode("utf-8", "surrogatepass")
