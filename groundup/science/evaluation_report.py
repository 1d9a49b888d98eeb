"""The evaluation part of a run's report: scores with intervals, chance and anchors, and their course."""

import functools
import math
from importlib.resources import files
from typing import Any

import yaml

from groundup.evaluate.estimate import NORMAL_95
from groundup.report import page, plot, units
from groundup.report.dots import Dot, Line, Mark, picture
from groundup.report.page import Key, Table, Text
from groundup.report.plot import Series
from groundup.report.reading import NOTHING, Row, finite, listing, mapping, number, ratio, words
from groundup.science.run_record import RunRecord, known_entropy
from groundup.science.text_report import copies, passages, statistics

BPB, NATS = "bits per byte", "nats per token"
ROWS, TASKS, PHENOMENA = 200, 30, 40  # bounds that keep the page light
CHANCE = ("constant", "random")  # scorers that are at chance by their making
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@functools.cache
def anchors() -> dict[str, list[dict[str, Any]]]:
    """Published scores by task, each with its conditions and source: evaluate/anchors.yaml."""
    return yaml.safe_load((files("groundup.evaluate") / "anchors.yaml").read_text(encoding="utf-8"))


def evaluations(run: RunRecord) -> list[page.Block]:
    """Whatever of this is there: accuracies, their parts and their course, perplexities, bits per byte."""
    newest = by_task(run.evaluations)
    chosen = [rows[-1] for rows in newest.values() if headline(rows[-1])][:TASKS]
    plots = [*accuracies(chosen), *phenomena(chosen), *course(newest)]
    blocks: list[page.Block] = [page.Plots(plots)] if plots else []
    blocks += published(chosen)
    blocks += perplexities(newest)
    blocks += bits_per_byte(run)
    return blocks or [Text("No evaluation yet.", "absent")]


def by_task(records: list[Row]) -> dict[str, list[Row]]:
    """The records of each task in the order of their steps; of those under one name, what is the newest one's task."""
    found: dict[str, list[Row]] = {}
    for record in sorted(records, key=lambda one: finite(number(one, "step"), -1)):
        if name := words(mapping(record, "task"), "name"):
            found.setdefault(name, []).append(record)
    same = {name: words(mapping(rows[-1], "task"), "sha256") for name, rows in found.items()}
    return {
        name: [row for row in rows if words(mapping(row, "task"), "sha256") == same[name]]
        for name, rows in sorted(found.items())
    }


def headline(record: Row) -> Row:
    """The row of a choice task that is about all of it, or an empty one."""
    whole = [row for row in listing(record, "results") if row.get("level") == "all"]
    return whole[0] if whole and math.isfinite(number(whole[0], "accuracy")) else {}


def _lettered(task: str) -> list[tuple[str, dict[str, Any]]]:
    return list(zip(LETTERS, anchors().get(task, []), strict=False))


def dot(row: Row, label: str, color: int = 0) -> Dot:
    value, error = number(row, "accuracy"), number(row, "se")
    half = NORMAL_95 * error
    return Dot(label, value, max(value - half, 0.0), min(value + half, 1.0), color)  # in this order nan stays nan


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def accuracies(records: list[Row]) -> list[page.Plot]:
    scorers = dict.fromkeys(key for record in records for key in mapping(record, "baselines"))
    colors = {key: 1 + n for n, key in enumerate(key for key in scorers if key not in CHANCE)}
    lines = []
    for record in records:
        name, head, others = words(mapping(record, "task"), "name"), headline(record), mapping(record, "baselines")
        marks = [_chance(head)]
        marks += [Mark(key, number(others, key), color=color) for key, color in colors.items() if key in others]
        marks += [Mark(one["name"], one["score"], letter) for letter, one in _lettered(name)]
        at = words(record, "checkpoint") or "the model"
        lines.append(Line(f"{name} (n = {units.count(number(head, 'n'))})", [dot(head, at)], marks))
    keys = [Key("the run, with its 95 % interval"), Key("chance", 7, "dashed")]
    keys += [Key(key.replace("_", " "), color) for key, color in colors.items()]
    note = "Right is better."
    if any(mark.name for line in lines for mark in line.marks):
        note += " Letters are the models and people of the table below."
    return picture("scores", "Scores", "share of items", note, lines, percent, keys, (0.0, 1.0))


def phenomena(records: list[Row]) -> list[page.Plot]:
    """One picture for each task with phenomena, the best first."""
    plots = []
    for count, record in enumerate(records):
        name = words(mapping(record, "task"), "name")
        parts = [row for row in listing(record, "results") if row.get("level") == "phenomenon"]
        parts = [row for row in parts if math.isfinite(number(row, "accuracy"))]
        parts.sort(key=lambda row: (-number(row, "accuracy"), words(row, "name")))
        lines = [
            Line(words(row, "name").replace("_", " "), [dot(row, "accuracy")], [_chance(row)])
            for row in parts[:PHENOMENA]
        ]
        left = f" The best {PHENOMENA} of {len(parts):,} are shown." if len(parts) > PHENOMENA else ""
        note = f"Dashes are chance.{left}"
        plots += picture(
            f"parts{count}", f"{name} by phenomenon", "share of items", note, lines, percent, (), (0.4, 1.0)
        )
    return plots


def _chance(row: Row) -> Mark:
    return Mark("chance", number(row, "chance"), dashed=True)


def course(records: dict[str, list[Row]]) -> list[page.Plot]:
    """Scores of several checkpoints as lines over the steps."""
    series: list[Series] = []
    for name, rows in records.items():
        points = {number(row, "step"): number(headline(row), "accuracy") for row in rows if headline(row)}
        points = {step: value for step, value in points.items() if math.isfinite(step)}
        if len(points) > 1:
            series.append(Series(name, list(points), list(points.values()), len(series)))
    note = "Scores of the checkpoints that were evaluated; it should rise, and a fall is overfitting or chance."
    return plot.chart("course", "Course of the scores", "share of items", note, series[: plot.COLORS])


def published(records: list[Row]) -> list[page.Block]:
    rows = []
    for record in records:
        name = words(mapping(record, "task"), "name")
        for letter, one in _lettered(name):
            rows.append([letter, name, one["name"], percent(one["score"]), one["conditions"], one["source"]])
    if not rows:
        return []
    note = "Scores of others were got under other conditions: more or other text, another vocabulary, another size."
    return [Table(["", "task", "model", "score", "conditions", "source"], rows, "lllrtt", note)]


def perplexities(records: dict[str, list[Row]]) -> list[page.Block]:
    """WikiText, by its convention, with what others got."""
    rows: list[list[str]] = []
    for record in reversed(records.get("wikitext", [])):
        for one in listing(record, "results")[:1]:
            bpb = units.decimals(number(one, "bits_per_byte"), 4)
            rows.append(
                ["this run", words(record, "checkpoint"), units.decimals(number(one, "word_perplexity"), 2), bpb]
            )
    if not rows:
        return []
    rows += [
        [one["name"], one["conditions"], units.decimals(one["score"], 2), units.ABSENT] for one in anchors()["wikitext"]
    ]
    note = "WikiText, detokenised page scored, divided by the words and bytes of the original page; lower is better."
    return [Table(["model", "conditions", "word perplexity", BPB], rows, "ltr", note)]


def bits_per_byte(run: RunRecord) -> list[page.Block]:
    """Splits and texts, with an interval where the documents' spread is on record."""
    rows: list[list[str]] = []
    for one in sorted(run.evaluations, key=lambda one: finite(number(one, "step"), -1), reverse=True):
        scores = listing(one, "scores") or [row for row in listing(one, "results") if "bpb" in row]
        slides = "sliding" in words(mapping(one, "settings"), "windows")
        stride = f", stride {words(mapping(one, 'settings'), 'stride')}" if slides else ""
        for score in scores:
            split, source, bpb = words(score, "split"), words(score, "source"), number(score, "bpb")
            scored = {words(s, "source"): number(s, "bytes") for s in scores if s.get("split") == split}
            floor = known_entropy(run.corpus, split, scored).get(source, NOTHING)
            half = NORMAL_95 * number(score, "bpb_se")
            spread = f" ± {units.decimals(half)}" if math.isfinite(half) else ""
            what = (split or words(one, "text")) + stride + (", trained on" if score.get("trained_on") is True else "")
            rows.append([words(one, "checkpoint", units.ABSENT), what, source, units.decimals(bpb) + spread])
            rows[-1] += [units.decimals(ratio(bpb, floor), 3, "×"), units.decimals(number(score, "loss"))]
            rows[-1] += [units.decimals(number(score, "ppl"), 2), units.count(number(score, "tokens"))]
            rows[-1] += [units.size(number(score, "bytes")), units.count(number(score, "documents"))]
    if not rows:
        return []
    columns = ["checkpoint", "split", "source", BPB, "ratio to known entropy", f"loss, {NATS}", "perplexity per token"]
    columns += ["tokens", "size", "documents"]
    if not run.floors:
        columns, rows = columns[:4] + columns[5:], [row[:4] + row[5:] for row in rows]
    note = "Loss and perplexity are per token of this tokenizer and cannot be compared across tokenizers; "
    note += "bits per byte can, and lower is better. ± is a 95 % interval over documents."
    if len(rows) > ROWS:
        note += f" The newest {ROWS:,} of {len(rows):,} scores are shown."
    return [Table(columns, rows[:ROWS], "lllr", note)]


def generation(run: RunRecord) -> list[page.Block]:
    """Statistics of the newest generated texts beside human text, some of the texts, and what they copied."""
    records = by_task(run.evaluations).get("generation", [])
    if not records:
        return []
    return [*statistics(records), *passages(records[-1], run.texts), *copies(records[-1])]
