"""Let a checkpoint of a run write."""

from collections.abc import Callable
from typing import Any

from groundup.console import say
from groundup.generate.sampler import Writer, in_order, outgrown, row, unreadable
from groundup.recipe.load import validate
from groundup.recipe.sampling import PRESET_KEYS
from groundup.recipe.schema import Sample
from groundup.science.changes import recipe_of
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train.checkpoint import Checkpoint, load_model
from groundup.train.precision import choose
from groundup.train.retention import reading

Show = Callable[[str], None]


def sample_options(run: Run, given: dict[str, Any]) -> Sample:
    """How the run's recipe samples, with what is given instead; a preset that is given replaces what the recipe sets.

    Raises GroundupError `run-damaged`, and `bad-value` and `unknown-key` for what is given.
    """
    values = recipe_of(run).model_dump()
    origins = {f"sample.{key}": "command line" for key in given}
    if "preset" in given:
        values["sample"] = {key: value for key, value in values["sample"].items() if key not in PRESET_KEYS}
    return validate(values | {"sample": values["sample"] | given}, origins).recipe.sample


def open_writer(run: Run, which: str, device: str = "auto") -> tuple[Checkpoint, Writer]:
    """A checkpoint that writes. Raises GroundupError `no-checkpoint`, `checkpoint-damaged`, `no-device`."""
    encoding, on = tokenizer.of_run(run), choose(device)
    with reading(run, which) as checkpoint:
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
