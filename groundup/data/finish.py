"""One chunk's staged documents to their final files: without duplicates, checked against held-out text, by split."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from groundup.data import leaks
from groundup.data.prepare import BATCH_BYTES, EXCERPT, REMOVED, Job, load_plan, part, power
from groundup.data.sources import corpus_of, license_of

SPLITS = ("train", "valid", "test")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("raw", pa.binary()),  # null where it is the text's UTF-8
        ("source", pa.string()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("date", pa.string()),
        ("url", pa.string()),
        ("bits", pa.float64()),  # -log2 probability, where the source knows it
    ]
)


@dataclass
class SplitTally:
    """Counts of one split; `bits` adds up where the source knows its documents' probabilities."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    bits: float = 0.0

    def add(self, table: pa.Table) -> None:
        self.documents += len(table)
        self.bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
        self.characters += pc.sum(pc.utf8_length(table["text"])).as_py() or 0
        self.bits += pc.sum(table["bits"]).as_py() or 0.0


@dataclass
class Outcome:
    """What became of a chunk."""

    splits: dict[str, SplitTally] = field(default_factory=lambda: {split: SplitTally() for split in SPLITS})
    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    overlaps: dict[int, list[Any]] = field(default_factory=dict)
    """Of each held text that a training document here touches: the largest share, and that document's id and place."""


class _Files:
    """Final files of a chunk, one for each kind of document that it has, in row groups of bounded size."""

    def __init__(self, directory: Path, number: int) -> None:
        self.directory, self.number = directory, number
        self.writers: dict[str, pq.ParquetWriter] = {}
        self.held: dict[str, list[pa.Table]] = {}

    def add(self, name: str, table: pa.Table) -> None:
        if len(table):
            held = self.held.setdefault(name, [])
            held.append(table)
            if sum(one.nbytes for one in held) >= BATCH_BYTES:
                self._flush(name)

    def _flush(self, name: str) -> None:
        table = pa.concat_tables(self.held.pop(name))
        if name not in self.writers:
            path = self.directory / f"{name}.{self.number:05}.parquet"
            same = ["source", "language", "license", "reason"]  # a dictionary of texts, which differ, takes long
            same = [column for column in same if column in table.schema.names]
            self.writers[name] = pq.ParquetWriter(
                path, table.schema, compression="zstd", use_dictionary=same, write_statistics=False
            )
        self.writers[name].write_table(table)

    def close(self) -> None:
        for name in list(self.held):
            self._flush(name)
        for writer in self.writers.values():
            writer.close()


def finish(work: Path, directory: Path, task: int) -> dict[str, Any]:
    """Write chunk number `task` of the plan to `directory`; returns its `Outcome` as a mapping."""
    data, jobs = load_plan(work)
    job, outcome = jobs[task], Outcome()
    held = leaks.load(work)
    drops = {drop["rank"]: drop for drop in _drops(work, task)}
    documents, removed = _Files(directory, task), _Files(directory, task)
    with pq.ParquetFile(part(work, task, "removed")) as before:
        for batch in before.iter_batches():
            removed.add("removed", pa.Table.from_batches([batch]))
    with pq.ParquetFile(part(work, task, "staged")) as staged:
        for group in range(staged.num_row_groups):
            table = staged.read_row_group(group)
            gone = [drops.get(rank) for rank in table["rank"].to_pylist()]
            left_out = {place: drop for place, drop in enumerate(gone) if drop}
            found = _leaks(held, table, left_out, outcome)
            if data.decontaminate == "remove":
                names = leaks.load_names(work)
                left_out |= {place: _leak(share, *names[text]) for place, (share, text) in found.items()}
            removed.add("removed", _removed(table, left_out, job, outcome))
            stays = np.ones(len(table), bool)
            stays[list(left_out)] = False
            table = table.filter(pa.array(stays))
            outcome.lengths.update(power(words) for words in table["words"].to_pylist())
            for split in SPLITS:
                chosen = table.filter(pc.equal(table["split"], split))
                outcome.splits[split].add(chosen)
                documents.add(f"{job.source}.{split}", _final(chosen, job, work))
    documents.close()
    removed.close()
    return vars(outcome) | {"splits": {split: vars(tally) for split, tally in outcome.splits.items()}}


def _drops(work: Path, task: int) -> list[dict[str, Any]]:
    first, beyond = task << 32, (task + 1) << 32
    table = pq.read_table(work / "drops.parquet", filters=[("rank", ">=", first), ("rank", "<", beyond)])
    return table.to_pylist()


def _leaks(
    held: leaks.Index, table: pa.Table, left_out: dict[int, Any], outcome: Outcome
) -> dict[int, tuple[float, int]]:
    """Training documents that hold a held text, by place in the table: share and number of the text that is held most.

    Notes in the outcome what is touched at all.
    """
    if not len(held.lengths):
        return {}
    places = [
        place for place, split in enumerate(table["split"].to_pylist()) if split == "train" and place not in left_out
    ]
    texts = table["text"].take(pa.array(places, pa.int64())).to_pylist()
    found: dict[int, tuple[float, int]] = {}
    for number, text, share in zip(*(array.tolist() for array in leaks.scan(held, texts)), strict=True):
        place = places[number]
        id, where = table["key"][place].as_py().hex(), table["place"][place].as_py()
        best = outcome.overlaps.get(text)
        if best is None or share > best[0]:
            outcome.overlaps[text] = [share, id, where]
        if share >= leaks.LEAKED:
            found[place] = max(found.get(place, (0.0, -1)), (share, text))
    return found


def _likeness(similarity: float | None) -> str:
    return "the same text" if similarity is None else f"similarity {similarity:.2f}"


def _leak(share: float, id: str, name: str) -> dict[str, Any]:
    detail = f"holds {share:.0%} of {name}"
    return {"reason": "leak", "partner": bytes.fromhex(id), "similarity": share, "detail": detail}


def _removed(table: pa.Table, left_out: dict[int, dict[str, Any]], job: Job, outcome: Outcome) -> pa.Table:
    rows = []
    chosen = table.take(pa.array(sorted(left_out), pa.int64())).to_pylist()
    for place, document in zip(sorted(left_out), chosen, strict=True):
        drop = left_out[place]
        size = len(document["text"].encode())
        outcome.removed[drop["reason"]] += 1
        outcome.removed_bytes[drop["reason"]] += size
        rows.append(
            {
                "id": document["key"].hex(),
                "source": job.source,
                "place": document["place"],
                "reason": drop["reason"],
                "detail": drop.get("detail") or _likeness(drop["similarity"]),
                "partner": drop["partner"].hex() if drop["partner"] else None,
                "similarity": drop["similarity"],
                "url": document["url"],
                "bytes": size,
                "text": document["text"][:EXCERPT],
            }
        )
    return pa.Table.from_pylist(rows, REMOVED)


def _final(table: pa.Table, job: Job, work: Path) -> pa.Table:
    source = load_plan(work)[0].sources[job.source]
    same = {
        "source": job.source,
        "language": source.language or corpus_of(source).get("language"),
        "license": license_of(source),
    }
    columns = {name: pa.repeat(pa.scalar(value, pa.string()), len(table)) for name, value in same.items()}
    columns["id"] = pa.array([key.hex() for key in table["key"].to_pylist()], pa.string())
    return pa.table([columns[name] if name in columns else table[name] for name in SCHEMA.names], schema=SCHEMA)
