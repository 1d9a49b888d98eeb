"""What a fault promises and what came of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from toy_lab import Reference


@dataclass(frozen=True)
class Outcome:
    """Of one trial. wrong: how the promise was broken, in words; observed: what happened, in a few words."""

    observed: str
    wrong: str | None = None
    lost: int = 0  # steps that had to be done again
    injected: int = 1


@dataclass(frozen=True)
class Fault:
    """A fault, the promise that is kept in its face, and how to try it.

    try_it(reference, random numbers, trial's number) injects it and judges what comes of it; all that is random in it
    comes from those numbers. trials: of the whole suite; quick: of the short one. limit: steps that may be lost.
    """

    name: str
    promise: str
    try_it: Callable[[Reference, random.Random, int], Outcome]
    trials: int
    quick: int
    limit: int = 0
    needs_layer: bool = False
    needs_root: bool = False


def attempt(fault: Fault, reference: Reference, seed: int, number: int) -> Outcome:
    """One trial: the same for the same seed and number, and independent of all others."""
    try:
        outcome = fault.try_it(reference, random.Random(f"{seed}/{fault.name}/{number}"), number)
    except Exception as error:  # what the judge did not expect is no kept promise
        return Outcome("not judged", f"{type(error).__name__}: {error}")
    if not outcome.wrong and outcome.lost > fault.limit:
        return Outcome(outcome.observed, f"{outcome.lost} steps were lost", outcome.lost, outcome.injected)
    return outcome
