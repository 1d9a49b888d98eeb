"""Held-out and benchmark texts that training text holds, too: found by the word n-grams that both have.

A text is touched when any of its n-grams stands in a training document, and leaked when one training document holds
half of them or more. Stories share openings, so touching is common; leaking is not.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.clean import normalise
from groundup.data.ngrams import batch_ngram_hashes, batch_word_hashes, canonical, hash_ngrams
from groundup.errors import GroundupError
from groundup.store.arrays import open_array, save_array
from groundup.store.files import read_work, write_json

LEAKED = 0.5  # share of a text's n-grams in one training document
SHORTEST = 5  # words; benchmark sentences shorter than the n-gram are looked for as a whole, down to this length
BENCHMARK = "benchmark "


@dataclass(frozen=True)
class HeldText:
    """A text that must stay unseen; `name` says of which set it is."""

    name: str
    id: str
    place: str
    text: str


def read_benchmark(name: str, path: Path) -> Iterator[HeldText]:
    """Every line of a text file, every string of at least two words in a jsonl file.

    Raises GroundupError `no-such-file`, `bad-file`.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise GroundupError("no-such-file", f"{path} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError as error:
        raise GroundupError("bad-file", f"{path} is not UTF-8 text ({error.reason})", "save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        try:
            values = _strings(json.loads(line)) if path.suffix == ".jsonl" and line.strip() else [line]
        except (ValueError, RecursionError) as error:
            fix = "mend or remove the line"
            raise GroundupError("bad-file", f"{path}, line {number}: not JSON ({error})", fix) from None
        for text in values:
            if " " in text.strip():
                yield HeldText(BENCHMARK + name, "", f"{path.name}, line {number}", normalise(text))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for one in inner for text in _strings(one)]


@dataclass(frozen=True)
class Index:
    """The n-grams of held texts, to look training text up in."""

    lengths: np.ndarray
    """The lengths in words that occur: one, and those of short benchmark sentences."""
    grams: np.ndarray
    """Hashes, sorted; one entry for each text that has the n-gram."""
    texts: np.ndarray
    """The text of each entry, by its number."""
    sizes: np.ndarray
    """Different n-grams of each text; 0 for a text too short to be looked for."""
    table: np.ndarray
    """Whether any hash ends in these bits: it tells of most n-grams at once that they are not there."""


def save(index: Index, texts: Sequence[HeldText], folder: Path) -> None:
    """Lay the index out for the processes that look text up, with the texts' names."""
    for name, array in vars(index).items():
        save_array(folder / f"held.{name}.npy", array)
    write_json(folder / "held.json", [[text.id, f"{text.name}, {text.place}"] for text in texts])
    load.cache_clear()
    load_names.cache_clear()


@lru_cache(maxsize=1)
def load(folder: Path) -> Index:
    """The index as memory maps, which the processes of one machine share."""
    names = Index.__dataclass_fields__
    kinds = (np.bool_, np.int64, np.uint64)
    return Index(**{name: open_array(folder / f"held.{name}.npy", kinds) for name in names})


@lru_cache(maxsize=1)
def load_names(folder: Path) -> list[tuple[str, str]]:
    """(id, set and place) of each text of the index."""
    return read_work(folder / "held.json")


def build_index(texts: Sequence[HeldText], words: int) -> Index:
    """Index texts by their n-grams of so many words; a benchmark's shorter sentence is one n-gram as a whole."""
    counts = np.array([canonical(text.text).count(" ") + 1 for text in texts], np.int64)
    whole = np.array([text.name.startswith(BENCHMARK) for text in texts], bool) & (counts >= SHORTEST)
    length = np.where(counts >= words, words, np.where(whole, counts, 0))
    lengths = np.unique(length[length > 0])
    grams, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for one in lengths:
        chosen = np.flatnonzero(length == one)
        hashes, offsets = batch_ngram_hashes([texts[number].text for number in chosen.tolist()], int(one))
        grams.append(hashes)
        owners.append(np.repeat(chosen, np.diff(offsets)))
    pairs = np.unique(np.stack([np.concatenate(grams), np.concatenate(owners).astype(np.uint64)], axis=1), axis=0)
    bits = int(np.clip(np.ceil(np.log2(16 * len(pairs) + 1)), 16, 28))
    table = np.zeros(1 << bits, bool)
    table[pairs[:, 0] & np.uint64(len(table) - 1)] = True
    owner = pairs[:, 1].astype(np.int64)
    return Index(lengths, pairs[:, 0].copy(), owner, np.bincount(owner, minlength=len(texts)), table)


def scan(index: Index, documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(document, held text, share of the text's n-grams that the document has), wherever they share any."""
    words, ends = batch_word_hashes(documents)
    found = [np.empty((0, 3), np.int64)]
    for length in index.lengths.tolist():
        hashes = hash_ngrams(words, length)
        place = np.flatnonzero(index.table[hashes & np.uint64(len(index.table) - 1)])
        document, last = (np.searchsorted(ends, place + ahead, "right") - 1 for ahead in (0, length - 1))
        place, document = place[document == last], document[document == last]  # not across two documents
        first = np.searchsorted(index.grams, hashes[place], "left")
        many = np.searchsorted(index.grams, hashes[place], "right") - first
        entry = np.repeat(first - np.cumsum(many) + many, many) + np.arange(many.sum())
        found.append(np.stack([np.repeat(document, many), index.texts[entry], entry], axis=1))
    hits = np.unique(np.concatenate(found), axis=0)  # an n-gram counts once, however often the document has it
    pairs, shared = np.unique(hits[:, :2], axis=0, return_counts=True)
    return pairs[:, 0], pairs[:, 1], shared / index.sizes[pairs[:, 1]]
