"""Short answers about recipes, corpora and runs, for people and for programs."""

from typing import Any

from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.memory import memory
from groundup.model.size import flops_per_token, forward_flops_per_token, parameters, rule_of_thumb
from groundup.recipe.load import Resolved, flatten
from groundup.recipe.schema import Tokenizer
from groundup.store.artifacts import Artifact
from groundup.store.runs import Run

# Up to 4 epochs of repeated text change the loss negligibly against new text; beyond that the value of more compute
# decays to nothing (Muennighoff et al. 2023, "Scaling Data-Constrained Language Models").
MOST_EPOCHS = 4


def vocabulary(part: Tokenizer) -> int:
    """The size that a tokenizer will have, or for characters may have at most."""
    return 258 if part.kind == "bytes" else part.vocab_size


def describe(resolved: Resolved) -> tuple[dict[str, Any], list[str]]:
    """The resolved recipe with the origin of each value, and what its model takes.

    Memory is told for the device that the recipe names; for `auto`, for a GPU that has bf16.
    """
    values = flatten(resolved.recipe.model_dump(mode="json"))
    train = resolved.recipe.train
    config = configure(resolved.recipe.model, vocabulary(resolved.recipe.tokenizer))
    by_part, forward = parameters(config), forward_flops_per_token(config)
    total, rule = sum(by_part.values()), rule_of_thumb(config)
    sequences = 1 if train.micro_batch == "auto" else train.micro_batch
    on_cpu = train.device == "cpu"
    precision = train.precision if train.precision != "auto" else "fp32" if on_cpu else "bf16"
    compiled = train.compile if train.compile != "auto" else not on_cpu
    takes = memory(
        config, sequences, precision, compiled, train.optimizer, train.activation_checkpointing, train.loss_chunk
    )
    origins = {key: resolved.origins.get(key, "default") for key in values}
    recipe = resolved.recipe.model_dump(mode="json")
    if train.epochs is not None:
        del recipe["train"]["steps"]  # they follow from the text, and a recipe that gives both is refused
    facts = {
        "recipe": recipe,
        "origins": origins,
        "parameters": {"total": total, "by_part": by_part, "rule_of_thumb": rule},
        "exports_as": config.exports_as,
        "flops_per_token": flops_per_token(config),
        "forward_flops_per_token": forward,
        "memory": {"sequences": sequences, "precision": precision, "compiled": compiled, "bytes": takes},
    }
    width = max(len(f"{key} = {value}") for key, value in values.items() if len(str(value)) < 50)
    lines = [f"{f'{key} = {_plain(value)}':{width}}  # {origins[key]}" for key, value in values.items()]
    kept = "" if resolved.recipe.tokenizer.use is None else " (if the tokenizer in use has tokenizer.vocab_size tokens)"
    lines += [
        "",
        f"parameters     {total:,}{kept}: {_parts(by_part)}",
        f"rule of thumb  {rule:,} = 12 L d^2 + V d",
        f"checkpoint of  {config.exports_as or 'no architecture that other libraries know'}",
        f"FLOPs/token    {flops_per_token(config):,} for training, by 6 (12 L d^2 + V d) + 12 L d T",
        f"products       {3 * sum(forward.values()):,} for training, 3 times the forward pass's: {_parts(forward)}",
        f"memory         {sum(takes.values()) / 1e6:,.0f} MB for micro-batches of {sequences:,} of {config.context:,} "
        f"tokens, {precision}, {'compiled' if compiled else 'not compiled'}; in MB: "
        + ", ".join(f"{name} {count / 1e6:,.0f}" for name, count in takes.items()),
    ]
    return facts, lines


def _parts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())


def _plain(value: Any) -> Any:
    return "null" if value is None else value


REMOVED = ("unreadable", "empty", "filtered", "duplicates", "near_duplicates", "leaks")


def corpus_lines(corpus: Artifact) -> list[str]:
    rows = []
    for source, count in corpus.manifest["counts"].items():
        row = {"source": source, "read": count["read"]["documents"]}
        row |= {key.replace("_", " "): count[key] for key in REMOVED}
        row |= {split: count[split]["documents"] for split in ("train", "valid", "test")}
        rows.append(
            row | {"train MB": round(count["train"]["bytes"] / 1e6, 2), "licence": count["license"] or "unknown"}
        )
    return [f"corpus {corpus.path}", "documents:", *table(rows)]


def mixture_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The table of a mixture (`tokens.mix.mixture`), and a warning for each source seen too often."""
    lines = table(rows)
    for row in rows:
        if row["epochs"] > MOST_EPOCHS:
            lines.append(
                f"warning: {row['source']} is seen {row['epochs']:.1f} times: beyond {MOST_EPOCHS} epochs, repeated "
                "text teaches less and less (Muennighoff et al. 2023); take more text, a smaller share or fewer steps"
            )
    return lines


def evaluation_lines(result: dict[str, Any]) -> list[str]:
    """The tables of an evaluation (`science.evaluation.evaluate`)."""
    lines = [f"{result['run']} {result['checkpoint']}"]
    if "settings" in result:
        lines += score_lines(result["scores"], result["settings"])
    for part in result["evaluations"]:
        rows = part["results"]
        if "text" in part:
            lines += ["", f"text {part['text']}", *score_lines(rows, part["settings"])]
        else:
            lines += ["", *_task_lines(part)]
    return lines


def score_lines(scores: list[dict[str, Any]], settings: dict[str, Any]) -> list[str]:
    if not scores:
        return ["no text in these splits"]
    known = all("entropy_bpb" in row for row in scores)
    beside = [name for name in ("untrained", "trigram") if any(f"{name}_bpb" in row for row in scores)]
    rows = [
        {
            **({"split": row["split"]} if "split" in row else {}),
            "source": row["source"],
            "bpb": round(row["bpb"], 4),
            "±": None if row["bpb_se"] is None else round(row["bpb_se"], 4),
            **{name: round(row[f"{name}_bpb"], 4) if f"{name}_bpb" in row else None for name in beside},
            **({"entropy": round(row["entropy_bpb"], 4)} if known else {}),
            "ppl": None if row["ppl"] is None else round(row["ppl"], 2),
            "loss": round(row["loss"], 4),
            "tokens": row["tokens"],
            "documents": row["documents"],
            "trained on": _yes(row["trained_on"]),
        }
        for row in scores
    ]
    windows = f"windows of {settings['context']:,} tokens, {settings['windows']}"
    if settings["document_mask"]:
        windows += "; a token sees its own document alone"
    note = "ppl and loss are per token: they compare only within one tokenizer. ± is the standard error over documents"
    return [*table(rows), windows, note]


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _task_lines(part: dict[str, Any]) -> list[str]:
    task, rows = part["task"], part["results"]
    head = f"{task['name']}, version {task['version']}"
    if "by" in task:
        return [f"{head}, by {task['by']}", *(f"{key}: {value}" for row in rows for key, value in row.items())]
    seen = "" if part["trained_on"] is False else f"; trained on: {_yes(part['trained_on'])}"
    if task["kind"] == "perplexity":
        return [head + seen, *table([{key: value for key, value in row.items() if key != "nats"} for row in rows])]
    shown = [row for row in rows if row["level"] != "paradigm"]  # of which BLiMP has 67; the record has them all
    lines = [head + seen, *table(shown)]
    if "baselines" in part:
        others = ", ".join(
            f"by {name} {row['accuracy']:.4f}" if name != "none" else f"by the sum {row['accuracy']:.4f}"
            for name, row in part["readings"].items()
        )
        lines += [f"log-probabilities compared {others}; the table: {part['settings']['reading']}"]
        lines += ["beside it: " + ", ".join(f"{key} {one:.4f}" for key, one in part["baselines"].items())]
    if any(row["se"] is None for row in shown):
        lines.append("se -: of all its twins the model has equally many right, which leaves no spread")
    if part["contexts_cut"]:
        lines.append(f"{part['contexts_cut']:,} contexts were longer than the model's and lost their beginning")
    return lines


def summarise(run: Run) -> dict[str, Any]:
    """One row of `groundup ls`. Raises GroundupError `run-damaged`."""
    events = run.events()
    state = next((e["event"] for e in reversed(events) if e["event"] != "checkpoint"), "created")
    if state in ("started", "resumed"):
        state = "training" if run.busy() else "stopped"  # killed: a process that is gone could not say so
    valid = [row for row in run.metrics() if row["kind"] == "valid" and row["source"] == "all"]
    best = min(valid, key=lambda row: row["bpb"], default=None)
    last = max((row["step"] for row in run.metrics()), default=0)
    return {
        "run": run.name,
        "state": state,
        "step": last,
        "valid_bpb": best["bpb"] if best else None,
        "best_step": best["step"] if best else None,
        "parameters": run.lineage()["model"]["parameters"],
        "path": str(run.path),
    }


def outcome(run: Run) -> tuple[dict[str, Any], list[str]]:
    """What came of a run: its best score, beside the corpus's entropy where that is known, and its final samples."""
    facts = summarise(run)
    final = [row for row in run.samples() if row.get("checkpoint") == "final"]
    facts["samples"] = [row["text"] for row in final]
    name = f"evaluations/step-{final[0]['step']:08}.json" if final else ""
    scores = run.read_json(name)["scores"] if final else []
    facts["scores"] = scores
    known = run.lineage()
    facts |= {key: known.get(key, {}) for key in ("mix", "epochs")}
    lines = [line for row in final for line in sample_lines(row)]
    lines.append(f"run       {run.path}")
    if facts["epochs"]:
        lines.append("epochs    " + ", ".join(f"{epochs:.2f} of {name}" for name, epochs in facts["epochs"].items()))
    if not scores and facts["valid_bpb"] is not None:
        lines.append(f"valid     {facts['valid_bpb']:.4f} bits per byte at step {facts['best_step']}, while training")
    for row in scores:
        if row["source"] == "all":
            floor = row.get("entropy_bpb")
            beside = f", {row['bpb'] / floor:.3f} x the corpus's known entropy of {floor:.4f}" if floor else ""
            lines.append(f"{row['split']:9} {row['bpb']:.4f} bits per byte{beside}")
    if (run.path / "report.html").exists():
        lines.append(f"report    {run.path / 'report.html'}")
    return facts, lines


def text_lines(result: dict[str, Any]) -> list[str]:
    """The statistics of generated texts as a table, and in a line what was compared."""
    rows = []
    for row in result["statistics"]:
        share = row["unit"] == "share"
        rows.append(
            {
                "statistic": row["label"],
                "model": _estimate(row["model"], share),
                "human": _estimate(row["human"], share),
                "so the model": row["meaning"],
            }
        )
    longest = result["longest_copy"]
    return [
        f"{result['run']} {result['checkpoint']}: {result['texts']:,} texts, beside {result['human_texts']:,} pieces "
        "of held-out human text of the same lengths",
        *table(rows),
        "± is a 95 % interval by prompt, document or block; of twenty figures one differs so much by chance",
        f"longest copied span: {longest['model']:,} tokens, in human text {longest['human']:,}",
        *result["notes"],
    ]


def _estimate(figure: dict[str, Any], share: bool) -> str:
    """12.3 % ± 1.0, or 1.234 ± 0.100."""
    if figure["value"] is None:
        return "-"
    scale, unit, places = (100, " %", 1) if share else (1, "", 2)
    half = figure["half_width"]
    spread = "" if half is None else f" ± {scale * half:.{places}f}"
    return f"{scale * figure['value']:,.{places}f}{unit}{spread}"


def sample_lines(row: dict[str, Any]) -> list[str]:
    return [f'--- "{row["prompt"]}" at step {row["step"]}, seed {row["seed"]}', row["text"], ""]


def list_runs(runs: list[Run]) -> list[dict[str, Any]]:
    """A row for each run; one that is damaged does not hide the others."""
    rows = []
    for run in runs:
        try:
            rows.append(summarise(run))
        except GroundupError as error:
            gone = dict.fromkeys(("step", "valid_bpb", "best_step", "parameters"))
            rows.append({"run": run.name, "state": error.code, **gone, "path": str(run.path)})
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Columns of equal width, numbers to the right."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4f}" if abs(value) < 100 else f"{value:,.2f}"
        return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)

    text = [list(rows[0])] + [[cell(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in text) for column in range(len(rows[0]))]
    right = [isinstance(value, int | float) for value in rows[0].values()]
    return [
        "  ".join(
            value.rjust(width) if number else value.ljust(width)
            for value, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in text
    ]
