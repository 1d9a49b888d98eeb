"""A run's directory as one page, `report.html`: whatever is there is shown, and what is absent is said to be."""

import math
import pathlib
import statistics
from collections.abc import Iterable

from groundup.errors import GroundupError
from groundup.report import page, plot, units
from groundup.report.page import Cell, Fact, Section, Table, Text
from groundup.report.plot import Level, Series
from groundup.report.reading import (
    NOTHING,
    Row,
    clip,
    finite,
    listing,
    mapping,
    number,
    ratio,
    spread,
    words,
)
from groundup.science.evaluation_report import BPB, NATS, ROWS, evaluations, generation
from groundup.science.run_record import RunRecord, read
from groundup.store.files import write_atomic

SETTLE = 0.03
EARLY = f" Values in the first {SETTLE:.0%} of the steps may lie above the frame."
SPLITS = ("train", "valid", "test")
# Bounds that keep the page of a very long run light; the page says so where one of them cuts.
SOURCES, PROMPTS, SAMPLES, CHARACTERS, RECIPE = 7, 20, 12, 4000, 100_000


def write(run_dir: pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the run directory, whole or not at all, and return its path."""
    if not run_dir.is_dir():
        raise GroundupError("no-such-run", f"{run_dir} is not a run directory.", "`groundup ls` lists the runs.")
    target = run_dir / "report.html"
    write_atomic(target, render(read(run_dir)))
    return target


def render(run: RunRecord) -> str:
    samples_intro = "What the model wrote on the way, newest first. The prompt is bold; what follows is the model's."
    lineage_intro = "What this run was made from. A shortened hash shows all of itself when pointed at."
    texts_intro = "What the model repeats, varies and copies when it writes freely."
    sections = [
        Section("Curves", curves(run)),
        Section("Samples", samples(run), samples_intro),
        Section("Evaluation", evaluations(run)),
        *([Section("Generated texts", texts, texts_intro)] if (texts := generation(run)) else []),
        Section("Data", data(run), "How the text became training tokens, from top to bottom."),
        Section("Lineage", lineage(run), lineage_intro),
        Section("Recipe and events", recipe_and_events(run)),
    ]
    footer = [" ".join(run.notes), plot.THINNING, "This page makes no request and holds no script."]
    return page.page(masthead(run), sections, [line for line in footer if line])


def masthead(run: RunRecord) -> page.Masthead:
    model, device = mapping(run.lineage, "model"), mapping(run.lineage, "device")
    last = run.train[-1] if run.train else {}
    rows = [row for row in whole_text(run) if math.isfinite(number(row, "bpb"))]
    best = min(rows, key=lambda row: number(row, "bpb"), default={})
    bpb, floor = number(best, "bpb"), run.floors.get(words(best, "source", "all"), NOTHING)
    at = f"the lowest while training, at step {units.count(number(best, 'step'))}" if best else "not scored yet"
    facts = [Fact("Best validation", units.decimals(bpb, 3, BPB), at)]
    if math.isfinite(floor):
        note, over = f"the floor is {units.decimals(floor, 3, BPB)}", units.decimals(bpb / floor, 3, "×")
        below = "; below it, look for a leak or a counting error" if bpb < floor else ""
        facts.append(Fact("Against the known entropy", over, note + below, "bad" if below else ""))
    vocabulary = f"vocabulary of {units.count(number(model, 'vocab_size'), 'tokens')}" if model else ""
    steps = f"in {units.count(number(last, 'step'), 'steps')}" if last else "no step yet"
    pace = [speed for row in run.train if math.isfinite(speed := number(row, "tokens_per_s"))]
    median = f"median speed {units.count(statistics.median(pace), 'tokens/s')}" if pace else ""
    threads = units.count(number(device, "threads"), "threads") if "threads" in device else ""
    kind = joined(words(device, "type"), words(device, "precision"), threads)
    facts += [
        Fact("Parameters", units.count(number(model, "parameters")), joined(words(model, "family"), vocabulary)),
        Fact("Tokens seen", units.count(number(last, "tokens"), "tokens"), steps),
        Fact("Training time", units.duration(number(last, "seconds")), median),
        Fact("Device", words(device, "name", units.ABSENT), kind),
    ]
    state, tone, note = state_of(run)
    return page.Masthead(run.name, "groundup training run", state, tone, note, facts)


def joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def whole_text(run: RunRecord) -> list[Row]:
    """The validation rows over all sources; those of the source, if there is only one."""
    return run.valid.get("all") or (next(iter(run.valid.values())) if len(run.valid) == 1 else [])


def state_of(run: RunRecord) -> tuple[str, str, str]:
    """State, tone and a note, by the last event that changed it."""
    changes = [e for e in run.events if e.get("event") in ("started", "resumed", "interrupted", "finished", "diverged")]
    if not changes:
        return "not started", "", "No event is recorded."
    planned = number(mapping(run.recipe, "train"), "steps")
    of = f" of {units.count(planned, 'steps')} planned" if math.isfinite(planned) else ""
    step = f"at step {units.count(number(changes[-1], 'step'))}"
    match changes[-1]["event"]:
        case "interrupted":
            return f"interrupted {step}", "warn", f"{of.strip()}; it can be resumed".removeprefix("; ")
        case "diverged":
            return f"diverged {step}", "bad", "The loss or a gradient became infinite or not-a-number."
        case "finished":
            because = words(changes[-1], "because", "steps")
            return "finished", "good", step + of + (f", stopped by train.{because}" if because != "steps" else "")
    latest = max((finite(number(row, "step"), 0) for row in [*run.events, *run.train[-1:]]), default=0)
    return "running", "", f"or ended without a word; the last recorded step is {units.count(latest)}{of}"


def column(rows: list[Row], key: str, label: str, color: int = 0, faint: bool = False) -> Series:
    return Series(label, [number(row, "step") for row in rows], [number(row, key) for row in rows], color, faint)


def curves(run: RunRecord) -> list[page.Block]:
    loss = [*plot.noisy(column(run.train, "loss", "train")), column(whole_text(run), "loss", "validation", 1)]
    note = "Lower is better; validation that rises while training falls means overfitting."
    plots = plot.chart("loss", "Loss", NATS, note + EARLY, loss, settle=SETTLE)
    plots += bpb_chart(run)
    rate = column(run.train, "lr", "learning rate")
    note = "It should rise and fall as planned, with no step or kink."
    plots += plot.chart("lr", "Learning rate", "no unit", note, [rate], zero=True)
    norm = plot.noisy(column(run.train, "grad_norm", "norm"))
    note = "Level or falling is healthy; growing spikes announce divergence."
    plots += plot.chart("grad", "Gradient norm", "no unit", note, norm, log=True)
    speed = plot.noisy(column(run.train, "tokens_per_s", "speed"))
    note = "Level is healthy; a dip is other work on the machine."
    plots += plot.chart("speed", "Speed", "tokens per second", note, speed, zero=True)
    return [page.Plots(plots)] if plots else [Text("Nothing was logged yet: metrics.jsonl holds no value.", "absent")]


def bpb_chart(run: RunRecord) -> list[page.Plot]:
    # of one source, "all" would be the same curve again
    sources = {s: rows for s, rows in run.valid.items() if s != "all"} if len(run.valid) == 2 else run.valid
    by_size = sorted(sources, key=lambda s: (s != "all", -finite(number(sources[s][-1], "bytes"), 0), s))[: SOURCES + 1]
    floors = [
        Level(f"known entropy, {source}: {run.floors[source]:.3f}", run.floors[source], i)
        for i, source in enumerate(by_size)
        if source in run.floors
    ]
    note = "Lower is better, and comparable between runs whose tokenizers differ." + EARLY
    if floors:
        note += " A dashed line is the known entropy of generated text: no model can honestly go below it."
    if len(sources) > len(by_size):
        note += f" Of {len(sources):,} curves, the {len(by_size)} with most bytes are drawn."
    series = [column(sources[source], "bpb", source, i) for i, source in enumerate(by_size)]
    return plot.chart("bpb", "Validation", BPB, note, series, floors, settle=SETTLE)


def samples(run: RunRecord) -> list[page.Block]:
    prompts: dict[str, dict[str, Row]] = {}
    for row in run.samples:  # a resumed run writes a sample again: the later one counts
        same = " ".join(words(row, key) for key in ("step", "checkpoint", "seed", "temperature", "top_k", "top_p"))
        prompts.setdefault(words(row, "prompt"), {})[same] = row
    blocks: list[page.Block] = []
    for prompt, rows in list(prompts.items())[:PROMPTS]:
        newest = sorted(rows.values(), key=lambda row: finite(number(row, "step"), -1), reverse=True)
        shown = [passage(row, prompt) for row in spread(newest, SAMPLES)]
        left = f", {len(newest) - len(shown):,} more in samples.jsonl" if len(newest) > len(shown) else ""
        heading = clip(prompt.strip() or "(empty prompt)", 200, "samples.jsonl")
        blocks.append(page.Passages(heading, shown, f"older{left}"))
    if len(prompts) > PROMPTS:
        blocks.append(Text(f"{len(prompts) - PROMPTS:,} more prompts are in samples.jsonl."))
    return blocks or [Text("No samples yet.", "absent")]


def passage(row: Row, prompt: str) -> page.Passage:
    text, checkpoint = words(row, "text"), words(row, "checkpoint")
    lead = prompt if text.startswith(prompt) else ""
    settings = [
        f"{key.replace('_', '-')} {words(row, key)}" for key in ("temperature", "top_k", "top_p", "seed") if key in row
    ]
    label = f"step {units.count(number(row, 'step'))}" + (f", {checkpoint} checkpoint" if checkpoint else "")
    rest = clip(text[len(lead) :], CHARACTERS, "samples.jsonl")
    return page.Passage(label, clip(lead, CHARACTERS, "samples.jsonl"), rest, " · ".join(settings))


def data(run: RunRecord) -> list[page.Block]:
    sources = list(dict.fromkeys([*run.corpus, *run.shards]))
    if not sources:
        return [Text("Neither corpus.json nor shards.json says anything yet.", "absent")]
    corpus, shards = ({s: mapping(counts, s) for s in sources} for counts in (run.corpus, run.shards))
    tokens = {s: number(mapping(shards[s], "train"), "tokens") for s in sources}
    # The lineage's shares are of the tokens; the recipe's may be of the bytes.
    mix = mapping(run.lineage, "mix") or mapping(mapping(run.recipe, "data"), "mix")
    planned = mapping(run.lineage, "epochs")
    weights = {s: max(finite(number(mix, s) if mix else tokens[s], 0), 0) for s in sources}
    share = {s: ratio(weights[s], sum(weights.values())) for s in sources}
    seen = number(run.train[-1], "tokens") if run.train else NOTHING
    rows: list[list[str]] = []

    def add(label: str, cells: Iterable[str]) -> None:
        rows.append([label, *cells])

    def volume(part: Row) -> str:
        return f"{units.count(number(part, 'documents'), 'documents')}, {units.size(number(part, 'bytes'))}"

    if run.corpus:
        add("licence", (words(corpus[s], "license", "unknown") for s in sources))
        add("read", (volume(mapping(corpus[s], "read")) for s in sources))
        for key in dict.fromkeys(key for s in sources for key, value in corpus[s].items() if isinstance(value, int)):
            label = "of these not UTF-8, kept" if key == "bad_utf8" else f"− {key.replace('_', ' ')}"
            add(label, (units.count(number(corpus[s], key), "documents") for s in sources))
        for split in SPLITS:
            add(f"→ {split}", (volume(mapping(corpus[s], split)) for s in sources))
    if run.floors:
        add("known entropy, valid", (units.decimals(run.floors.get(s, NOTHING), 3, BPB) for s in sources))
    if run.shards:
        for split in SPLITS:
            parts = [mapping(shards[s], split) for s in sources]
            add(f"{split} tokens", (units.count(number(part, "tokens"), "tokens") for part in parts))
        size = {s: number(mapping(shards[s], "train"), "bytes") for s in sources}
        add("train bytes per token", (units.decimals(ratio(size[s], tokens[s]), 2, "bytes") for s in sources))
        add("share of the tokens", (units.decimals(100 * share[s], 1, "%") for s in sources))
        if planned:
            add("epochs planned", (units.decimals(number(planned, s), 2, "passes") for s in sources))
        add("epochs seen", (units.decimals(ratio(seen * share[s], tokens[s]), 2, "passes") for s in sources))
    note = "Epochs seen: tokens trained on, times the share, over the train tokens."
    return [Table(["", *sources], rows, "lr", note if run.shards else "")]


def lineage(run: RunRecord) -> list[page.Block]:
    record, model = run.lineage, mapping(run.lineage, "model")
    if not record:
        return [Text("No lineage is recorded.", "absent")]
    commit = words(mapping(record, "git"), "commit")
    dirty = ", with uncommitted changes" if mapping(record, "git").get("dirty") else ""
    rule = units.count(number(model, "rule_of_thumb"))
    libraries = [f"{name} {words(mapping(record, 'versions'), name)}" for name in mapping(record, "versions")]
    facts: list[list[str | Cell]] = [
        ["created", words(record, "created", units.ABSENT)],
        ["seed", words(record, "seed", units.ABSENT)],
        ["recipe SHA-256", short(words(record, "recipe_sha256"))],
        ["groundup", words(record, "groundup", units.ABSENT)],
        ["git commit", Cell(commit[:12] + dirty, commit, code=True) if commit else "none recorded"],
        ["python", f"{words(record, 'python', units.ABSENT)} on {words(record, 'platform', 'an unknown platform')}"],
        ["libraries", ", ".join(libraries) or units.ABSENT],
        ["parameters", f"{units.count(number(model, 'parameters'))}, by the rule of thumb {rule}"],
    ]
    chain: list[list[str | Cell]] = []
    for link in listing(record, "chain")[:ROWS]:
        made = [f"{words(i, 'name') or words(i, 'file')} {words(i, 'sha256')[:12]}" for i in listing(link, "inputs")]
        more = f", and {len(made) - 6:,} more" if len(made) > 6 else ""
        full = "\n".join(words(i, "sha256") for i in listing(link, "inputs")[:ROWS])
        inputs = Cell(", ".join(made[:6]) + more or units.ABSENT, full)
        name = Cell(words(link, "id", units.ABSENT), words(link, "path"), code=True)
        chain.append([words(link, "stage"), name, short(words(link, "sha256")), inputs])
    described = Table([], facts, "l")
    return [Table(["stage", "id", "SHA-256", "made from"], chain, "l"), described] if chain else [described]


def short(sha: str) -> Cell:
    return Cell(sha[:12] or units.ABSENT, sha, code=True)


def recipe_and_events(run: RunRecord) -> list[page.Block]:
    blocks: list[page.Block] = [Text("No recipe is recorded.", "absent")]
    if run.recipe_text:
        blocks = [page.Details("The resolved recipe", [page.Pre(clip(run.recipe_text, RECIPE, "recipe.yaml"))])]
    rows: list[list[str]] = []
    for event in run.events[-ROWS:]:
        more = ", ".join(f"{key} {words(event, key)}" for key in event if key not in ("time", "event", "step"))
        rows.append(
            [
                words(event, "time"),
                words(event, "event"),
                units.count(number(event, "step")),
                clip(more, 300, "events.jsonl"),
            ]
        )
    if not rows:
        return [*blocks, Text("No events yet.", "absent")]
    summary = units.count(len(run.events), "events")
    if len(rows) < len(run.events):
        summary = f"The last {len(rows):,} of {summary}"
    return [*blocks, page.Details(summary, [Table(["time", "event", "step", "more"], rows, "llrl")])]
