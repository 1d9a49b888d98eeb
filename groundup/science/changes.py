"""What of a recipe decides a run's weights, and how two recipes differ in it."""

import shlex
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.recipe.load import flatten, resolve
from groundup.recipe.schema import Recipe
from groundup.store.runs import Run, all_runs, lab_option

# Keys of train that decide neither a batch nor an update.
LOOKS = (
    "feed",
    "parallel",
    "memory_gib",
    "measure_peak",
    "track",
    "profile",
    "keep",
    "checkpoint_every",
    "checkpoint_minutes",
    "background_saving",
    "hang_minutes",
)
# Keys of train that decide how sums are rounded (and which random numbers dropout takes), and nothing else. With `auto`
# it is the machine that decides them. A run that goes on with others says so.
ROUNDING = ("micro_batch",)
# Where text is worked on and found, and what is done with a model that is trained.
ELSEWHERE = ("data.engine", "data.ray_address", "data.mirror", "evaluate.", "sample.")

Changes = dict[str, tuple[Any, Any]]


def deciding(recipe: Recipe) -> dict[str, Any]:
    """The parts of a recipe that decide the weights, besides the text: what a run's name holds a hash of."""
    part = recipe.model_dump(mode="json", include={"seed": True, "model": True, "train": True})
    for key in (*LOOKS, *ROUNDING):
        del part["train"][key]
    return part


def changes(old: Recipe, new: Recipe) -> Changes:
    """The dotted keys, of those that decide the weights, in which two recipes differ, with both values."""
    before, after = _flat(old), _flat(new)
    found = {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)}
    if "train.epochs" in found:
        found.pop("train.steps", None)  # they follow, and are not known before the text is packed
    return found


def _flat(recipe: Recipe) -> dict[str, Any]:
    free = tuple(f"train.{key}" for key in (*LOOKS, *ROUNDING))
    values = flatten(recipe.model_dump(mode="json"))
    return {key: value for key, value in values.items() if key not in free and not key.startswith(ELSEWHERE)}


def words(found: Changes, most: int = 8) -> str:
    """`train.learning_rate: 0.005 -> 0.001, ...`"""
    shown = [f"{key}: {_plain(old)} -> {_plain(new)}" for key, (old, new) in found.items()]
    more = [f"and {len(shown) - most} more"] if len(shown) > most else []
    return ", ".join([*shown[:most], *more])


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was made by. Raises GroundupError `run-damaged`."""
    try:
        return resolve(str(run.path / "recipe.yaml")).recipe
    except GroundupError as error:  # whatever is wrong with it, the run is damaged, not the command
        fix = "restore it from the lineage, or train again"
        raise GroundupError("run-damaged", f"{run.path / 'recipe.yaml'} cannot be used: {error.what}", fix) from None


def command(name: str, overrides: list[str], lab: Path) -> str:
    """What goes on with a run, for a shell."""
    return shlex.join(["groundup", "resume", name, *overrides, *lab_option(lab)])


def unfinished(recipe: Recipe, lab: Path) -> str | None:
    """The newest run of the lab that has the recipe's name, was not trained to its end, and was made by another recipe:
    how that differs, and the command that goes on with it. None where there is no such run."""
    for run in reversed(all_runs(lab)):
        if not run.name.startswith(f"{recipe.name}-"):
            continue
        try:
            old, events = recipe_of(run), {event["event"] for event in run.events()}
        except (GroundupError, KeyError):
            continue
        if old.name == recipe.name and not events & {"trained", "finished"} and (found := changes(old, recipe)):
            differs = f"{run.name} is not finished and has another recipe ({words(found, 3)})"
            return f"{differs}; to go on with it: {command(run.name, [], lab)}"
    return None
