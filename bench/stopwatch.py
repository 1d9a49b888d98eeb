"""How long a call takes, on the processor or on a GPU."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from groundup.train.precision import Device

WARM_UP, MOST, LONG_ENOUGH = 3, 30, 10.0  # calls that do not count, calls that do, seconds after which fewer will do


def seconds(call: Callable[[], Any], device: Device) -> float:
    """Median time of a call."""
    taken: list[float] = []
    for number in range(WARM_UP + MOST):
        if device.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize()
            took = begin.elapsed_time(end) / 1000
        else:
            start = time.perf_counter()
            call()
            took = time.perf_counter() - start
        if number >= WARM_UP:
            taken.append(took)
        if sum(taken) > LONG_ENOUGH:
            break
    return statistics.median(taken)
