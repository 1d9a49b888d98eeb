"""Each fault of the suite, tried a few times; `make faults` tries them a thousand times and more."""

import pytest
from outcome import Fault
from table import FAULTS, run, why_skipped
from toy_lab import Reference

EVEN = 7919  # a prime, so that few trials spread over what many would go through one by one


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_promise_is_kept(undisturbed: Reference, fault: Fault) -> None:
    if why := why_skipped(fault):
        pytest.skip(why)
    few = -(-fault.quick // 3)
    if not few:
        pytest.skip("takes long: `make faults` does it")
    row = run(fault, undisturbed, 0, [number * EVEN % fault.trials for number in range(few)])
    assert not row.wrong, f"{fault.promise}: {row.wrong[:3]}"
