"""The whole loop: corpus -> tokenizer -> shards -> run -> evaluation -> samples -> report.

Each stage is made once for what it depends on, so asking for the end of the chain does only what is missing.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from groundup.console import say
from groundup.data import corpus as corpora
from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.size import parameters, rule_of_thumb
from groundup.processes import here
from groundup.recipe.length import steps_of_epochs
from groundup.recipe.load import Resolved, validate
from groundup.recipe.schema import Recipe
from groundup.science.changes import command, deciding, unfinished
from groundup.science.summary import mixture_lines
from groundup.store import lineage
from groundup.store.artifacts import Artifact, load
from groundup.store.files import digest, sha256, write_atomic, write_json
from groundup.store.runs import Run
from groundup.tokens import pack, tokenizer
from groundup.tokens.encoding import CONFIG, FILE, open_tokenizer
from groundup.tokens.mix import mixture, shares, token_shares

if TYPE_CHECKING:
    from groundup.train.continuation import Origin
    from groundup.train.precision import Device

TRAIN_VERSION = 5


STAGES = ("corpus", "tokenizer", "shards")


@dataclass(frozen=True)
class Inputs:
    """What a run is trained on."""

    corpus: Artifact
    tokenizer: Artifact
    shards: Artifact

    @property
    def artifacts(self) -> list[Artifact]:
        return [self.corpus, self.tokenizer, self.shards]


def make_corpus(recipe: Recipe, lab: Path) -> Artifact:
    return corpora.build(recipe.data, lab)


def make_tokenizer(recipe: Recipe, lab: Path) -> tuple[Artifact, Artifact]:
    """(corpus, tokenizer). The tokenizer learns from the sources in the proportions of the mix."""
    corpus = make_corpus(recipe, lab)
    return corpus, tokenizer.build(recipe.tokenizer, sample_shares(recipe, corpus), corpus, lab)


def sample_shares(recipe: Recipe, corpus: Artifact) -> dict[str, float]:
    """Share of each source in the bytes of the tokenizer's sample: there are no tokens yet."""
    sizes = {source: counts["train"]["bytes"] for source, counts in corpus.manifest["counts"].items()}
    return shares(recipe.data.mix, sizes, recipe.data.temperature)


def make_shards(recipe: Recipe, lab: Path) -> Inputs:
    """Everything that training reads. The mix plays no part in packing: changing it packs nothing again."""
    corpus, trained = make_tokenizer(recipe, lab)
    return Inputs(corpus, trained, pack.build(corpus, trained, lab))


def training_shares(recipe: Recipe, inputs: Inputs) -> dict[str, float]:
    """Share of each source in the training tokens."""
    data, train = recipe.data, _train_counts(inputs)
    share = shares(data.mix, {name: counts[data.mix_by] for name, counts in train.items()}, data.temperature)
    return share if data.mix_by == "tokens" else token_shares(share, train)


def planned_mixture(recipe: Recipe, inputs: Inputs) -> list[dict[str, Any]]:
    """A row for each source: its shares, its tokens, and the epochs over them in the planned steps."""
    seen = recipe.train.steps * recipe.train.tokens_per_update
    return mixture(training_shares(recipe, inputs), _train_counts(inputs), seen)


def _train_counts(inputs: Inputs) -> dict[str, dict[str, int]]:
    return {name: counts["train"] for name, counts in inputs.shards.manifest["counts"].items()}


def run_of(recipe: Recipe, inputs: Inputs, lab: Path) -> Run:
    """The run of a recipe on its inputs: its name holds a hash of all that decides the weights."""
    identity = [TRAIN_VERSION, deciding(recipe), training_shares(recipe, inputs), inputs.shards.id]
    return Run(lab / "runs" / f"{recipe.name}-{digest(identity)[:8]}")


def settle(recipe: Recipe, inputs: Inputs, origin: "Origin | None" = None) -> Recipe:
    """The recipe with its length in steps, whatever it was given in, and with the step of the run that it continues.

    So two ways of saying the same are one run, and its recipe.yaml says exactly what was trained. Raises GroundupError
    `recipe-conflict` where steps that are known only now contradict the schedule.
    """
    train: dict[str, Any] = {"tokens": None, "epochs": None}
    if recipe.train.epochs is not None:
        tokens = {name: counts["tokens"] for name, counts in _train_counts(inputs).items()}
        share = training_shares(recipe, inputs)
        train["steps"] = steps_of_epochs(recipe.train.epochs, recipe.train.tokens_per_update, share, tokens)
    if origin:
        train["continue_from"] = origin.name
    values = recipe.model_dump()
    return validate(values | {"train": values["train"] | train}).recipe


def find_origin(recipe: Recipe, lab: Path) -> "Origin | None":
    """The checkpoint that the recipe begins with, if it continues a run. Raises GroundupError `cannot-continue`."""
    if recipe.train.continue_from is None:
        return None
    from groundup.train import continuation

    return continuation.find_origin(lab, recipe.train.continue_from)


def run(resolved: Resolved, lab: Path, train_only: bool = False, known: Run | None = None) -> Run | None:
    """Do everything that a recipe asks for and that is not done yet; returns its run. `known`: a run that goes on, by
    its own recipe.

    Of several processes the leading one does it all, and the others train with it and return None. Raises GroundupError
    with whatever stopped it; what was finished stays, and the same call goes on from there.
    """
    with _together(resolved.recipe):
        if here().rank == 0:
            return _lead(resolved.recipe, lab, train_only, known)
        _follow()
        return None


def device_of(recipe: Recipe) -> "Device":
    """The device that a recipe trains on. Raises GroundupError `no-device`."""
    from groundup.train.precision import choose

    train = recipe.train
    return choose(train.device, train.precision, train.compile, train.tf32, train.deterministic)


def _together(recipe: Recipe) -> AbstractContextManager:
    if here().world == 1:
        return nullcontext()
    from groundup.train.parallel import job

    return job(recipe.train.device)


def _lead(given: Recipe, lab: Path, train_only: bool, known: Run | None) -> Run:
    inputs = inputs_of(known, given, lab) if known else make_shards(given, lab)
    recipe, found, origin = _identify(given, inputs, lab, known)
    if not (found.path / "lineage.json").exists() and (other := unfinished(recipe, lab)):
        say(f"note: this is a new run, {found.name}; {other}")
    with found.lock(), _kept(origin):
        if found.finished():
            say(f"run: {found.path} is finished, nothing to do")
            if not (found.path / "report.html").exists():
                _report(found)
            _tell_followers(None)
            return found
        step, why = _train(found, recipe, inputs, origin)
        if not train_only:
            _finish(found, recipe, step, why)
    return found


def _kept(origin: "Origin | None") -> AbstractContextManager:
    """While a run begins with another's checkpoint, that one is in use."""
    if origin is None:
        return nullcontext()
    from groundup.train.retention import held

    return held(origin.checkpoint.path)


def inputs_of(known: Run, recipe: Recipe, lab: Path) -> Inputs:
    """What a run is trained on, as its lineage names it: its files may have changed or gone since then. What is missing
    is made again.

    Raises GroundupError `recipe-changed` where that gives other text; `run-damaged`, `artifact-damaged`.
    """
    chain = known.lineage()["chain"]  # the run's own artifacts stand before those of a run that it continues
    ids = [next((link["id"] for link in chain if link.get("stage") == stage), "") for stage in STAGES]
    if all(one and (lab / "artifacts" / one).is_dir() for one in ids):
        return Inputs(load(lab / "artifacts" / ids[0]), load(lab / "artifacts" / ids[1]), known.shards())
    inputs = make_shards(recipe, lab)
    if inputs.shards.id != ids[2]:
        what = f"the text that the recipe of {known.name} names is no longer what it was trained on"
        fix = f"put the files back, or begin anew: groundup run {known.path / 'recipe.yaml'}"
        raise GroundupError("recipe-changed", what, fix)
    return inputs


def _identify(given: Recipe, inputs: Inputs, lab: Path, known: Run | None) -> "tuple[Recipe, Run, Origin | None]":
    """The recipe with its length in steps, its run, and the checkpoint that this begins with, if any.

    A run that has checkpoints of its own needs none of another's, which may be gone by now.
    """
    if known and (given.train.continue_from is None or _has_checkpoints(known)):
        return given, known, None
    if known:
        return given, known, find_origin(given, lab)
    try:
        origin = find_origin(given, lab)
    except GroundupError as error:
        recipe = settle(given, inputs)
        found = run_of(recipe, inputs, lab)
        if error.code not in ("no-checkpoint", "checkpoint-damaged") or not _has_checkpoints(found):
            raise
        return recipe, found, None
    recipe = settle(given, inputs, origin)
    return recipe, run_of(recipe, inputs, lab), origin


def _has_checkpoints(run: Run) -> bool:
    from groundup.train import checkpoint

    return bool(checkpoint.paths(run))


def _tell_followers(value: dict[str, Any] | None) -> None:
    if here().world > 1:
        from groundup.train.parallel import tell

        tell(value)


def _follow() -> None:
    """Wait until the leading process has made everything, and train with it, by the recipe that it has settled."""
    from groundup.train.loop import Trainer, train
    from groundup.train.parallel import Unwritten, hear, leave

    told = hear()
    if told is None:
        return
    found, recipe = Unwritten(Path(told["run"])), Recipe.model_validate(told["recipe"])
    device = device_of(recipe)
    train(Trainer(found, recipe, Path(told["shards"]), told["shares"], tokenizer.of_run(found), device))
    leave()


def _train(found: Run, recipe: Recipe, inputs: Inputs, origin: "Origin | None") -> tuple[int, str | None]:
    """Returns after which step training ended, and why: steps, minutes or patience."""
    from groundup.generate.sampler import start
    from groundup.train import continuation, parallel, preflight
    from groundup.train.loop import Trainer, train

    device = device_of(recipe)
    config = configure(recipe.model, inputs.tokenizer.manifest["counts"]["vocab_size"])
    preflight.check(found.path, found.path.parent.parent, recipe, config, device, here().world)
    if origin:
        continuation.check(origin, recipe.train, config, sha256(inputs.tokenizer.path / FILE))
    encoding = open_tokenizer(inputs.tokenizer.path / FILE)
    for prompt in recipe.sample.prompts:  # one that does not fit is named now, and not at the first sample
        start(encoding, prompt, config.context)
    if not (found.path / "lineage.json").exists():
        _create(found, recipe, inputs, device, origin)
    encoding = tokenizer.of_run(found)
    counts = inputs.corpus.manifest["counts"]
    size = sum(parameters(configure(recipe.model, encoding.vocab_size)).values())
    documents, characters = (
        sum(count["train"][key] for count in counts.values()) for key in ("documents", "characters")
    )
    left = recipe.train.steps - (origin.checkpoint.step if origin else 0)
    if recipe.train.warmup >= left:
        what = f"train.warmup = {recipe.train.warmup} is not below the {left} steps to train"
        say(f"warning: {what}: the rate never comes down from its peak, or does not reach it")
    say(f"run: {found.path}")
    say(f"to go on, should it stop: {command(found.name, [], found.path.parent.parent)}")
    say(f"device: {device.device.type} ({device.name}), {device.precision}{parallel.words(recipe.train.parallel)}")
    say(f"vocabulary size: {encoding.vocab_size:,}  documents: {documents:,}  characters: {characters:,}")
    say(f"parameters: {size:,}  steps: {recipe.train.steps:,}  tokens per update: {recipe.train.tokens_per_update:,}")
    for line in mixture_lines(planned_mixture(recipe, inputs)):
        say(line)
    shards, shares = inputs.shards.path, training_shares(recipe, inputs)
    values = recipe.model_dump(mode="json")
    parallel.tell({"run": str(found.path), "recipe": values, "shards": str(shards), "shares": shares})
    trainer = Trainer(found, recipe, shards, shares, encoding, device)
    train(trainer, origin)
    parallel.leave()
    return trainer.step, trainer.stopped


def _create(found: Run, recipe: Recipe, inputs: Inputs, device: "Device", origin: "Origin | None") -> None:
    """Lay out a run directory that explains itself; lineage.json comes last and makes it a run."""
    found.path.mkdir(parents=True, exist_ok=True)
    values = recipe.model_dump(mode="json")
    write_atomic(found.path / "recipe.yaml", yaml.safe_dump(values, sort_keys=False))
    for name in (FILE, CONFIG):
        write_atomic(found.path / name, (inputs.tokenizer.path / name).read_bytes())
    write_json(found.path / "corpus.json", inputs.corpus.manifest)
    write_json(found.path / "shards.json", inputs.shards.manifest)
    code = lineage.code()
    if code and code["dirty"]:
        write_atomic(found.path / "uncommitted.diff", code["diff"])
    config = configure(recipe.model, inputs.tokenizer.manifest["counts"]["vocab_size"])
    this = {"stage": "run", "id": found.name, "sha256": digest(values), "path": str(found.path)}
    artifacts = lineage.chain(inputs.artifacts)
    references, earlier = [inputs.shards.reference()], list[dict[str, Any]]()
    if origin:
        known = {link["id"] for link in artifacts}
        references.append(origin.reference())
        earlier = [link for link in origin.run.lineage()["chain"] if link["id"] not in known]
    facts: dict[str, Any] = {
        "run": found.name,
        "seed": recipe.seed,
        "recipe_sha256": digest(values),
        "tokenizer_sha256": sha256(found.path / FILE),
        "git": {key: code[key] for key in ("commit", "dirty")} if code else None,
        **lineage.environment(),
        "device": {"type": device.device.type, "name": device.name, "precision": device.precision},
        "model": {
            "parameters": sum(parameters(config).values()),
            "rule_of_thumb": rule_of_thumb(config),
            "vocab_size": config.vocab_size,
            "family": config.family,
        },
        "mix": training_shares(recipe, inputs),
        "epochs": {row["source"]: row["epochs"] for row in planned_mixture(recipe, inputs)},
        "continued_from": origin.name if origin else None,
        "chain": [*artifacts, *earlier, this | {"inputs": references}],
    }
    write_json(found.path / "lineage.json", facts)


def _finish(found: Run, recipe: Recipe, step: int, why: str | None) -> None:
    """Final evaluation and samples of the best checkpoint, and the report."""
    from groundup.science.evaluation import Wanted, evaluate
    from groundup.science.judge import sample

    wanted = Wanted(splits=list(recipe.evaluate.splits), tasks=list(recipe.evaluate.tasks))
    evaluate(found, "best", wanted)
    for row in sample(found, "best", recipe.sample):
        found.log_samples(row | {"checkpoint": "final"})
    found.log_event("finished", step=step, because=why)
    _report(found)


def _report(found: Run) -> None:
    from groundup.science import run_report

    say(f"report: {run_report.write(found.path)}")
