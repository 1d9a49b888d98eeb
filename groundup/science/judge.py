"""Judge a run: score a checkpoint on held-out text, and let it write."""

from typing import Any

from groundup.console import say
from groundup.data.corpus import known_entropy
from groundup.evaluate.score import score_split
from groundup.generate.sampler import complete_all
from groundup.recipe.load import validate
from groundup.recipe.schema import Sample
from groundup.science.changes import recipe_of
from groundup.store.files import write_json
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train.checkpoint import load_model
from groundup.train.precision import choose
from groundup.train.retention import reading


def evaluate(run: Run, which: str, splits: list[str], device: str = "auto") -> dict[str, Any]:
    """Loss, perplexity and bpb of a checkpoint by split and source; also written to the run's evaluations/.

    Raises GroundupError `no-checkpoint`, `checkpoint-damaged`, `artifact-damaged`, `no-device`.
    """
    shards, encoding, on = run.shards(), tokenizer.of_run(run), choose(device)
    with reading(run, which) as checkpoint:
        model = load_model(checkpoint, on.device)
    sources, masked = list(shards.manifest["counts"]), recipe_of(run).train.document_mask
    documents = run.counts(sources)
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


def sample_options(run: Run, given: dict[str, Any]) -> Sample:
    """How the run's recipe samples, with what is given instead.

    Raises GroundupError `run-damaged`, and `bad-value` for what is given.
    """
    values = recipe_of(run).model_dump()
    origins = {f"sample.{key}": "command line" for key in given}
    return validate(values | {"sample": values["sample"] | given}, origins).recipe.sample


def sample(run: Run, which: str, options: Sample, device: str = "auto") -> list[dict[str, Any]]:
    """A completion for each prompt. Raises GroundupError `bad-prompt` besides those of `evaluate`."""
    encoding, on = tokenizer.of_run(run), choose(device)
    with reading(run, which) as checkpoint:
        model = load_model(checkpoint, on.device)
    rows = complete_all(model, encoding, options, on)
    return [{"step": checkpoint.step, **row} for row in rows]
