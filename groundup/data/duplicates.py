"""Which documents stand in the text already, word for word or nearly so, and which one of them stays.

Of equal documents the first stays, official validation and test documents being first. Near-duplicates are joined to
clusters, the connected components of similar pairs; of a cluster there stays an official validation or test document
if it has one, else the longest, else the first.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import daft
import daft.functions as F
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from daft import col
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from groundup.data.minhash import Pairs, find_pairs, similarities, similarity
from groundup.data.prepare import load_plan
from groundup.store.files import read_work, write_json

KEYS_AT_ONCE = 4_000_000  # texts' hashes grouped in one go: some 400 MB
DROPS, EXACT, CLUSTERS = "drops.parquet", "exact.parquet", "clusters.json"
SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        ("reason", pa.string()),
        ("partner", pa.binary()),  # key of the document that stays
        ("similarity", pa.float64()),
    ]
)
SHOWN, MEMBERS, SHOWN_TEXT = 12, 3, 4000  # clusters in the report, removed documents of each, characters of each


def _staged(work: Path) -> daft.DataFrame:
    return daft.read_parquet(str(work / "*.staged.parquet"))


def find_exact(work: Path) -> None:
    """Write EXACT: every document that has another one with the same text before it."""
    keys = _staged(work).select("rank", "key")
    passes = 1 + keys.count_rows() // KEYS_AT_ONCE
    found = []
    for one in range(passes):  # equal keys fall into the same pass
        chosen = keys.where(F.hash(col("key")) % passes == one) if passes > 1 else keys
        groups = chosen.groupby("key").agg(col("rank").list_agg().alias("ranks"))
        repeated = groups.where(F.length(col("ranks")) > 1).to_arrow().to_pylist()
        found += [(rank, group["key"]) for group in repeated for rank in sorted(group["ranks"])[1:]]
    ranks, partners = ([row[place] for row in sorted(found)] for place in (0, 1))
    pq.write_table(_table(ranks, "exact-duplicate", partners, None), work / EXACT)


def find_near(work: Path, threshold: float | None, official: int) -> dict[str, Any]:
    """Write DROPS: exact duplicates and near ones. Returns the report's entry on clusters.

    Ranks below `official` are those of official validation and test documents. Work done before is taken over.
    """
    if (work / CLUSTERS).exists():
        return read_work(work / CLUSTERS)
    exact = pq.read_table(work / EXACT)
    empty = np.empty(0, np.int64)
    pairs = Pairs(empty, empty, np.empty(0))
    if threshold is not None:
        pairs = find_pairs(_staged(work), exact["rank"].to_numpy(), threshold, work)
    groups = clusters(pairs)
    facts = _facts(work, groups)
    kept = [min(group, key=lambda rank: (rank >= official, -facts[rank]["words"], rank)) for group in groups]
    stays = {rank: survivor for group, survivor in zip(groups, kept, strict=True) for rank in group}
    gone = np.array(sorted(rank for rank, survivor in stays.items() if rank != survivor), np.int64)
    measured = {}
    for left, right, share in zip(pairs.left.tolist(), pairs.right.tolist(), pairs.similarity, strict=True):
        measured[left, right] = measured[right, left] = float(share)
    ends = [(rank, stays[rank]) for rank in gone.tolist()]
    # What came to a cluster through another document may be less like the one that stays; the record says how much.
    through = [pair for pair in ends if pair not in measured]
    left, right = np.array(through, np.int64).reshape(-1, 2).T
    measured |= zip(through, similarities(_staged(work).select("rank", "text"), left, right).tolist(), strict=True)
    partners = [facts[survivor]["key"] for _, survivor in ends]
    near = _table(gone, "near-duplicate", partners, [measured[pair] for pair in ends])
    pq.write_table(pa.concat_tables([exact, near]).sort_by("rank"), work / DROPS)
    report = _describe(work, threshold, pairs, list(zip(kept, groups, strict=True)))
    write_json(work / CLUSTERS, report)
    return report


def clusters(pairs: Pairs) -> list[list[int]]:
    """The ranks of each connected component, in order."""
    nodes, ends = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    if not len(nodes):
        return []
    half = len(pairs.left)
    graph = coo_array((np.ones(half, bool), (ends[:half], ends[half:])), shape=(len(nodes), len(nodes)))
    count, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    parts = np.split(nodes[order], np.searchsorted(label[order], np.arange(1, count)))
    return sorted(part.tolist() for part in parts)


def _facts(work: Path, groups: list[list[int]]) -> dict[int, dict[str, Any]]:
    ranks = [rank for group in groups for rank in group]
    if not ranks:
        return {}
    wanted = daft.from_pydict({"rank": ranks})
    found = _staged(work).select("rank", "key", "words").join(wanted, on="rank", how="semi", strategy="hash")
    return {row["rank"]: row for row in found.to_arrow().to_pylist()}


def _table(ranks: Any, reason: str, partners: Any, similarities: Any) -> pa.Table:
    count = len(ranks)
    return pa.table(
        [
            ranks,
            pa.repeat(pa.scalar(reason), count),
            partners,
            pa.nulls(count, pa.float64()) if similarities is None else similarities,
        ],
        schema=SCHEMA,
    )


def _describe(work: Path, threshold: float | None, pairs: Pairs, groups: list[tuple[int, list[int]]]) -> dict[str, Any]:
    """Sizes, similarities, and the texts of the largest clusters."""
    sizes = Counter(len(group) for _, group in groups)
    counts, edges = np.histogram(pairs.similarity, bins=np.round(np.linspace(0, 1, 21), 2))
    largest = sorted(groups, key=lambda one: (-len(one[1]), one[0]))[:SHOWN]
    members = [[kept, *[rank for rank in group if rank != kept][:MEMBERS]] for kept, group in largest]
    texts = _texts(work, [rank for ranks in members for rank in ranks])
    return {
        "threshold": threshold,
        "characters": SHOWN_TEXT,
        "sizes": {str(size): sizes[size] for size in sorted(sizes)},
        "similarity": {"edges": edges.tolist(), "counts": counts.tolist()},
        "largest": [
            {
                "size": len(group),
                "kept": _shown(texts[kept]),
                "removed": [
                    _shown(texts[rank]) | {"similarity": round(similarity(texts[kept]["text"], texts[rank]["text"]), 4)}
                    for rank in ranks[1:]
                ],
            }
            for (kept, group), ranks in zip(largest, members, strict=True)
        ],
    }


def _texts(work: Path, ranks: list[int]) -> dict[int, dict[str, Any]]:
    if not ranks:
        return {}
    jobs = load_plan(work)[1]
    wanted = daft.from_pydict({"rank": ranks})
    columns = ("rank", "key", "split", "place", "text")
    found = _staged(work).select(*columns).join(wanted, on="rank", how="semi", strategy="hash")
    return {
        row["rank"]: {
            "id": row["key"].hex(),
            "source": jobs[row["rank"] >> 32].source,
            "split": row["split"],
            "place": row["place"],
            "text": row["text"],
        }
        for row in found.to_arrow().to_pylist()
    }


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"text": document["text"][:SHOWN_TEXT]}
