"""Where the time of some training steps goes: a trace to look at, and the ten operations that cost most."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from groundup.console import say
from groundup.store.files import write_atomic
from groundup.store.runs import Run

BEFORE, WARM_UP = 4, 1  # steps that are not looked at (the compiler works in them), and with the profiler's own start
ROWS = 10


class Profiler:
    """`step` after each step; nothing where nothing is to be profiled."""

    def __init__(self, profiler: Any = None) -> None:
        self.profiler = profiler

    def step(self) -> None:
        if self.profiler is not None:
            self.profiler.step()


@contextmanager
def profiling(run: Run, steps: int | None, device: torch.device) -> Iterator[Profiler]:
    """Profile `steps` steps of this process after the first five, into run/profile: trace.json.gz (in Chrome's format,
    for chrome://tracing or ui.perfetto.dev) and table.txt. None: nothing."""
    if steps is None:
        yield Profiler()
        return
    directory = run.path / "profile"
    directory.mkdir(exist_ok=True)

    def write(profiler: profile) -> None:
        (directory / "trace.json.gz").unlink(missing_ok=True)
        profiler.export_chrome_trace(str(directory / "trace.json.gz"))
        rows = most_expensive(profiler, device)
        write_atomic(directory / "table.txt", "\n".join(table(rows, steps)) + "\n")
        first = ", ".join(f"{row['operation'][:40]} {row['share']:.0%}" for row in rows[:3])
        say(f"profile of {steps} steps in {directory}: {first}")

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    plan = schedule(wait=BEFORE, warmup=WARM_UP, active=steps, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as profiler:
        yield Profiler(profiler)
    if not Path(directory / "table.txt").exists():
        say(
            f"warning: train.profile: training ended within its first {BEFORE + WARM_UP} steps, so nothing was profiled"
        )


def most_expensive(profiler: profile, device: torch.device) -> list[dict[str, Any]]:
    """The operations with most time of their own: on CUDA kernels by the device's time, else by that of the threads."""
    on = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    rows = [
        {
            "operation": event.key,
            "calls": event.count,
            "ms": (event.self_device_time_total if on is DeviceType.CUDA else event.self_cpu_time_total) / 1e3,
        }
        for event in profiler.key_averages()
        if event.device_type == on
        and not getattr(event, "is_user_annotation", False)
        and not event.key.startswith("ProfilerStep")
    ]
    total = sum(row["ms"] for row in rows) or 1.0
    rows = [row | {"share": row["ms"] / total} for row in rows]
    return sorted(rows, key=lambda row: -row["ms"])[:ROWS]


def table(rows: list[dict[str, Any]], steps: int) -> list[str]:
    """Milliseconds and calls are those of one step."""
    lines = [f"{'ms/step':>10} {'share':>7} {'calls/step':>10}  operation"]
    for row in rows:
        lines.append(
            f"{row['ms'] / steps:10.3f} {row['share']:7.1%} {row['calls'] / steps:10.1f}  {row['operation'][:150]}"
        )
    return lines
