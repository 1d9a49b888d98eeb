"""The corpus: every document once, cleaned, in its split, its raw text beside it, and a record of what was left out.

Order: prepare (data/prepare.py) -> exact duplicates -> near duplicates, over all sources and splits together -> split,
which a hash of the text decides -> leaks (data/leaks.py). Official validation and test documents come first, so of two
equal documents the one that must stay unseen survives, not its copy in train.
"""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from groundup.console import progress, say
from groundup.data import duplicates, engine, leaks, record
from groundup.data.finish import SPLITS, finish  # noqa: F401
from groundup.data.prepare import Job, bytes_read, most_common, part, prepare, rules_of, save_plan
from groundup.data.sources import SourceFile, expand, find_files, identity, mirror_of, plan
from groundup.data.streams import format_of
from groundup.errors import GroundupError
from groundup.recipe.schema import Data
from groundup.store.artifacts import Artifact, identify, make
from groundup.store.files import sha256, write_json

VERSION = 2
ROWS = 1000  # documents read at once
REPORT = "report.json"
PLAIN = [(kind, None) for kind in (".txt", ".md", ".raw", ".jsonl", ".csv")]  # uncompressed


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
        name: identity(source, found[name])
        | source.model_dump(include={"encoding", "cut_words"})
        | {"rules": rules_of(source)}
        for name, source in data.sources.items()
    }
    part = data.model_dump(
        include={"valid_fraction", "test_fraction", "near_duplicates", "decontaminate", "leak_words", "on_bad"}
    ) | {
        "sources": identities,
        "filters": data.filters.model_dump() if any(entry["rules"] for entry in identities.values()) else None,
        "order": list(data.sources),  # of equal documents the first source's stays
        "benchmarks": {name: [sha256(path) for path in paths] for name, paths in benchmarks.items()},
    }
    work = lab / "work" / identify("corpus", VERSION, part, [])

    def fill(directory: Path) -> dict[str, Any]:
        work.mkdir(parents=True, exist_ok=True)
        stages: dict[str, Any] = {}
        report = _fill(data, found, benchmarks, work, directory, stages)
        report["sources"] = {
            name: record.describe_source(name, data, identities[name], total)
            for name, total in report["sources"].items()
        }
        _refuse(data, report)
        write_json(directory / REPORT, report)
        shutil.rmtree(work)
        records = [{"source": name, **file} for name, entry in identities.items() for file in entry["files"]]
        return {"counts": record.counts(report), "sources": records, "stages": stages}

    made = make(lab, "corpus", VERSION, part, [], fill)
    _warn(data, json.loads((made.path / REPORT).read_bytes()))  # also when it is reused: it is no less true then
    return made


@contextmanager
def _stage(stages: dict[str, Any], name: str) -> Iterator[None]:
    """Note wall and processor seconds of a stage."""
    wall, cpu = time.monotonic(), engine.cpu_seconds()
    yield
    stages[name] = {
        "seconds": round(time.monotonic() - wall, 3),
        "cpu_seconds": round(engine.cpu_seconds() - cpu, 3),
    }


def _jobs(data: Data, found: dict[str, list[SourceFile]]) -> list[Job]:
    """Every chunk, those with an official split first."""
    jobs = []
    for name, source in data.sources.items():
        official = {file.split for file in found[name]}
        fractions = (
            0.0 if "valid" in official else data.valid_fraction,
            0.0 if "test" in official else data.test_fraction,
        )
        for number, chunk in enumerate(plan(source, found[name])):
            jobs.append(Job(name, number, chunk.file.split if chunk.file else None, fractions, chunk))
    return sorted(jobs, key=lambda job: job.split is None)


def _prepare(work: Path, jobs: list[Job]) -> None:
    """Stage every chunk, with progress by the bytes of text that the processes have read."""
    files = {job.chunk.file.path for job in jobs if job.chunk.file}
    plain = len(files) > 0 and all(format_of(path) in PLAIN for path in files)
    total = sum(path.stat().st_size for path in files) if plain else None  # else the text is larger than its files
    over = threading.Event()
    with progress("prepare", total, "B") as advance:

        def watch() -> None:
            shown = 0
            while not over.wait(0.5):
                done = sum(bytes_read(work, task) for task in range(len(jobs)))
                advance(done - shown)
                shown = done

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            for _ in engine.each(partial(prepare, work), range(len(jobs))):
                pass
        finally:
            over.set()
            thread.join()


def _finish(work: Path, directory: Path, jobs: list[Job]) -> list[dict[str, Any]]:
    """Write every chunk's final files; what became of each, in order."""
    sizes = [part(work, task, "staged").stat().st_size for task in range(len(jobs))]
    outcomes: dict[int, Any] = {}
    with progress("finish", sum(sizes), "B") as advance:
        for task, outcome in engine.each(partial(finish, work, directory), range(len(jobs))):
            outcomes[task] = outcome
            advance(sizes[task])
    return [outcomes[task] for task in range(len(jobs))]


def _fill(
    data: Data,
    found: dict[str, list[SourceFile]],
    benchmarks: dict[str, list[Path]],
    work: Path,
    directory: Path,
    stages: dict[str, Any],
) -> dict[str, Any]:
    engine.start(data)
    jobs = _jobs(data, found)
    save_plan(work, data, jobs)
    with _stage(stages, "prepare"):
        _prepare(work, jobs)
    official = sum(job.split is not None for job in jobs) << 32  # ranks below it
    with _stage(stages, "exact"):
        duplicates.find_exact(work)
    with _stage(stages, "near"), engine.full_disks():
        clusters = duplicates.find_near(work, data.near_duplicates, official)
    with _stage(stages, "leaks"):
        held = _held(jobs, benchmarks, work)
        index = leaks.build_index(held, data.leak_words)
        index.save(work)
    with _stage(stages, "finish"):
        outcomes = _finish(work, directory, jobs)
    return _report(data, jobs, work, directory, outcomes, clusters, held, index.sizes.tolist())


def _held(jobs: list[Job], benchmarks: dict[str, list[Path]], work: Path) -> list[leaks.HeldText]:
    """Validation and test documents that stay, and the benchmarks' texts."""
    gone = set(pq.read_table(work / duplicates.DROPS, columns=["rank"])["rank"].to_pylist())
    texts = []
    for task, job in enumerate(jobs):
        table = pq.read_table(part(work, task, "held"), columns=["rank", "key", "split", "place", "text"])
        for row in table.to_pylist():
            if row["rank"] not in gone:
                name = f"{job.source}.{row['split']}"
                texts.append(leaks.HeldText(name, row["key"].hex(), row["place"], row["text"]))
    for name, paths in benchmarks.items():
        for path in paths:
            texts += leaks.read_benchmark(name, path)
    return texts


def _report(
    data: Data,
    jobs: list[Job],
    work: Path,
    directory: Path,
    outcomes: list[dict[str, Any]],
    clusters: dict[str, Any],
    held: list[leaks.HeldText],
    sizes: list[int],
) -> dict[str, Any]:
    """The parts of report.json that the sources do not tell of themselves."""
    totals = {name: record.Sum() for name in data.sources}
    overlaps: dict[int, list[Any]] = {}
    lines: Counter[str] = Counter()
    for task, job in enumerate(jobs):
        prepared = json.loads((work / f"{task:05}.json").read_bytes())
        totals[job.source].add(prepared, outcomes[task])
        lines.update(prepared["lines"])
        for text, found in outcomes[task]["overlaps"].items():
            best = overlaps.setdefault(int(text), [*found, job.source])
            if found[0] > best[0]:
                overlaps[int(text)] = [*found, job.source]
    removed = sum(total.removed["leak"] for total in totals.values())
    return {
        "sources": totals,
        "reasons": record.reasons(),
        "examples": record.examples(sorted(directory.glob("removed.[0-9]*.parquet"))),
        "boilerplate": [{"line": line, "documents": count} for line, count in most_common(lines, record.LINES)],
        "clusters": clusters,
        "leaks": record.leak_report(data, held, sizes, overlaps, removed),
    }


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
