"""All faults, and how a number of trials of each becomes a row."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import changes
import damage
import errors
import hostile
import kills
import power
import shim
import world
from outcome import Fault, Outcome, attempt
from toy_lab import Reference

FAULTS: list[Fault] = [
    *kills.FAULTS,
    *power.FAULTS,
    *errors.FAULTS,
    *damage.FAULTS,
    *hostile.FAULTS,
    *changes.FAULTS,
    *world.FAULTS,
]


@dataclass
class Row:
    """What came of a fault's trials. wrong: (trial's number, in what way)."""

    fault: Fault
    trials: int = 0
    injected: int = 0
    lost: int = 0
    observed: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str | None = None

    def add(self, number: int, outcome: Outcome) -> None:
        self.trials += 1
        self.injected += outcome.injected
        self.lost = max(self.lost, outcome.lost)
        self.observed[outcome.observed] += 1
        if outcome.wrong:
            self.wrong.append((number, outcome.wrong))

    def merge(self, other: "Row") -> None:
        self.trials += other.trials
        self.injected += other.injected
        self.lost = max(self.lost, other.lost)
        self.observed += other.observed
        self.wrong = sorted([*self.wrong, *other.wrong])
        self.seconds += other.seconds
        self.skipped = self.skipped or other.skipped

    def to_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault.name,
            "promised": self.fault.promise,
            "trials": self.trials,
            "injected": self.injected,
            "observed": dict(self.observed.most_common()),
            "max_steps_lost": self.lost,
            "steps_lost_allowed": self.fault.limit,
            "wrong": [{"number": number, "what": what} for number, what in self.wrong],
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
        }


def why_skipped(fault: Fault) -> str | None:
    """Why a fault cannot be injected on this machine, in words."""
    if fault.needs_layer and (why := shim.why_not()):
        return why
    if fault.needs_root and not world.mounts():
        return "needs root, and a system that lets it mount"
    return None


def run(
    fault: Fault, reference: Reference, seed: int, numbers: Iterable[int], seen: Callable[[Outcome], None] | None = None
) -> Row:
    """The row of a fault's trials."""
    row, start = Row(fault, skipped=why_skipped(fault)), time.monotonic()
    for number in () if row.skipped else numbers:
        outcome = attempt(fault, reference, seed, number)
        row.add(number, outcome)
        if seen:
            seen(outcome)
    row.seconds = time.monotonic() - start
    return row
