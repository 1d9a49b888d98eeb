"""The suite notices when a promise is broken: groundup is sabotaged, and a fault has a wrong outcome."""

import pytest
from outcome import attempt
from table import FAULTS, why_skipped
from toy_lab import Reference

EVEN = 7919
# What is broken, the fault that notices it, the first trial of it that is made, and how many at most.
NOTICED = [
    ("no_fsync", "power-cut", 1, 12),
    ("no_atomic_writes", "kill-resuming", 0, 80),
    ("no_temporary_directory", "kill-training", 0, 12),
    ("no_verification", "damaged-artifact", 0, 8),
    ("no_verification", "damaged-checkpoint", 0, 8),
    ("no_rewind", "kill-training", 0, 12),
    ("no_tidying", "kill-training", 21, 30),
    ("no_optimizer", "kill-training", 0, 12),
    ("no_lock", "two-at-once", 0, 8),
    ("no_codes", "disk-error", 1, 8),
    ("unpickling", "hostile-hashed", 0, 40),
    ("anything_finite", "not-a-number", 0, 6),
    ("waiting_for_mirrors", "tracker", 0, 6),
]


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "name", "first", "most"), NOTICED, ids=lambda value: str(value))
def test_a_broken_promise_is_noticed(undisturbed: Reference, broken: str, name: str, first: int, most: int) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    if why := why_skipped(fault):
        pytest.skip(why)
    undisturbed.machine.sabotage = [[broken]]
    try:
        numbers = (number * EVEN % fault.trials for number in range(first, first + most))
        assert any(attempt(fault, undisturbed, 0, number).wrong for number in numbers)
    finally:
        undisturbed.machine.sabotage = []
