"""How well duplicates were removed from a planted corpus.

The documents of a family that are the same word for word are one text; a text is gone when all of its documents were
removed. Documents that something else removed, a filter say, are not looked at.

- recall: texts gone, but one a family at the most must stay / texts - 1, summed over the families.
- precision: 1 - families of which nothing stays / texts gone. A family of which one text stays has lost nothing that
  it should not; one of which none stays was taken for a part of another one.
- exact recall: the same as recall, over the documents of each text.

Books repeat themselves and one another, so a family may be lost because it was a near-duplicate of another one before
anything was planted. `proof` tells by measuring again, with plain sets of words and none of the code under test;
precision_checked counts what is proven so as right.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from planted import Planted

WORDS = 3
WORD = re.compile(r"[^\W_]+")
EXCERPT = 100  # characters shown of a document


@dataclass(frozen=True)
class Score:
    recall: float
    precision: float
    recall_exact: float
    gone: int
    """Texts of which no document is left."""
    lost: list[list[str]]
    """Ids of the families of which no document is left."""


@dataclass(frozen=True)
class Outcome:
    """What the pipeline made of the corpus, by the ids of the documents."""

    filtered: set[str]
    """Removed before duplicates were looked for."""
    duplicates: dict[str, str]
    """Removed as a duplicate: the id of the document that stays in its stead."""


def score(truth: Iterable[Planted], duplicates: set[str] | Mapping[str, str], filtered: Iterable[str] = ()) -> Score:
    """Recall and precision of the documents that were removed as duplicates."""
    out = set(filtered)
    families: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for planted in truth:
        if planted.id not in out:
            families[planted.family][planted.copy if planted.edits else 0].append(planted.id)
    wanted = found = wanted_exact = found_exact = gone = 0
    lost = []
    for texts in families.values():
        removed = [sum(id in duplicates for id in ids) for ids in texts.values()]
        sizes = [len(ids) for ids in texts.values()]
        absent = sum(count == size for count, size in zip(removed, sizes, strict=True))
        wanted += len(texts) - 1
        found += min(absent, len(texts) - 1)
        wanted_exact += sum(sizes) - len(sizes)
        found_exact += sum(min(count, size - 1) for count, size in zip(removed, sizes, strict=True))
        gone += absent
        if absent == len(texts):
            lost.append(sorted(id for ids in texts.values() for id in ids))
    return Score(
        found / wanted if wanted else 1.0,
        1 - len(lost) / gone if gone else 1.0,
        found_exact / wanted_exact if wanted_exact else 1.0,
        gone,
        lost,
    )


def read_outcome(corpus: Path) -> Outcome:
    """From the files of a corpus artifact, in which a document's planted id stands under `url`."""
    kept: dict[str, str] = {}
    for path in corpus.glob("planted.*.parquet"):
        table = pq.read_table(path, columns=["id", "url"])
        kept |= zip(table["id"].to_pylist(), table["url"].to_pylist(), strict=True)
    filtered: set[str] = set()
    duplicates: dict[str, str] = {}
    for path in corpus.glob("removed.[0-9]*.parquet"):
        table = pq.read_table(path, columns=["url", "reason", "partner"])
        for row in table.to_pylist():
            if row["reason"] in ("exact-duplicate", "near-duplicate"):
                # The partner is no longer there if it is an equal document's near-duplicate that was kept.
                duplicates[row["url"]] = kept.get(row["partner"], row["partner"])
            else:
                filtered.add(row["url"])
    return Outcome(filtered, duplicates)


def proof(lost: list[list[str]], outcome: Outcome, corpus: Path, threshold: float) -> list[dict[str, Any]]:
    """Of each lost family: the most similar document outside of it that was put in a cluster with it.

    Similarity is the Jaccard index of sets of word 3-grams; `natural` says whether it reaches the threshold.
    """
    clusters: dict[str, list[str]] = defaultdict(list)
    for id, partner in outcome.duplicates.items():
        clusters[partner].append(id)
    others = {}
    for family in lost:
        partners = {outcome.duplicates[id] for id in family}
        near = partners | {id for partner in partners for id in clusters[partner]}
        others[family[0]] = sorted(near - set(family))
    wanted = {id for family in lost for id in [*family, *others[family[0]]]}
    texts = dict(_texts(corpus, wanted))
    rows = []
    for family in lost:
        pairs = [(similarity(texts[a], texts[b]), a, b) for a in family for b in others[family[0]] if b in texts]
        value, a, b = max(pairs, default=(0.0, family[0], ""))
        shown = {"id": a, "other": b, "begins": texts[a][:EXCERPT], "other_begins": texts.get(b, "")[:EXCERPT]}
        rows.append({"similarity": round(value, 3), "natural": value >= threshold} | shown)
    return sorted(rows, key=lambda row: row["similarity"])


def _texts(corpus: Path, ids: set[str]) -> Iterator[tuple[str, str]]:
    with corpus.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["url"] in ids:
                yield row["url"], row["text"]


def similarity(a: str, b: str) -> float:
    """Jaccard index of the sets of word 3-grams of two texts."""
    first, second = _grams(a), _grams(b)
    return len(first & second) / max(1, len(first | second))


def _grams(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text.casefold())
    return set(zip(*(words[start:] for start in range(WORDS)), strict=False))
