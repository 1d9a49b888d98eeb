"""The stages that make a corpus, from its sources' files to its own. Only what makes one imports this, and so Daft.

prepare -> exact duplicates -> near-duplicates -> the held-out text's index -> finish. Prepared chunks and found
near-duplicates stay in the work directory, so the same call goes on where it was.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from groundup.console import progress
from groundup.data import duplicates, engine, leaks, record
from groundup.data.finish import finish
from groundup.data.prepare import Job, bytes_read, most_common, part, prepare, save_plan
from groundup.data.sources import SourceFile, plan
from groundup.data.streams import format_of
from groundup.recipe.schema import Data
from groundup.store.files import read_work

PLAIN = [(kind, None) for kind in (".txt", ".md", ".raw", ".jsonl", ".csv")]  # uncompressed


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
        jobs += [
            Job(name, chunk.file.split if chunk.file else None, fractions, chunk) for chunk in plan(source, found[name])
        ]
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


def run(
    data: Data,
    found: dict[str, list[SourceFile]],
    benchmarks: dict[str, list[Path]],
    work: Path,
    directory: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fill `directory` with the corpus; (its record, the seconds of each stage). What is staged in `work` is used.

    The record is report.json but for its sources, which are sums: see `record.describe_source`.
    """
    engine.start(data)
    stages: dict[str, Any] = {}
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
        leaks.save(index, held, work)
    with _stage(stages, "finish"):
        outcomes = _finish(work, directory, jobs)
    return _report(data, jobs, work, directory, outcomes, clusters, held, index.sizes.tolist()), stages


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
        prepared = read_work(work / f"{task:05}.json")
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
