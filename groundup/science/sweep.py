"""The vocabulary experiment: tokenizers side by side, and the same model trained on the same text with each.

Loss per token cannot be compared across vocabularies. So every model sees the same bytes of every source in as many
updates, has as many parameters, and is ranked by bits per byte of the same held-out text.
"""

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.size import parameters
from groundup.recipe import schema
from groundup.recipe.load import Resolved, validate
from groundup.science import pipeline
from groundup.science.evaluation import Wanted, evaluate
from groundup.science.pipeline import Inputs
from groundup.store.artifacts import Artifact
from groundup.store.runs import Run
from groundup.tokens import pack, tokenizer
from groundup.tokens.mix import byte_shares

AXES = {"vocab": "vocab_size", "vocab_size": "vocab_size", "kind": "kind", "digits": "digits"}
STEP = 8  # to which the feed-forward width is rounded, so that matrix products stay fast


@dataclass(frozen=True)
class Variant:
    """One tokenizer of the experiment, with what its runs are to be compared with."""

    name: str
    recipe: schema.Recipe
    inputs: Inputs

    @property
    def vocab_size(self) -> int:
        return int(self.inputs.tokenizer.manifest["counts"]["vocab_size"])

    def bytes_per_token(self, source: str, split: str = "train") -> float:
        """Of text and end-of-text tokens together: what a token of the stream stands for."""
        counts = self.inputs.shards.manifest["counts"][source][split]
        return counts["bytes"] / counts["tokens"] if counts["tokens"] else math.nan

    def mixed_bytes_per_token(self, of_bytes: dict[str, float]) -> float:
        return 1 / sum(share / self.bytes_per_token(source) for source, share in of_bytes.items())


def parse(words: list[str]) -> tuple[str, list[str], dict[str, list[Any]]]:
    """(recipe, overrides, axes) of a command line: `[RECIPE] vocab=1k,2k kind=bpe,unigram digits=1,3 seed=1,2,3`.

    k stands for 1,024; without a recipe it is 20m. Raises GroundupError `usage`.
    """
    axes: dict[str, list[Any]] = {}
    others = []
    recipe = "20m"
    if words and "=" not in words[0]:
        recipe, *words = words
    for word in words:
        key, _, values = word.partition("=")
        if key not in (*AXES, "seed"):
            others.append(word)
            continue
        axes[key] = [_value(key, value) for value in values.split(",")]
    if not axes.keys() & AXES:
        what = "the sweep has nothing to vary"
        raise GroundupError("usage", what, "name values of vocab, kind or digits, such as vocab=2k,4k,8k")
    return recipe, others, axes


def _value(key: str, text: str) -> Any:
    if key == "kind":
        return text
    try:
        return int(text[:-1]) * 1024 if text.lower().endswith("k") else int(text)
    except ValueError:
        raise GroundupError("usage", f"{text!r} is no value for {key}", f"such as {key}=1,3") from None


def sweep(resolved: Resolved, axes: dict[str, list[Any]], lab: Path, train: bool) -> dict[str, Any]:
    """Make every tokenizer that the axes span and, with `train`, train a model with each; what came of it.

    Runs are ordinary runs of the lab, so a sweep that was stopped goes on where it was. Raises what making them raises.
    """
    corpus = pipeline.make_corpus(resolved.recipe, lab)
    own = _variant(resolved.recipe, {}, corpus, lab)
    of_bytes = byte_shares(pipeline.training_shares(own.recipe, own.inputs), _train_counts(own))
    keys = [key for key in axes if key in AXES]
    variants = [
        _variant(resolved.recipe, dict(zip(keys, values, strict=True)), corpus, lab)
        for values in product(*(axes[key] for key in keys))
    ]
    rows = [_row(variant, of_bytes) for variant in variants]
    facts: dict[str, Any] = {"axes": axes, "share_of_bytes": of_bytes, "rows": rows}
    if not train:
        return facts
    target = sum(parameters(configure(own.recipe.model, own.vocab_size)).values())
    seeds = axes.get("seed", [resolved.recipe.seed])
    plans = [
        (variant, row, [plan(own, variant, of_bytes, target, seed) for seed in seeds])
        for variant, row in zip(variants, rows, strict=True)
    ]  # before anything is trained, so that what cannot be done is said now
    facts |= {"parameters": target, "seeds": seeds}
    for number, (variant, row, planned) in enumerate(plans, 1):
        say(f"sweep: {number} of {len(plans)}: {variant.name}")
        runs = [found for one in planned if (found := pipeline.run(one, lab, train_only=True))]
        row |= _results(runs, planned[0].recipe, variant, of_bytes)
        say(f"sweep: {variant.name}: {row['bpb']:.4f} bits per byte")
    rows.sort(key=lambda row: row["bpb"])
    return facts


def _variant(recipe: schema.Recipe, values: dict[str, Any], corpus: Artifact, lab: Path) -> Variant:
    changed = {AXES[key]: value for key, value in values.items()} | ({"use": None} if values else {})
    part = recipe.tokenizer.model_dump() | changed
    mine = validate(recipe.model_dump() | {"tokenizer": part}).recipe
    name = " ".join(f"{key}={value}" for key, value in values.items()) or "the recipe's own"
    trained = tokenizer.build(mine.tokenizer, pipeline.sample_shares(mine, corpus), corpus, lab)
    return Variant(name, mine, Inputs(corpus, trained, pack.build(corpus, trained, lab)))


def _train_counts(variant: Variant) -> dict[str, dict[str, int]]:
    return {name: counts["train"] for name, counts in variant.inputs.shards.manifest["counts"].items()}


def _row(variant: Variant, of_bytes: dict[str, float]) -> dict[str, Any]:
    """What can be said of a tokenizer without training."""
    part, config = variant.recipe.tokenizer, configure(variant.recipe.model, variant.vocab_size)
    by_part = parameters(config)
    embedding = by_part["embedding"] + by_part.get("head", 0)
    mixed = variant.mixed_bytes_per_token(of_bytes)
    row: dict[str, Any] = {"tokenizer": variant.name, "kind": part.kind, "digits": part.digits}
    row |= {"vocabulary": variant.vocab_size, "bytes/token": mixed}
    row |= {f"{source} bytes/token": variant.bytes_per_token(source) for source in of_bytes}
    row |= {"bytes in context": round(mixed * config.context)}
    return row | {"embedding": embedding, "share of parameters": embedding / sum(by_part.values())}


def plan(own: Variant, variant: Variant, of_bytes: dict[str, float], target: int, seed: int) -> Resolved:
    """The recipe of one run: parameters, bytes of each source and updates as in the recipe's own.

    Raises GroundupError `recipe-conflict` where the vocabulary alone has more parameters.
    """
    train, context = pipeline.settle(own.recipe, own.inputs).train, own.recipe.model.context
    assert context is not None
    per_update = train.tokens_per_update * own.mixed_bytes_per_token(of_bytes)
    mixed = variant.mixed_bytes_per_token(of_bytes)
    tokens = max(1, round(per_update / mixed / context)) * context
    steps = max(1, round(train.steps * per_update / (tokens * mixed)))
    values = variant.recipe.model_dump()
    values["name"] = f"{own.recipe.name[:40]}-{variant.recipe.tokenizer.kind}-{variant.vocab_size}"
    values["seed"] = seed
    values["data"] |= {"mix": of_bytes, "mix_by": "bytes", "temperature": 1.0}
    values["train"] |= {"tokens_per_update": tokens, "steps": steps, "tokens": None, "epochs": None}
    values["model"] |= same_size(own.recipe.model, variant.vocab_size, target)
    return validate(values)


def same_size(model: schema.Model, vocab_size: int, target: int) -> dict[str, int]:
    """Layers and feed-forward width with which a model has `target` parameters with another vocabulary.

    The layers are chosen first, with the width that the recipe has, and the width then makes up for the rest.
    """

    def size(layers: int, width: int) -> int:
        shape = model.model_copy(update={"layers": layers, "feed_forward": width})
        return sum(parameters(configure(shape, vocab_size)).values())

    usual = model.feed_forward
    assert usual is not None
    layer = size(2, usual) - size(1, usual)
    layers = max(1, round((target - size(1, usual)) / layer) + 1)
    each = size(layers, STEP + 1) - size(layers, STEP)
    width = round((target - size(layers, 0)) / each / STEP) * STEP
    if width < STEP:
        what = f"a vocabulary of {vocab_size:,} leaves nothing of {target:,} parameters for the layers"
        raise GroundupError("recipe-conflict", what, "leave it out, or sweep a larger model")
    return {"layers": layers, "feed_forward": width}


def _results(runs: list[Run], recipe: schema.Recipe, variant: Variant, of_bytes: dict[str, float]) -> dict[str, Any]:
    """Bits per byte of the whole validation split by source, over the seeds; the model and the text that it saw."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        for row in evaluate(run, "best", Wanted(splits=["valid"]))["scores"]:
            scores.setdefault(row["source"], []).append(row["bpb"])
    config = configure(recipe.model, variant.vocab_size)
    train = recipe.train
    seen = train.steps * train.tokens_per_update
    result = {"bpb": mean(scores["all"]), "bpb stderr": _stderr(scores["all"])}
    result |= {f"{source} bpb": mean(values) for source, values in scores.items() if source != "all"}
    by_part = parameters(config)
    result |= {"layers": config.layers, "feed-forward": config.feed_forward, "model": sum(by_part.values())}
    result |= {"share of parameters": (by_part["embedding"] + by_part.get("head", 0)) / sum(by_part.values())}
    result |= {"tokens seen": seen, "MB seen": seen * variant.mixed_bytes_per_token(of_bytes) / 1e6}
    seconds = [max(row["seconds"] for row in run.metrics()) for run in runs]
    return result | {"seconds": round(mean(seconds), 1), "runs": [run.name for run in runs]}


def _stderr(values: list[float]) -> float | None:
    """Standard error of the mean; None for one value, which says nothing of its noise."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def lines(facts: dict[str, Any]) -> list[str]:
    """The table for people."""
    from groundup.science.summary import table

    hidden = {"runs", "kind", "digits"}
    shown = table([{key: value for key, value in row.items() if key not in hidden} for row in facts["rows"]])
    if "parameters" not in facts:
        return shown
    seeds = len(facts["seeds"])
    size = f"{facts['parameters']:,}"
    shown += [
        "",
        f"Ranked by bits per byte of the same validation text; all models have about {size} parameters and saw the "
        "same bytes of each source in the same number of updates.",
    ]
    if seeds == 1:
        shown.append("One seed each: small differences may be noise. seed=1,2,3 trains each three times.")
    return shown
