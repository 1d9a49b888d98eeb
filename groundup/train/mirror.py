"""Metrics to other programs besides metrics.jsonl. Whatever happens to these, training goes on.

Each mirror has a thread, in which its library is also imported, and a queue that never blocks. One that raises is
warned of once and dropped; one that hangs loses rows when its queue is full, and is not waited for at the end.
"""

import importlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

from groundup.console import say
from groundup.store.runs import Run

WAITING = 10_000  # rows in a queue: hours of training
PATIENCE = 10.0  # seconds that the end of a training waits for all mirrors together

Row = dict[str, Any]
Writer = tuple[Callable[[int, dict[str, float]], Any], Callable[[], Any]]  # write the values of a step; close


def tensorboard(run: Run, recipe: Row) -> Writer:
    made = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(run.path / "tensorboard"))

    def write(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            made.add_scalar(name, value, step)

    return write, made.close


def trackio(run: Run, recipe: Row) -> Writer:
    library = importlib.import_module("trackio")
    library.init(project="groundup", name=run.name, config=recipe)
    return lambda step, values: library.log(values, step=step), library.finish


def wandb(run: Run, recipe: Row) -> Writer:
    library = importlib.import_module("wandb")
    made = library.init(
        project="groundup", id=run.name, name=run.name, config=recipe, dir=str(run.path), resume="allow"
    )
    return lambda step, values: made.log(values, step=step), made.finish


OPEN: dict[str, Callable[[Run, Row], Writer]] = {"tensorboard": tensorboard, "trackio": trackio, "wandb": wandb}


class Mirror:
    """One program that rows are passed on to."""

    def __init__(self, name: str, run: Run, recipe: Row) -> None:
        self.name, self.run, self.recipe = name, run, recipe
        self.rows: queue.Queue[Row | None] = queue.Queue(WAITING)
        self.warned = False
        self.thread = threading.Thread(target=self._work, name=f"mirror {name}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            write, close = OPEN[self.name](self.run, self.recipe)
            while (row := self.rows.get()) is not None:
                write(row["step"], flat(row))
            close()
        except BaseException as error:  # also SystemExit, which some libraries raise
            self.warn(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def warn(self, why: str) -> None:
        if not self.warned:
            self.warned = True
            say(f"warning: train.track: {self.name} gets no more metrics: {why}")

    def put(self, row: Row | None) -> None:
        if not self.warned:
            try:
                self.rows.put_nowait(row)
            except queue.Full:
                self.warn("it does not take them")


class Mirrors:
    """All mirrors of a run."""

    def __init__(self, names: Iterable[str], run: Run, recipe: Row) -> None:
        self.all = [Mirror(name, run, recipe) for name in dict.fromkeys(names)]

    def put(self, *rows: Row) -> None:
        for mirror in self.all:
            for row in rows:
                mirror.put(row)

    def close(self) -> None:
        """Let the mirrors finish what is in their queues, for ten seconds at most."""
        for mirror in self.all:
            mirror.put(None)
        for mirror in self.all:
            mirror.thread.join(PATIENCE / len(self.all))
            if mirror.thread.is_alive():
                mirror.warn("it did not finish in time")


def flat(row: Row) -> dict[str, float]:
    """The numbers of a row of metrics.jsonl, named kind/key, kind/source/key or kind/key/group."""
    prefix = "/".join(row[key] for key in ("kind", "source") if key in row)
    values: dict[str, float] = {}
    for key, value in row.items():
        inner = value if isinstance(value, dict) else {"": value}
        for part, number in inner.items():
            if isinstance(number, int | float) and key != "step":
                values[f"{prefix}/{key}/{part}".rstrip("/")] = number
    return values
