"""Judge a run: score a checkpoint on held-out text, and let it write."""

from collections.abc import Callable
from typing import Any

from groundup.console import say
from groundup.data.corpus import known_entropy
from groundup.errors import GroundupError
from groundup.evaluate.score import score_split
from groundup.generate.sampler import Writer, in_order, outgrown, row, unreadable
from groundup.recipe.load import resolve, validate
from groundup.recipe.sampling import PRESET_KEYS
from groundup.recipe.schema import Recipe, Sample
from groundup.store.files import write_json
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train.checkpoint import Checkpoint, load_model, select
from groundup.train.precision import choose

Show = Callable[[str], None]


def evaluate(run: Run, which: str, splits: list[str], device: str = "auto") -> dict[str, Any]:
    """Loss, perplexity and bpb of a checkpoint by split and source; also written to the run's evaluations/.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`, `artifact-damaged`, `no-device`.
    """
    checkpoint, shards, encoding, on = select(run, which), run.shards(), tokenizer.of_run(run), choose(device)
    model = load_model(checkpoint, on.device)
    sources, masked = list(shards.manifest["counts"]), _recipe(run).train.document_mask
    documents = run.read_json("corpus.json")["counts"]
    result: dict[str, Any] = {"run": run.name, "checkpoint": checkpoint.path.name, "step": checkpoint.step}
    result |= {"device": on.device.type, "precision": on.precision, "context": model.config.context, "scores": []}
    for split in splits:
        for score in score_split(model, shards.path, sources, split, encoding, on, masked):
            names = sources if score.source == "all" else [score.source]
            row: dict[str, Any] = {
                "split": split,
                **score.to_json(),
                "documents": sum(documents[name][split]["documents"] for name in names),
            }
            floor = known_entropy(documents, names, split)
            if floor is not None:
                row["entropy_bpb"] = floor
            result["scores"].append(row)
            beside = f", {row['bpb'] / floor:.3f} x the known entropy" if floor else ""
            say(f"{split} {score.source}: bpb={row['bpb']:.4f} ppl={row['ppl']:.2f} ({row['tokens']:,} tokens{beside})")
    (run.path / "evaluations").mkdir(exist_ok=True)
    write_json(run.path / "evaluations" / f"{checkpoint.path.name}.json", result)
    return result


def _recipe(run: Run) -> Recipe:
    try:
        return resolve(str(run.path / "recipe.yaml")).recipe
    except GroundupError as error:  # whatever is wrong with it, the run is damaged, not the command
        fix = "restore it from the lineage, or train again"
        raise GroundupError("run-damaged", f"{run.path / 'recipe.yaml'} cannot be used: {error.what}", fix) from None


def sample_options(run: Run, given: dict[str, Any]) -> Sample:
    """How the run's recipe samples, with what is given instead; a preset that is given replaces what the recipe sets.

    Raises GroundupError `run-damaged`, and `bad-value` and `unknown-key` for what is given.
    """
    values = _recipe(run).model_dump()
    origins = {f"sample.{key}": "command line" for key in given}
    if "preset" in given:
        values["sample"] = {key: value for key, value in values["sample"].items() if key not in PRESET_KEYS}
    return validate(values | {"sample": values["sample"] | given}, origins).recipe.sample


def open_writer(run: Run, which: str, device: str = "auto") -> tuple[Checkpoint, Writer]:
    """A checkpoint that writes. Raises GroundupError `no-checkpoint`, `checkpoint-damaged`, `no-device`."""
    checkpoint, encoding, on = select(run, which), tokenizer.of_run(run), choose(device)
    return checkpoint, Writer(load_model(checkpoint, on.device), encoding, on, captured=True)


def sample(
    run: Run, which: str, options: Sample, device: str = "auto", show: Show | None = None, top: int | None = None
) -> list[dict[str, Any]]:
    """A row for each text; `show` gets them as they are written, one after the other, each behind a line about it.

    top: each row also has its tokens' log-probabilities, and those of so many likeliest ones at each place.
    Raises GroundupError `bad-prompt`, `sample-too-large`, `not-finite` besides those of `open_writer`.
    """
    checkpoint, writer = open_writer(run, which, device)
    for line in unreadable(writer, options.prompts):
        say(line)
    texts, begun = writer.begin(options, top), set[int]()
    for text, new in in_order(texts, writer.write(texts, options, top)):
        if show is None:
            continue
        if id(text) not in begun:
            begun.add(id(text))
            show(f'--- "{text.prompt}" at step {checkpoint.step}, seed {text.seed}\n{text.prompt}')
        show(new or "\n\n")
    if moved := sum(text.moved for text in texts):
        say(outgrown(writer, f"{moved} of {len(texts)} texts"))
    return [
        {"step": checkpoint.step, **row(text, options), "tokens": text.tokens}
        | ({} if top is None else {"logprobs": text.logprobs})
        for text in texts
    ]
