"""A run's directory as one page, `report.html`: whatever is there is shown, and what is absent is said to be."""

import math
import os
import pathlib
import statistics
from dataclasses import dataclass

from groundup.errors import GroundupError
from groundup.report import page, plot, units
from groundup.report.page import Cell, Fact, Section, Table, Text
from groundup.report.plot import Level, Series
from groundup.report.reading import NOTHING, Folder, Row, in_order, listing, mapping, number, words

BPB, NATS = "bits per byte", "nats per token"
SPLITS = ("train", "valid", "test")
# Bounds that keep the page of a very long run light; the page says so where one of them cuts.
SOURCES, PROMPTS, SAMPLES, CHARACTERS, ROWS, RECIPE = 7, 20, 12, 4000, 200, 100_000


@dataclass(frozen=True)
class Run:
    """What a run directory holds. valid: rows by source, in step order; floors: known entropy by source in bpb."""

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
    floors: dict[str, float]
    notes: list[str]


def write(run_dir: pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the run directory, whole or not at all, and return its path."""
    if not run_dir.is_dir():
        raise GroundupError("no-such-run", f"{run_dir} is not a run directory.", "`groundup ls` lists the runs.")
    html = render(read(run_dir))
    target, temporary = run_dir / "report.html", run_dir / f".report.html.{os.getpid()}"
    try:
        temporary.write_text(html, encoding="utf-8", newline="\n")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def read(run_dir: pathlib.Path) -> Run:
    folder = Folder(run_dir)
    lineage, metrics = folder.table("lineage.json"), folder.rows("metrics.jsonl")
    recipe_text = folder.text("recipe.yaml") if (run_dir / "recipe.yaml").is_file() else ""
    corpus = mapping(folder.table("corpus.json"), "counts")
    rows: dict[str, list[Row]] = {}
    for row in metrics:
        if row.get("kind") == "valid":
            rows.setdefault(words(row, "source", "all"), []).append(row)
    valid = {source: ordered for source in sorted(rows) if (ordered := in_order(rows[source], "step"))}
    return Run(
        name=words(lineage, "run") or run_dir.resolve().name,
        recipe_text=recipe_text,
        recipe=folder.table("recipe.yaml"),
        lineage=lineage,
        corpus=corpus,
        shards=mapping(folder.table("shards.json"), "counts"),
        train=in_order([row for row in metrics if row.get("kind") == "train"], "step"),
        valid=valid,
        samples=folder.rows("samples.jsonl"),
        events=folder.rows("events.jsonl"),
        evaluations=[folder.table(f"evaluations/{p.name}") for p in sorted(run_dir.glob("evaluations/*.json"))],
        floors=known_entropy(
            corpus, "valid", {source: number(ordered[-1], "bytes") for source, ordered in valid.items()}
        ),
        notes=folder.notes,
    )


def known_entropy(corpus: Row, split: str, scored: dict[str, float]) -> dict[str, float]:
    """The floor in bits per byte of each source that has one. "all" has one when every source does: their mean,
    weighted by the bytes that were scored, or by the bytes of the split where that is not known."""
    splits = {source: mapping(mapping(corpus, source), split) for source in corpus}
    floors = {source: number(part, "entropy_bpb") for source, part in splits.items()}
    floors = {source: floor for source, floor in floors.items() if math.isfinite(floor) and floor > 0}
    known = all(scored.get(source, NOTHING) > 0 for source in floors)
    weights = {source: scored[source] if known else number(splits[source], "bytes") for source in floors}
    if len(floors) == len(corpus) and sum(weights.values()) > 0:
        floors["all"] = sum(weights[source] * floors[source] for source in weights) / sum(weights.values())
    return floors


def render(run: Run) -> str:
    early = "Nothing was logged yet: there is no metrics.jsonl with a value in it."
    sections = [
        Section("Curves", [page.Plots(plots)] if (plots := curves(run)) else [Text(early, "absent")]),
        Section(
            "Samples", samples(run), "What the model wrote on the way. The prompt is bold; what follows is the model's."
        ),
        Section("Evaluation", evaluations(run)),
        Section("Data", data(run), "How the text became training tokens, from top to bottom."),
        Section(
            "Lineage",
            lineage(run),
            "What this run was made from. A shortened hash shows all of itself when pointed at.",
        ),
        Section("Recipe and events", recipe_and_events(run)),
    ]
    footer = [
        *([" ".join(run.notes)] if run.notes else []),
        plot.THINNING,
        "This page makes no request and holds no script.",
    ]
    return page.page(masthead(run), sections, footer)


def state_of(run: Run) -> tuple[str, str, str]:
    """State, tone and a note, by the last event that changed it."""
    changes = [e for e in run.events if e.get("event") in ("started", "resumed", "interrupted", "finished", "diverged")]
    if not changes:
        return "not started", "", "No event is recorded."
    reached = max(
        [number(e, "step") for e in run.events if math.isfinite(number(e, "step"))]
        + [number(r, "step") for r in run.train[-1:]],
        default=NOTHING,
    )
    step = number(changes[-1], "step")
    planned = number(mapping(run.recipe, "train"), "steps")
    of = f"of {units.count(planned, 'steps')} planned" if math.isfinite(planned) else ""
    match changes[-1]["event"]:
        case "interrupted":
            return f"interrupted at step {units.count(step)}", "warn", f"{of}; it can be resumed."
        case "diverged":
            return (
                f"diverged at step {units.count(step)}",
                "bad",
                "The loss or a gradient became infinite or not-a-number.",
            )
        case "finished":
            return "finished", "good", f"at step {units.count(step)} {of}"
    return "running", "", f"or ended without a word; last recorded step {units.count(reached)} {of}"


def masthead(run: Run) -> page.Masthead:
    model, device, last = (
        mapping(run.lineage, "model"),
        mapping(run.lineage, "device"),
        run.train[-1] if run.train else {},
    )
    whole = run.valid.get("all") or (next(iter(run.valid.values())) if len(run.valid) == 1 else [])
    best = min(
        (row for row in whole if math.isfinite(number(row, "bpb"))), key=lambda row: number(row, "bpb"), default={}
    )
    bpb, floor = number(best, "bpb"), run.floors.get("all", NOTHING)
    facts = [
        Fact(
            "Best validation",
            units.decimals(bpb, 3, BPB),
            f"at step {units.count(number(best, 'step'))}" if best else "not scored yet",
        )
    ]
    if math.isfinite(floor):
        below = "; a model below it points to a leak or a counting error" if bpb < floor else ""
        facts.append(
            Fact(
                "Against the known entropy",
                units.decimals(bpb / floor, 3, "×"),
                f"the floor is {units.decimals(floor, 3, BPB)}{below}",
                "bad" if below else "",
            )
        )
    pace = [v for row in run.train if math.isfinite(v := number(row, "tokens_per_s"))]
    facts += [
        Fact(
            "Parameters",
            units.count(number(model, "parameters")),
            ", ".join(
                filter(
                    None,
                    [words(model, "family"), f"vocabulary of {units.count(number(model, 'vocab_size'), 'tokens')}"],
                )
            ),
        ),
        Fact(
            "Tokens seen",
            units.count(number(last, "tokens"), "tokens"),
            f"in {units.count(number(last, 'step'), 'steps')}",
        ),
        Fact(
            "Training time",
            units.duration(number(last, "seconds")),
            f"median {units.count(statistics.median(pace), 'tokens/s')}" if pace else "",
        ),
        Fact(
            "Device",
            words(device, "name") or words(device, "type", units.ABSENT),
            ", ".join(
                filter(
                    None,
                    [
                        words(device, "type"),
                        words(device, "precision"),
                        f"{threads} threads" if (threads := words(device, "threads")) else "",
                    ],
                )
            ),
        ),
    ]
    state, tone, note = state_of(run)
    return page.Masthead(run.name, "groundup training run", state, tone, note, facts)


def _column(rows: list[Row], key: str, label: str, color: int = 0, faint: bool = False) -> Series:
    return Series(label, [number(row, "step") for row in rows], [number(row, key) for row in rows], color, faint)


def curves(run: Run) -> list[page.Plot]:
    # with one source, "all" would cover it exactly
    sources = {s: rows for s, rows in run.valid.items() if s != "all"} if len(run.valid) == 2 else run.valid
    by_size = sorted(
        sources,
        key=lambda s: (s != "all", -number(sources[s][-1], "bytes") if number(sources[s][-1], "bytes") > 0 else 0, s),
    )
    shown = by_size[: SOURCES + 1]
    loss = _column(run.train, "loss", "train, each logged step", 0, faint=True)
    mean = [plot.average(loss, "train, mean of each 1/100 of the run")] if len(run.train) > 200 else []
    whole = run.valid.get("all") or next(iter(run.valid.values()), [])
    floors = [
        Level(f"known entropy{'' if len(sources) == 1 else ', ' + s}: {run.floors[s]:.3f}", run.floors[s], i)
        for i, s in enumerate(shown)
        if s in run.floors
    ]
    floor_note = (
        " The dashed line is the known entropy of the generated text: no model can honestly go below it."
        if floors
        else ""
    )
    many = (
        f" Of {len(sources):,} curves, the {len(shown)} with most bytes are drawn." if len(sources) > len(shown) else ""
    )
    settle = " The first 3 % of the steps may begin above the frame."
    charts = [
        plot.chart(
            "loss",
            "Loss",
            NATS,
            "Lower is better; validation that rises while training falls means overfitting." + settle,
            [loss if mean else Series("train", loss.x, loss.y, 0), *mean, _column(whole, "loss", "validation", 1)],
            settle=0.03,
        ),
        plot.chart(
            "bpb",
            "Validation",
            BPB,
            "Lower is better, and comparable between runs with different tokenizers." + floor_note + many,
            [_column(sources[s], "bpb", s, i) for i, s in enumerate(shown)],
            floors,
            settle=0.03,
        ),
        plot.chart(
            "lr",
            "Learning rate",
            "per update",
            "The planned rise and fall; a kink that was not planned is worth a look.",
            [_column(run.train, "lr", "learning rate")],
            zero=True,
        ),
        plot.chart(
            "grad",
            "Gradient norm",
            "before clipping",
            "Calm or slowly falling is healthy; growing spikes come before divergence.",
            [_column(run.train, "grad_norm", "gradient norm")],
            log=True,
        ),
        plot.chart(
            "speed",
            "Speed",
            "tokens per second",
            "Level is healthy; a dip is another job on the machine, or the scoring of a validation split.",
            [_column(run.train, "tokens_per_s", "speed")],
            zero=True,
        ),
    ]
    return [one for chart in charts for one in chart]


def samples(run: Run) -> list[page.Block]:
    prompts: dict[str, dict[str, Row]] = {}
    for row in run.samples:  # a resumed run writes a sample again: the later one counts
        same = " ".join(words(row, key) for key in ("step", "checkpoint", "seed", "temperature", "top_k", "top_p"))
        prompts.setdefault(words(row, "prompt"), {})[same] = row
    blocks: list[page.Block] = []
    for prompt, rows in list(prompts.items())[:PROMPTS]:
        newest = sorted(rows.values(), key=lambda row: _or(number(row, "step"), -1), reverse=True)
        # evenly spaced, with the newest and the oldest
        picked = (
            newest
            if len(newest) <= SAMPLES
            else [newest[round(i * (len(newest) - 1) / (SAMPLES - 1))] for i in range(SAMPLES)]
        )
        left = f", {len(newest) - len(picked):,} more in samples.jsonl" if len(newest) > len(picked) else ""
        blocks.append(
            page.Passages(prompt.strip() or "(empty prompt)", [_passage(row, prompt) for row in picked], f"older{left}")
        )
    if len(prompts) > PROMPTS:
        blocks.append(Text(f"{len(prompts) - PROMPTS:,} more prompts are in samples.jsonl."))
    return blocks or [Text("No samples yet.", "absent")]


def _passage(row: Row, prompt: str) -> page.Passage:
    text, checkpoint = words(row, "text"), words(row, "checkpoint")
    lead = prompt if text.startswith(prompt) else ""
    rest = text[len(lead) :]
    rest = (
        rest
        if len(rest) <= CHARACTERS
        else f"{rest[:CHARACTERS]} […{len(rest) - CHARACTERS:,} more characters in samples.jsonl]"
    )
    settings = [
        f"{name} {words(row, key)}"
        for key, name in (("temperature", "temperature"), ("top_k", "top-k"), ("top_p", "top-p"), ("seed", "seed"))
        if key in row
    ]
    label = f"step {units.count(number(row, 'step'))}" + (f", {checkpoint} checkpoint" if checkpoint else "")
    return page.Passage(label, lead[:CHARACTERS], rest, " · ".join(settings))


def evaluations(run: Run) -> list[page.Block]:
    rows: list[list[str | Cell]] = []
    floors_known = False
    for one in sorted(run.evaluations, key=lambda one: _or(number(one, "step"), -1), reverse=True):
        scores = listing(one, "scores")
        for score in scores:
            split, source, bpb = words(score, "split"), words(score, "source"), number(score, "bpb")
            scored = {words(s, "source"): number(s, "bytes") for s in scores if s.get("split") == split}
            floor = known_entropy(run.corpus, split, scored).get(source, NOTHING)
            floors_known |= math.isfinite(floor)
            rows.append(
                [
                    words(one, "checkpoint", units.ABSENT),
                    split,
                    source,
                    units.decimals(bpb),
                    units.decimals(bpb / floor, 3, "×"),
                    units.decimals(number(score, "loss")),
                    units.decimals(number(score, "ppl"), 2),
                    units.count(number(score, "tokens")),
                    units.size(number(score, "bytes")),
                    units.count(number(score, "documents")),
                ]
            )
    if not rows:
        return [Text("No evaluation yet.", "absent")]
    columns = [
        "checkpoint",
        "split",
        "source",
        BPB,
        "of known entropy",
        f"loss, {NATS}",
        "perplexity per token",
        "tokens",
        "size",
        "documents",
    ]
    if not floors_known:
        columns, rows = columns[:4] + columns[5:], [row[:4] + row[5:] for row in rows]
    note = "Loss and perplexity are per token of this tokenizer, so they cannot be compared across tokenizers; bits per byte can."
    if len(rows) > ROWS:
        note += f" The newest {ROWS:,} of {len(rows):,} scores are shown."
    return [Table(columns, rows[:ROWS], "lllr", note)]


def data(run: Run) -> list[page.Block]:
    sources = list(run.corpus) + [s for s in run.shards if s not in run.corpus]
    if not sources:
        return [Text("Neither corpus.json nor shards.json is here.", "absent")]
    corpus, shards = {s: mapping(run.corpus, s) for s in sources}, {s: mapping(run.shards, s) for s in sources}
    tokens = {s: number(mapping(shards[s], "train"), "tokens") for s in sources}
    mix = mapping(mapping(run.recipe, "data"), "mix")
    weights = {s: number(mix, s) if mix else tokens[s] for s in sources}
    total, seen = sum(w for w in weights.values() if w > 0), number(run.train[-1], "tokens") if run.train else NOTHING

    def volume(part: Row) -> str:
        return (
            f"{units.count(number(part, 'documents'), 'documents')}, {units.size(number(part, 'bytes'))}"
            if part
            else units.ABSENT
        )

    dropped = list(dict.fromkeys(key for s in sources for key, value in corpus[s].items() if isinstance(value, int)))
    names = {"bad_utf8": "bad UTF-8"}
    rows: list[list[str]] = [["licence", *(words(corpus[s], "license", "unknown") for s in sources)]]
    rows.append(["read", *(volume(mapping(corpus[s], "read")) for s in sources)])
    rows += [
        [
            f"− {names.get(key, key.replace('_', ' '))}",
            *(units.count(number(corpus[s], key), "documents") for s in sources),
        ]
        for key in dropped
    ]
    rows += [[f"→ {split}", *(volume(mapping(corpus[s], split)) for s in sources)] for split in SPLITS]
    if run.shards:
        for split in SPLITS:
            parts = {s: mapping(shards[s], split) for s in sources}
            rows.append(
                [f"{split} tokens", *(units.count(number(part, "tokens"), "tokens") for part in parts.values())]
            )
        rows.append(
            [
                "train bytes per token",
                *(
                    units.decimals(_ratio(number(mapping(shards[s], "train"), "bytes"), tokens[s]), 2, "bytes")
                    for s in sources
                ),
            ]
        )
        rows.append(
            [
                "share of the mix" if mix else "share, by size",
                *(units.decimals(100 * _ratio(weights[s], total), 1, "%") for s in sources),
            ]
        )
        rows.append(
            [
                "epochs seen",
                *(units.decimals(_ratio(seen * _ratio(weights[s], total), tokens[s]), 2, "passes") for s in sources),
            ]
        )
    if run.floors:
        rows.append(["known entropy, valid", *(units.decimals(run.floors.get(s, NOTHING), 3, BPB) for s in sources)])
    note = "Duplicates are counted over all sources and splits together. Epochs seen: tokens trained on, times the share, over the train tokens."
    return [Table(["", *sources], rows, "lr", note)]


def lineage(run: Run) -> list[page.Block]:
    record = run.lineage
    if not record:
        return [Text("lineage.json is absent.", "absent")]
    git, model = mapping(record, "git"), mapping(record, "model")
    commit = words(git, "commit")
    facts: list[list[str | Cell]] = [
        ["created", words(record, "created", units.ABSENT)],
        ["seed", words(record, "seed", units.ABSENT)],
        ["recipe", _hash(words(record, "recipe_sha256"))],
        ["groundup", words(record, "groundup", units.ABSENT)],
        [
            "git commit",
            Cell(commit[:12] + (", with uncommitted changes" if git.get("dirty") else ""), commit, True)
            if commit
            else "not in a git checkout",
        ],
        ["python", f"{words(record, 'python', units.ABSENT)} on {words(record, 'platform', 'an unknown platform')}"],
        [
            "libraries",
            ", ".join(f"{name} {words(mapping(record, 'versions'), name)}" for name in mapping(record, "versions"))
            or units.ABSENT,
        ],
        [
            "parameters",
            f"{units.count(number(model, 'parameters'))}, by the rule of thumb {units.count(number(model, 'rule_of_thumb'))}",
        ],
    ]
    chain: list[list[str | Cell]] = [
        [
            words(link, "stage"),
            Cell(words(link, "id"), words(link, "path"), True),
            _hash(words(link, "sha256")),
            _inputs(link),
        ]
        for link in listing(record, "chain")
    ]
    blocks: list[page.Block] = (
        [Table(["stage", "id", "SHA-256", "made from"], chain[:ROWS], "l")]
        if chain
        else [Text("No chain is recorded.", "absent")]
    )
    return [*blocks, Table([], facts, "l")]


def _hash(sha: str) -> Cell:
    return Cell(sha[:12] or units.ABSENT, sha, True)


def _inputs(link: Row) -> Cell:
    made = [(words(i, "name") or words(i, "file"), words(i, "sha256")) for i in listing(link, "inputs")]
    more = f", and {len(made) - 6:,} more" if len(made) > 6 else ""
    return Cell(
        ", ".join(f"{name} {sha[:12]}".strip() for name, sha in made[:6]) + more or units.ABSENT,
        "\n".join(f"{name} {sha}" for name, sha in made[:ROWS]),
    )


def recipe_and_events(run: Run) -> list[page.Block]:
    cut = (
        f"\n… {len(run.recipe_text) - RECIPE:,} more characters in recipe.yaml" if len(run.recipe_text) > RECIPE else ""
    )
    recipe = (
        page.Details("The resolved recipe", [page.Pre(run.recipe_text[:RECIPE] + cut)])
        if run.recipe_text
        else Text("recipe.yaml is absent.", "absent")
    )
    if not run.events:
        return [recipe, Text("No events yet.", "absent")]
    rows = [
        [
            words(e, "time"),
            words(e, "event"),
            units.count(number(e, "step")),
            ", ".join(f"{key} {words(e, key)}" for key in e if key not in ("time", "event", "step"))[:300],
        ]
        for e in run.events[-ROWS:]
    ]
    which = (
        f"The last {len(rows):,} of {len(run.events):,} events"
        if len(rows) < len(run.events)
        else f"{units.count(len(rows), 'events')}"
    )
    return [recipe, page.Details(which, [Table(["time", "event", "step", "more"], rows, "llrl")])]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else NOTHING


def _or(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise
