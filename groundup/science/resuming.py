"""Going on with a run by its own recipe, or beginning another one from its checkpoint with a changed recipe."""

from dataclasses import dataclass
from pathlib import Path

from groundup.errors import GroundupError
from groundup.recipe.load import Resolved, resolve, validate
from groundup.recipe.schema import Recipe
from groundup.science.changes import Changes, changes, command, recipe_of, words
from groundup.store.runs import Run, find
from groundup.train.continuation import find_origin, split


@dataclass(frozen=True)
class Going:
    """A recipe, the lab that it is run in, and the run that goes on; None where a new one begins.

    name: of what it goes on from, as the command line takes it at any later time.
    """

    resolved: Resolved
    lab: Path
    run: Run | None
    name: str


def plan(lab: Path, name: str, overrides: list[str], fork: bool) -> Going:
    """How to go on with the run `name`, or with `fork` from RUN, RUN@STEP, RUN@best, with a recipe changed at will.

    Raises GroundupError `no-such-run`, `recipe-changed`, `usage`, `run-damaged`; with `fork` also what naming a
    checkpoint raises; and what a wrong override raises.
    """
    head, which = split(name)
    run = find(lab, head)
    home = run.path.parent.parent
    given = name if which is None and head != "last" else run.name
    old = recipe_of(run)
    new = resolve(str(run.path / "recipe.yaml"), overrides)
    found = changes(old, new.recipe)
    if fork:
        return _fork(run, which or "last", new.recipe, found, home)
    if which is not None:
        what = f"a run goes on from its last checkpoint, and {name!r} names another"
        raise GroundupError("usage", what, f"a new run from there: {command(name, overrides, lab)} --fork")
    if found:
        what = f"{run.name} was begun with another recipe: {words(found)}"
        raise GroundupError("recipe-changed", what, f"a new run from there: {command(given, overrides, lab)} --fork")
    return Going(new, home, run, given)


def _fork(run: Run, which: str, recipe: Recipe, found: Changes, lab: Path) -> Going:
    origin = find_origin(lab, f"{run.name}@{which}")
    values = recipe.model_dump()
    values["train"]["continue_from"] = origin.name
    if any(key.startswith("data.") for key in found) and not any(key.startswith("tokenizer.") for key in found):
        values["tokenizer"]["use"] = run.name  # on other text another one would be learned, which the model cannot read
    return Going(validate(values), lab, None, origin.name)
