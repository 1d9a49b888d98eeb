"""The corpus: every document once, cleaned, in its split, its raw text beside it, and a record of what was left out.

Order: prepare (data/prepare.py) -> exact duplicates -> near duplicates, over all sources and splits together -> split,
which a hash of the text decides -> leaks (data/leaks.py). Official validation and test documents come first, so of two
equal documents the one that must stay unseen survives, not its copy in train.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from groundup.console import say
from groundup.data import record
from groundup.data.prepare import rules_of
from groundup.data.sources import expand, find_files, identity, mirror_of
from groundup.errors import GroundupError
from groundup.recipe.schema import Data
from groundup.store.artifacts import Artifact, identify, make
from groundup.store.files import read_work, sha256, write_json

VERSION = 2
ROWS = 1000  # documents read at once
REPORT = "report.json"


def build(data: Data, lab: Path) -> Artifact:
    """The corpus of a recipe: `SOURCE.SPLIT.NNNNN.parquet`, `removed.NNNNN.parquet` and `report.json`.

    Raises GroundupError `no-such-file`, `no-text`, `bad-file`, `unknown-corpus`, `download-failed`, `leak`,
    `no-cluster`.
    """
    found = {
        name: find_files(source, mirror_of(data.mirror), lab / "downloads") for name, source in data.sources.items()
    }
    benchmarks = {name: expand(paths) for name, paths in data.benchmarks.items()}
    identities = {
        name: identity(source, found[name]) | {"rules": rules_of(source)} for name, source in data.sources.items()
    }
    settings = data.model_dump(
        include={"valid_fraction", "test_fraction", "near_duplicates", "decontaminate", "leak_words", "on_bad"}
    ) | {
        "sources": identities,
        "filters": data.filters.model_dump() if any(entry["rules"] for entry in identities.values()) else None,
        "order": list(data.sources),  # of equal documents the first source's stays
        "benchmarks": {name: [sha256(path) for path in paths] for name, paths in benchmarks.items()},
    }
    work = lab / "unfinished" / identify("corpus", VERSION, settings, [])

    def fill(directory: Path) -> dict[str, Any]:
        from groundup.data import stages  # and Daft with it, which those who only read a corpus need not have

        work.mkdir(parents=True, exist_ok=True)
        report, seconds = stages.run(data, found, benchmarks, work, directory)
        report["sources"] = {
            name: record.describe_source(name, data, identities[name], total)
            for name, total in report["sources"].items()
        }
        _refuse(data, report)
        write_json(directory / REPORT, report)
        shutil.rmtree(work)
        records = [{"source": name, **file} for name, entry in identities.items() for file in entry["files"]]
        return {"counts": record.counts(report), "sources": records, "stages": seconds}

    made = make(lab, "corpus", VERSION, settings, [], fill)
    _warn(data, read_work(made.path / REPORT))  # also when it is reused: it is no less true then
    return made


def _refuse(data: Data, report: dict[str, Any]) -> None:
    """Raises GroundupError `no-text`, and `leak` where the recipe asks for that."""
    for name, source in report["sources"].items():
        if not source["kept"]["train"]["documents"]:
            gone = ", ".join(f"{entry['documents']:,} {reason}" for reason, entry in source["removed"].items())
            why = f"; left out: {gone}" if gone else ""
            raise GroundupError(
                "no-text",
                f"source {name!r} has no training document after cleaning ({source['pieces']:,} read{why})",
                "check its files, delimiter and filters; see `groundup explain no-text`",
            )
    leaking = [checked for checked in report["leaks"]["checked"] if checked["leaked"]]
    if leaking and data.decontaminate == "fail":
        what = ", ".join(f"{one['leaked']:,} of {one['documents']:,} texts of {one['name']}" for one in leaking)
        first = report["leaks"]["documents"][0]
        what += f" stand in train; {first['place']} in {first['train_source']}, {first['train_place']}"
        raise GroundupError("leak", what, "leave such training documents out: data.decontaminate=remove")


def _warn(data: Data, report: dict[str, Any]) -> None:
    """Say what a user would want to know now."""
    for name, source in report["sources"].items():
        read, kept = source["read"]["documents"], source["kept"]
        if gone := source["removed"].get("unreadable"):
            say(f"warning: {name}: {gone['documents']:,} of {read:,} documents cannot be read and were left out")
        if not kept["valid"]["documents"]:
            fix = f"set data.sources.{name}.delimiter or .valid, or a larger data.valid_fraction"
            say(f"warning: {name}: {source['pieces']:,} documents leave none for validation; {fix}")
    for checked in report["leaks"]["checked"]:
        if checked["leaked"] and data.decontaminate != "remove":
            what = f"{checked['leaked']:,} of {checked['documents']:,} texts of {checked['name']} stand in train"
            say(f"warning: {what}; `groundup data report` names them, data.decontaminate=remove leaves them out")


def known_entropy(counts: dict[str, Any], sources: list[str], split: str) -> float | None:
    """Entropy in bits per byte of a split of some sources, where every one of them knows its own; else None."""
    parts = [counts[source][split] for source in sources]
    if not all("entropy_bpb" in part for part in parts):
        return None
    return sum(part["entropy_bpb"] * part["bytes"] for part in parts) / sum(part["bytes"] for part in parts)


def texts(corpus: Artifact, source: str, split: str) -> Iterator[str]:
    """The texts of one source and split, in order."""
    for path in sorted(corpus.path.glob(f"{source}.{split}.*.parquet")):
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=ROWS, columns=["text"]):
                yield from batch.column("text").to_pylist()
