"""What can be broken on purpose in a command's process: to inject a fault, or to see that the suite notices.

The first part are faults of the world around groundup; the second part breaks groundup's own promises (--sabotage).
"""

import os
import pickle
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

# -- faults -----------------------------------------------------------------------------------------------------------


def not_a_number(first: int, times: int) -> None:
    """The loss of the `first` backward pass of training (from 0), and of some after it, is not a number."""
    import torch

    real, count = torch.Tensor.backward, [0]

    def backward(self: torch.Tensor, *rest: Any, **options: Any) -> None:
        bad = first <= count[0] < first + times
        count[0] += 1
        real(self * float("nan") if bad else self, *rest, **options)

    torch.Tensor.backward = backward  # type: ignore[method-assign]


def slow_loader(step: int, seconds: float) -> None:
    """The batch of a step does not come for so long, as from a network disk that hangs."""
    from groundup.tokens.stream import Stream

    real = Stream.batch

    def batch(self: Stream, number: int) -> Any:
        if number == step:
            time.sleep(seconds)
        return real(self, number)

    Stream.batch = batch  # type: ignore[method-assign]


def tracker(kind: str, seconds: float = 3600.0) -> None:
    """The mirror of metrics is down, or hangs: when it is imported, when it is opened, or at some row."""
    from groundup.train import mirror

    def fail(*_: Any) -> Any:
        raise ConnectionError("the tracker is down")

    def hang(*_: Any) -> Any:
        time.sleep(seconds)

    def leave(*_: Any) -> Any:
        raise SystemExit(1)

    act = {"fails": fail, "hangs": hang, "leaves": leave}[kind.split()[0]]
    if kind.endswith("at once"):
        mirror.OPEN["tensorboard"] = act
    else:
        mirror.OPEN["tensorboard"] = lambda run, recipe: (act, lambda: None)
    mirror.PATIENCE = 0.2


# -- groundup, broken on purpose --------------------------------------------------------------------------------------


def _replace(old: Any, new: Any) -> None:
    """Put `new` wherever a module of groundup holds `old`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("groundup"):
            for key in [key for key, value in vars(module).items() if value is old]:
                setattr(module, key, new)


def no_fsync() -> None:
    os.fsync = lambda handle: None  # type: ignore[assignment]


def no_atomic_writes() -> None:
    from groundup.store import files

    def write(path: Path, data: bytes | str) -> None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    _replace(files.write_atomic, write)


def no_temporary_directory() -> None:
    """A checkpoint is written under its own name, file by file."""
    from groundup.train import writing

    writing.SAVING = ""
    writing._put = lambda temporary, final: None  # type: ignore[assignment]


def no_verification() -> None:
    from groundup.store import files

    _replace(files.damage, lambda *_: None)


def no_rewind() -> None:
    from groundup.store.runs import Run

    Run.rewind = lambda self, step: None  # type: ignore[method-assign]


def no_tidying() -> None:
    from groundup.train import writing

    _replace(writing.tidy, lambda run: None)


def no_optimizer() -> None:
    """A run goes on with its weights and a fresh optimizer."""
    from groundup.train import optimizer

    optimizer.load_state = lambda *_: None  # type: ignore[assignment]


def no_lock() -> None:
    from groundup.store.runs import Run

    Run.lock = lambda self: nullcontext()  # type: ignore[method-assign]


def no_codes() -> None:
    """The operating system's errors are left to Python."""
    from groundup import cli

    cli._of_system = lambda error: None  # type: ignore[assignment]


def unpickling() -> None:
    """JSON and tensors are read by whatever can make something of them."""
    from groundup.store import files
    from groundup.train import checkpoint

    def trusting(real: Any) -> Any:
        def read(path: Path, *rest: Any, **options: Any) -> Any:
            try:
                return pickle.loads(path.read_bytes())
            except Exception:
                return real(path, *rest, **options)

        return read

    checkpoint._read_tensors = trusting(checkpoint._read_tensors)
    _replace(files.read_json, trusting(files.read_json))


def anything_finite() -> None:
    """Nobody looks whether a loss or a gradient is a number."""
    from groundup.train.guard import Guard

    real = Guard.clip
    Guard.clip = lambda self, update, now: real(self, update, now) & False  # type: ignore[method-assign]


def waiting_for_mirrors() -> None:
    """A row is passed on to a mirror by the training thread itself."""
    from groundup.train import mirror

    def put(self: mirror.Mirror, row: Any) -> None:
        if row is not None:
            mirror.OPEN[self.name](self.run, self.recipe)[0](row["step"], {})

    mirror.Mirror.put = put  # type: ignore[method-assign]
