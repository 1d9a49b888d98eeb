"""Let a checkpoint of a run write."""

from typing import Any

from groundup.generate.sampler import complete_all
from groundup.recipe.load import validate
from groundup.recipe.schema import Sample
from groundup.science.changes import recipe_of
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train.checkpoint import load_model
from groundup.train.precision import choose
from groundup.train.retention import reading


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
    encoding, on = tokenizer.of_run(run), choose(device)
    with reading(run, which) as checkpoint:
        model = load_model(checkpoint, on.device)
    rows = complete_all(model, encoding, options, on)
    return [{"step": checkpoint.step, **row} for row in rows]
