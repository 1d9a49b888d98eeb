"""What a run's directory holds, read leniently: a report must show a run that is young, broken or foreign, too."""

import math
import pathlib
from dataclasses import dataclass

from groundup.report.reading import NOTHING, Folder, Row, finite, in_order, mapping, number, ratio, words


@dataclass(frozen=True)
class RunRecord:
    """What a run directory holds. valid: rows by source, in step order; floors: known entropy by source in bpb.
    texts: what the latest checkpoint wrote of all that wrote texts."""

    name: str
    recipe_text: str
    recipe: Row
    lineage: Row
    corpus: Row
    shards: Row
    train: list[Row]
    valid: dict[str, list[Row]]
    samples: list[Row]
    events: list[Row]
    evaluations: list[Row]
    texts: list[Row]
    floors: dict[str, float]
    notes: list[str]


def read(run_dir: pathlib.Path) -> RunRecord:
    folder = Folder(run_dir)
    lineage, metrics = folder.table("lineage.json"), folder.rows("metrics.jsonl")
    recipe_text, recipe = folder.text("recipe.yaml"), folder.table("recipe.yaml")
    corpus, shards = folder.table("corpus.json"), folder.table("shards.json")
    by_source: dict[str, list[Row]] = {}
    for row in metrics:
        if row.get("kind") == "valid":
            by_source.setdefault(words(row, "source", "all"), []).append(row)
    valid = {source: rows for source in sorted(by_source) if (rows := in_order(by_source[source], "step"))}
    scored = {source: number(rows[-1], "bytes") for source, rows in valid.items()}
    written = sorted(run_dir.glob("evaluations/*.generation.jsonl"))
    return RunRecord(
        name=words(lineage, "run") or run_dir.resolve().name,
        recipe_text=recipe_text,
        recipe=recipe,
        lineage=lineage,
        corpus=mapping(corpus, "counts"),
        shards=mapping(shards, "counts"),
        train=in_order([row for row in metrics if row.get("kind") == "train"], "step"),
        valid=valid,
        samples=folder.rows("samples.jsonl"),
        events=folder.rows("events.jsonl"),
        evaluations=[folder.table(f"evaluations/{p.name}") for p in sorted(run_dir.glob("evaluations/*.json"))],
        texts=folder.rows(f"evaluations/{written[-1].name}") if written else [],
        floors=known_entropy(mapping(corpus, "counts"), "valid", scored),
        notes=list(dict.fromkeys(folder.notes)),
    )


def known_entropy(corpus: Row, split: str, scored: dict[str, float]) -> dict[str, float]:
    """The floor in bits per byte of each source that has one. "all" has one when every source does: their mean,
    weighted by the bytes that were scored, or by the bytes of the split where that is not known."""
    splits = {source: mapping(mapping(corpus, source), split) for source in corpus}
    floors = {source: number(part, "entropy_bpb") for source, part in splits.items()}
    floors = {source: floor for source, floor in floors.items() if 0 < floor <= 8}
    known = all(finite(scored.get(source, NOTHING), 0) > 0 for source in floors)
    weights = {source: scored[source] if known else number(splits[source], "bytes") for source in floors}
    whole = ratio(sum(weights[source] * floors[source] for source in weights), sum(weights.values()))
    return floors | {"all": whole} if len(floors) == len(corpus) and math.isfinite(whole) else floors
