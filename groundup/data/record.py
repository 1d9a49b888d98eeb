"""report.json: what was read, changed, left out and kept, with examples. Sums of what the chunks tell."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from groundup.data.filters import REASONS
from groundup.data.finish import SPLITS
from groundup.data.leaks import LEAKED, HeldText
from groundup.data.sources import corpus_of, license_of
from groundup.recipe.schema import Data

EXAMPLES, LINES, LEAKS = 5, 20, 100
OTHER_REASONS = {
    "unreadable": ("read", "Its bytes are no text in the format or encoding that was promised."),
    "empty": ("read", "It is nothing but space and control characters."),
    "exact-duplicate": ("exact", "Another document has the same text after normalising."),
    "near-duplicate": ("near", "Another document has nearly the same word 3-grams."),
    "leak": ("leak", "It holds half or more of a validation, test or benchmark text."),
}


@dataclass
class Sum:
    """A source's documents over all of its chunks."""

    read: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    kept_lengths: Counter[int] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in SPLITS})

    def add(self, prepared: dict[str, Any], finished: dict[str, Any]) -> None:
        """One chunk's tallies, as JSON keeps them."""
        self.read.update({key: prepared[key] for key in ("documents", "bytes", "pieces")})
        self.changed.update(prepared["changed"])
        for tally in (prepared, finished):
            self.removed.update(tally["removed"])
            self.removed_bytes.update(tally["removed_bytes"])
        self.lengths.update({int(bin): count for bin, count in prepared["lengths"].items()})
        self.kept_lengths.update({int(bin): count for bin, count in finished["lengths"].items()})
        for split, tally in finished["splits"].items():
            self.splits[split].update(tally)


def describe_source(name: str, data: Data, identity: dict[str, Any], total: Sum) -> dict[str, Any]:
    """The report's entry of a source."""
    source = data.sources[name]
    corpus = corpus_of(source)
    top = max([0, *total.lengths, *total.kept_lengths])
    lengths = {
        "edges": [2**power for power in range(top + 2)],
        "read": [total.lengths[power] for power in range(top + 1)],
        "kept": [total.kept_lengths[power] for power in range(top + 1)],
    }
    return {
        "license": license_of(source),
        "language": source.language or corpus.get("language"),
        "corpus": source.corpus,
        "revision": corpus.get("revision") if source.path is None else None,
        "defects": corpus.get("defects"),
        "rules": identity["rules"],
        "files": identity["files"],
        "read": {key: total.read[key] for key in ("documents", "bytes")},
        "pieces": total.read["pieces"],
        "changed": dict(sorted(total.changed.items())),
        "removed": {
            reason: {"documents": total.removed[reason], "bytes": total.removed_bytes[reason]}
            for reason in reasons()
            if total.removed[reason]
        },
        "kept": {split: _kept(tally) for split, tally in total.splits.items()},
        "lengths": lengths,
    }


def _kept(tally: Counter[str]) -> dict[str, Any]:
    counts: dict[str, Any] = {key: tally[key] for key in ("documents", "bytes", "characters")}
    return counts | ({"entropy_bpb": tally["bits"] / tally["bytes"]} if tally["bits"] else {})


def reasons() -> dict[str, dict[str, str]]:
    """Every reason to leave a document out, in the order of the stages."""
    rules = {
        name: {"stage": "filter", "rule": one.rule, "text": one.text, "origin": one.origin}
        for name, one in REASONS.items()
    }
    other = {
        name: {"stage": stage, "rule": "", "text": text, "origin": ""} for name, (stage, text) in OTHER_REASONS.items()
    }
    names = ["unreadable", "empty", *rules, "exact-duplicate", "near-duplicate", "leak"]
    return {name: (rules | other)[name] for name in names}


def counts(report: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of each source."""
    result = {}
    for name, source in report["sources"].items():
        gone = {reason: entry["documents"] for reason, entry in source["removed"].items()}
        result[name] = {
            "license": source["license"],
            "read": source["read"],
            "unreadable": gone.pop("unreadable", 0),
            "empty": gone.pop("empty", 0),
            "duplicates": gone.pop("exact-duplicate", 0),
            "near_duplicates": gone.pop("near-duplicate", 0),
            "leaks": gone.pop("leak", 0),
            "filtered": sum(gone.values()),
        } | source["kept"]
    return result


def examples(paths: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """The first documents that were left out for each reason."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["source", "place", "id", "reason", "detail", "text"]):
                for reason, count in Counter(batch["reason"].to_pylist()).items():
                    if len(found.get(reason, ())) >= EXAMPLES:
                        continue
                    rows = [row for row in batch.to_pylist() if row["reason"] == reason][:count]
                    found.setdefault(reason, []).extend(rows[: EXAMPLES - len(found.get(reason, ()))])
    return {
        reason: [{key: value for key, value in row.items() if key != "reason"} for row in rows]
        for reason, rows in sorted(found.items())
    }


def leak_report(
    data: Data, held: list[HeldText], sizes: list[int], overlaps: dict[int, list[Any]], removed: int
) -> dict[str, Any]:
    """The leak table: `overlaps` has for each held text that is touched the share, and the training document."""
    checked: dict[str, Counter[str]] = {}
    for number, text in enumerate(held):
        tally = checked.setdefault(text.name, Counter())
        share = overlaps.get(number, [0.0])[0]
        tally.update(documents=1, short=not sizes[number], touched=share > 0, leaked=share >= LEAKED)
    worst = sorted(overlaps.items(), key=lambda item: (-item[1][0], item[0]))
    documents = [
        {
            "against": held[number].name,
            "id": held[number].id,
            "place": held[number].place,
            "overlap": round(share, 4),
            "train_id": id,
            "train_source": source,
            "train_place": place,
            "text": held[number].text[:300],
        }
        for number, (share, id, place, source) in worst[:LEAKS]
        if share >= LEAKED
    ]
    keys = ("documents", "short", "touched", "leaked")
    return {
        "words": data.leak_words,
        "mode": data.decontaminate,
        "checked": [{"name": name} | {key: tally[key] for key in keys} for name, tally in checked.items()],
        "documents": documents,
        "removed": removed,
    }
