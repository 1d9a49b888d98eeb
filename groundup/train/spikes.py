"""Steps whose loss or gradient stands out from those before them."""

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Any

WINDOW = 128  # steps that a step is compared with
LEAST = 64  # steps before the first comparison
# Seven standard deviations from a rolling mean is what OLMo 2 (2025, "2 OLMo 2 Furious") counts as a spike. Median and
# MAD take the place of mean and deviation, since a spike moves those that it is to be measured by. docs/log.md has how
# far runs on real text stay below it.
SIGMAS = 7.0
NORMAL = 1.4826  # a normal distribution's standard deviation by its MAD (Rousseeuw and Croux 1993)
# Least deviation of the logarithm that counts as one: in large batches the loss is so even that 7 of its deviations are
# nothing to act upon. A gradient that clipping divides by less than four is none either (docs/log.md).
LEAST_DEVIATION, LEAST_NORM_DEVIATION = 0.01, 0.2
LASTING = 8  # spiking losses in a row, and it is not a batch that is odd, but the model that is worse


@dataclass(frozen=True)
class Spike:
    """A step that stands out: by so many deviations in the loss, and in the gradient's norm."""

    loss_sigmas: float
    norm_sigmas: float
    usual_loss: float
    usual_norm: float

    def of_loss(self) -> bool:
        return self.loss_sigmas > SIGMAS


class Recent:
    """Loss and gradient norm of the last steps that did not stand out, as logarithms."""

    def __init__(self) -> None:
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.norms: deque[float] = deque(maxlen=WINDOW)

    def judge(self, loss: float, norm: float) -> Spike | None:
        """Whether a step stands out. If not, it is one of those that the next ones are compared with."""
        tiny = 1e-30  # so that a loss of nought has a logarithm
        loss, norm = math.log(max(loss, tiny)), math.log(max(norm, tiny))
        if len(self.losses) >= LEAST:
            loss_sigmas, usual_loss = _sigmas(self.losses, loss, LEAST_DEVIATION)
            norm_sigmas, usual_norm = _sigmas(self.norms, norm, LEAST_NORM_DEVIATION)
            if max(loss_sigmas, norm_sigmas) > SIGMAS:
                return Spike(loss_sigmas, norm_sigmas, math.exp(usual_loss), math.exp(usual_norm))
        self.losses.append(loss)
        self.norms.append(norm)
        return None

    def forget(self) -> None:
        self.losses.clear()
        self.norms.clear()

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "norms": list(self.norms)}

    def load(self, state: dict[str, Any]) -> None:
        self.forget()
        self.losses.extend(state["losses"])
        self.norms.extend(state["norms"])


def _sigmas(values: deque[float], value: float, least: float) -> tuple[float, float]:
    """(deviations of `value` above the median, the median)."""
    middle = median(values)
    deviation = NORMAL * median(abs(one - middle) for one in values)
    return (value - middle) / max(deviation, least), middle
