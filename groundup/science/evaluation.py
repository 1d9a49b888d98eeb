"""What `groundup eval` does: splits, texts, tasks and WikiText, each to a record that says how it came about."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from groundup.console import progress, say
from groundup.data.corpus import known_entropy
from groundup.data.sources import mirror_of
from groundup.errors import GroundupError
from groundup.evaluate import choice, generated, wikitext
from groundup.evaluate.choice import Answer
from groundup.evaluate.likelihood import likelihoods
from groundup.evaluate.score import Score, pooled, score, score_split
from groundup.evaluate.tasks import Task, of_suite, open_task
from groundup.evaluate.texts import open_texts, pack
from groundup.recipe.schema import Recipe
from groundup.science import beside
from groundup.science.changes import recipe_of
from groundup.science.evaluation_record import Judged, Made, flag, judge, keep
from groundup.store.artifacts import load
from groundup.store.files import digest
from groundup.store.runs import Run

SEEN = ("train",)  # splits that a model was trained on


@dataclass(frozen=True)
class Wanted:
    """What is to be evaluated, and how."""

    splits: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lm_eval: list[str] = field(default_factory=list)
    stride: int | None = None
    delimiter: str | None = None
    column: str = "text"
    baselines: list[str] = field(default_factory=list)


def wanted(
    split: list[str] | None,
    task: list[str] | None,
    text: list[str] | None,
    lm_eval: list[str] | None,
    stride: int | None,
    delimiter: str | None,
    column: str,
    baseline: list[str] | None = None,
) -> Wanted:
    """What a command line asks for: the valid and test splits where it names nothing. Raises GroundupError `usage`."""
    if wrong := set(split or []) - {"train", "valid", "test"}:
        raise GroundupError("usage", f"there is no split {sorted(wrong)[0]!r}", "the splits are train, valid and test")
    beside.check(baseline or [])
    names = split or ([] if task or text or lm_eval else ["valid", "test"])
    return Wanted(names, task or [], text or [], lm_eval or [], stride, delimiter, column, baseline or [])


def evaluate(run: Run, which: str, wanted: Wanted, device: str = "auto") -> dict[str, Any]:
    """Evaluate a checkpoint; every part is also written to the run's evaluations/.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`, `artifact-damaged`, `no-device`, `bad-task` and others
    of reading tasks and texts; `usage` for a stride that the model's context does not allow.
    """
    judged, recipe = judge(run, which, device), recipe_of(run)
    context = judged.model.config.context
    if wanted.stride is not None and not 0 < wanted.stride <= context:
        what = f"a stride of {wanted.stride} tokens is not between 1 and the model's context of {context}"
        raise GroundupError("usage", what, f"--stride {max(1, context // 2)}")
    baselines = beside.Baselines(judged, wanted.baselines)
    if wanted.baselines and not wanted.splits and not wanted.tasks:
        say("warning: --baseline is for splits and choice tasks: nothing that was asked for has any")
    found: dict[str, Any] = {"run": run.name, "checkpoint": judged.checkpoint.path.name, "scores": []}
    parts: list[dict[str, Any]] = []
    if wanted.splits:
        said = splits(judged, wanted.splits, recipe.train.document_mask, wanted.stride, baselines)
        found |= {key: value for key, value in said.items() if key not in ("results", "depends_on")}
        found["scores"] = said["scores"] if "scores" in said else said["results"]
    parts += [
        text(judged, given, wanted, wanted.splits or ["valid", "test"], recipe.train.document_mask)
        for given in wanted.texts
    ]
    parts += [task(judged, given, recipe, baselines) for given in wanted.tasks]
    if wanted.lm_eval:
        from groundup.science.lm_eval import run_tasks

        parts += run_tasks(judged, wanted.lm_eval)
    return found | {"evaluations": parts}


def splits(
    judged: Judged, names: list[str], masked: bool, stride: int | None, baselines: beside.Baselines
) -> dict[str, Any]:
    """The run's own splits, by source."""
    shards = judged.run.shards()
    sources = list(shards.manifest["counts"])
    counts = judged.run.counts(sources)
    settings = _windows(judged, masked, stride)

    def make() -> Made:
        rows, columns = [], _Columns()
        for split in names:
            if split in SEEN:
                say("warning: the model was trained on the train split. Its score says nothing of new text")
            others = baselines.bits(split, masked, stride)
            args = (judged.model, shards.path, sources, split, judged.encoding, judged.device, masked, None, stride)
            for one in score_split(*args):
                if one.source != "all":
                    columns.add(split, one)
                named = sources if one.source == "all" else [one.source]
                row = {"split": split, **_row(one), "trained_on": split in SEEN}
                floor = known_entropy(counts, named, split)
                row |= {f"{name}_bpb": bpb[one.source] for name, bpb in others.items() if one.source in bpb}
                rows.append(row if floor is None else row | {"entropy_bpb": floor})
                _say_score(rows[-1], floor)
        # Scores by another convention have another key, so that nobody takes them for the usual ones.
        return {"settings": settings, "results" if stride else "scores": rows}, columns.table()

    depends_on = {"shards": shards.reference(), "splits": names, "settings": settings, "baselines": baselines.names}
    return keep(judged, f"stride-{stride}" if stride else "", depends_on, make)


def _windows(judged: Judged, masked: bool, stride: int | None) -> dict[str, Any]:
    """How a text is shown to the model."""
    context = judged.model.config.context
    return {
        "context": context,
        "stride": stride or context,
        "windows": f"sliding, {context - stride} tokens of context or more" if stride else "side by side",
        "document_mask": masked,
    }


def _row(one: Score) -> dict[str, Any]:
    assert one.documents is not None
    return one.to_json() | {"bpb_se": one.documents.bpb_error(), "documents": len(one.documents.ids)}


def _say_score(row: dict[str, Any], floor: float | None = None) -> None:
    entropy = f", {row['bpb'] / floor:.3f} x the known entropy" if floor else ""
    error = f" ± {row['bpb_se']:.4f}" if row["bpb_se"] is not None else ""
    for name in beside.NAMES:
        if (other := row.get(f"{name}_bpb")) is not None:
            error += f", {name} {other:.4f}"
    where = " ".join(filter(None, [row.get("split"), row["source"]]))
    say(f"{where}: bpb={row['bpb']:.4f}{error} ppl={row['ppl']:.2f} ({row['tokens']:,} tokens{entropy})")


class _Columns:
    """Values by document, as columns."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {key: [] for key in ("split", "source", "id", "nats", "tokens", "bytes")}

    def add(self, split: str | None, one: Score) -> None:
        assert one.documents is not None
        self.parts["split"] += [split] * len(one.documents.ids)
        self.parts["source"] += [one.source] * len(one.documents.ids)
        self.parts["id"] += [f"{id:016x}" for id in one.documents.ids.tolist()]
        for key in ("nats", "tokens", "bytes"):
            self.parts[key] += getattr(one.documents, key).tolist()

    def table(self) -> dict[str, list[Any]]:
        return self.parts


def text(judged: Judged, given: str, wanted: Wanted, splits: list[str], masked: bool) -> dict[str, Any]:
    """A user's text: files, or a corpus."""
    texts = open_texts(given, judged.lab, splits, wanted.delimiter, wanted.column)
    settings = _windows(judged, masked, wanted.stride)

    def make() -> Made:
        rows, columns, scores = [], _Columns(), []
        for source, documents in texts.sources.items():
            about = flag(judged, documents, texts.files.get(source, []))
            tokens, records = pack(documents, judged.encoding)
            one = score(
                judged.model, tokens, judged.encoding, judged.device, source, masked, wanted.stride, documents=records
            )
            scores.append(one)
            columns.add(texts.split.get(source), one)
            rows.append(_row(one) | {"trained_on": about["flag"], "overlap": about})
        if len(rows) > 1:
            flags = [row["trained_on"] for row in rows]
            rows.append(
                _row(pooled(scores)) | {"trained_on": True if True in flags else None if None in flags else False}
            )
        for row in rows:
            _say_score(row)
        return {"text": given, "settings": settings, "results": rows}, columns.table()

    name = f"text-{_slug(texts.name)}-{digest(texts.about)[:8]}" + (f"-stride-{wanted.stride}" if wanted.stride else "")
    return keep(judged, name, {"text": texts.about, "settings": settings}, make)


def task(judged: Judged, given: str, recipe: Recipe, baselines: beside.Baselines) -> dict[str, Any]:
    """A task by name or from a file; `held-out`, or held-out=SOURCE, is made of the run's validation text."""
    mirror, downloads = mirror_of(recipe.data.mirror), judged.lab / "downloads"
    name, _, path = given.partition("=")
    if name == "wikitext":
        return _wikitext(judged, wikitext.open_pages(path or None, "test", mirror, downloads))
    opened = _held_out(judged, path) if name == "held-out" else open_task(given, mirror, downloads)
    identity = {"name": opened.name, "version": opened.version, "sha256": opened.sha256}
    depends_on = {"task": identity, "baselines": baselines.names}
    return keep(judged, f"task-{_slug(opened.name)}", depends_on, lambda: _judge_items(judged, opened, baselines))


def _held_out(judged: Judged, source: str) -> Task:
    """Choice items made of the validation text of a source, by default the one with the most documents there."""
    link = next((one for one in judged.run.lineage()["chain"] if one["id"].startswith("corpus-")), {"id": "corpus-"})
    corpus = load(judged.lab / "artifacts" / link["id"])
    counts = corpus.manifest["counts"]
    source = source or max(counts, key=lambda name: counts[name]["valid"]["documents"])
    if source not in counts:
        raise GroundupError("unknown-task", f"the run has no source {source!r}", f"one of: {', '.join(counts)}")
    return _fitting(judged, of_suite(generated.from_corpus(corpus, source, "valid")))


def _fitting(judged: Judged, made: Task) -> Task:
    """Without the items of which an option is longer than the model's context, and their twins."""
    long = set()
    for item in made.items:
        try:
            choice.encode(item, judged.encoding, judged.model.config.context)
        except GroundupError:
            long.add(item.unit)
    kept = [item for item in made.items if item.unit not in long]
    if not long:
        return made
    if not kept:
        raise GroundupError("bad-task", f"no item of {made.name} fits into the model's context", "a longer context")
    say(f"{made.name}: {len(made.items) - len(kept)} of {len(made.items)} items are longer than the model's context")
    return replace(made, items=kept, about=made.about | {"kept": len(kept)})


def answers(judged: Judged, opened: Task) -> tuple[list[Answer], int]:
    """What the model says to each item, and of how many items the context was cut in front to fit the model's."""
    context, cut, encoded = judged.model.config.context, 0, []
    for item in opened.items:
        options, lost = choice.encode(item, judged.encoding, context)
        encoded.append(options)
        cut += lost > 0
    found: list[Answer | None] = [None] * len(encoded)
    with progress(opened.name, len(encoded), "items") as advance:
        for number, done in likelihoods(judged.model, encoded, judged.device, judged.encoding.unknown):
            tokens = [len(option.ids) - option.first for option in encoded[number]]
            sizes = choice.option_bytes(opened.items[number])
            found[number] = Answer([one.nats for one in done], tokens, sizes, [one.greedy for one in done])
            advance(1)
    return [answer for answer in found if answer is not None], cut


def _judge_items(judged: Judged, opened: Task, baselines: beside.Baselines) -> Made:
    about = flag(judged, list(_texts(opened)), [sha for _, sha in opened.about["files"]], deep=False)
    items, start = opened.items, time.monotonic()
    given, cut = answers(judged, opened)
    took = time.monotonic() - start
    said: dict[str, Any] = {
        "task": {"name": opened.name, "version": opened.version, "sha256": opened.sha256, "kind": opened.kind},
        "settings": {**opened.about, "reading": opened.reading, "ties": "1 / m where m options tie with the right one"},
        "contexts_cut": cut,
        "trained_on": about["flag"],
        "overlap": about,
        "items_per_s": round(len(items) / max(took, 1e-9), 1),
    }
    credits = np.array([float(answer.greedy[0]) for answer in given])
    if opened.kind == "cloze":
        said["results"] = choice.cloze(items, given)
    else:
        readings = {}
        for reading in choice.READINGS:
            worth = np.array(
                [choice.credit(item, answer.scores(reading)) for item, answer in zip(items, given, strict=True)]
            )
            readings[reading] = choice.summarise(items, worth)
            credits = worth if reading == opened.reading else credits
        said["results"] = readings[opened.reading]
        said["readings"] = {name: rows[0] for name, rows in readings.items()}
        said["baselines"] = choice.baselines(items) | baselines.accuracies(opened, answers)
        said["alike"] = sum(len(set(item.options)) == 1 for item in items)
    head = said["results"][0]
    error = f" ± {head['se']:.4f}" if head["se"] is not None else ""
    say(f"{opened.name}: accuracy={head['accuracy']:.4f}{error} (n={head['n']:,}, chance {head['chance']:.4f})")
    columns = {
        "id": [item.id for item in items],
        "gold": [item.gold for item in items],
        "credit": credits.tolist(),
        **{key: [asdict(answer)[key] for answer in given] for key in ("nats", "tokens", "bytes")},
    }
    return said, columns


def _texts(opened: Task) -> Iterator[str]:
    """Each item's right text, as a document would hold it."""
    for item in opened.items:
        before, scored = item.options[item.gold]
        yield (before + scored).strip()


def _wikitext(judged: Judged, opened: wikitext.Pages) -> dict[str, Any]:
    def make() -> Made:
        hashes = [sha for _, sha in opened.about["files"]]
        about = flag(judged, opened.pages, hashes)
        scores, pages, counts = wikitext.evaluate(judged.model, opened.pages, judged.encoding, judged.device)
        beside = f"{scores['pages']} pages, {scores['words']:,} words of the original"
        say(f"wikitext: word perplexity={scores['word_perplexity']:.2f} bpb={scores['bits_per_byte']:.4f} ({beside})")
        convention = "lm-eval's wikitext, version 2: the page as read, by the words and bytes of the page as tokenised"
        settings = {**opened.about, "convention": convention, "context": judged.model.config.context}
        said = {
            "task": {"name": "wikitext", "version": wikitext.VERSION, "sha256": opened.sha256, "kind": "perplexity"},
            "settings": settings,
            "trained_on": about["flag"],
            "overlap": about,
            "results": [scores],
        }
        columns = {"id": pages.ids.tolist(), "nats": pages.nats.tolist(), "tokens": pages.tokens.tolist()}
        return said, columns | {"bytes": pages.bytes.tolist(), "words": counts.tolist()}

    depends_on = {"task": {"name": "wikitext", "version": wikitext.VERSION, "sha256": opened.sha256}}
    return keep(judged, "task-wikitext", depends_on, make)


def _slug(name: str) -> str:
    """A name as a part of a file's name."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return kept.strip("-")[:60] or "text"
