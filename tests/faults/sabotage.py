"""What can be broken on purpose in a command's process: to inject a fault, or to see that the suite notices.

The first part are faults of the world around groundup; the second part breaks groundup's own promises (--sabotage).
"""

import time
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
