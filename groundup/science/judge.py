"""Let a checkpoint of a run write."""

from typing import Any

from groundup.errors import GroundupError
from groundup.generate.sampler import complete_all
from groundup.recipe.load import resolve, validate
from groundup.recipe.schema import Recipe, Sample
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train.checkpoint import load_model, select
from groundup.train.precision import choose


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was trained by. Raises GroundupError `run-damaged`."""
    try:
        return resolve(str(run.path / "recipe.yaml")).recipe
    except GroundupError as error:  # whatever is wrong with it, the run is damaged, not the command
        fix = "restore it from the lineage, or train again"
        raise GroundupError("run-damaged", f"{run.path / 'recipe.yaml'} cannot be used: {error.what}", fix) from None


def sample_options(run: Run, given: dict[str, Any]) -> Sample:
    """How the run's recipe samples, with what is given instead.

    Raises GroundupError `run-damaged`, and `bad-value` for what is given.
    """
    values = recipe_of(run).model_dump()
    origins = {f"sample.{key}": "command line" for key in given}
    return validate(values | {"sample": values["sample"] | given}, origins).recipe.sample


def sample(run: Run, which: str, options: Sample, device: str = "auto") -> list[dict[str, Any]]:
    """A completion for each prompt.

    Raises GroundupError `bad-prompt`, `no-checkpoint`, `checkpoint-damaged`, `bad-tokenizer`, `no-device`.
    """
    checkpoint, encoding, on = select(run, which), tokenizer.of_run(run), choose(device)
    rows = complete_all(load_model(checkpoint, on.device), encoding, options, on)
    return [{"step": checkpoint.step, **row} for row in rows]
