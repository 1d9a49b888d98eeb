"""What is measured while training, without making the loop wait for the device between two looks."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from groundup.model.transformer import Transformer
from groundup.train import parallel
from groundup.train.optimizer import kind
from groundup.train.sharding import whole


@dataclass
class Interval:
    """What happened since the last log line, summed on the device so that the loop need not wait for it."""

    nats: Tensor | float = 0.0  # over all targets
    text_nats: Tensor | float = 0.0  # over targets that are text: special tokens count in neither sum of bpb
    norm: Tensor | float = 0.0  # of the gradient, summed over steps
    overflows: Tensor | int = 0  # steps that fp16 had to leave out, which have no norm
    text_bytes: Tensor | int = 0
    targets: int = 0
    steps: int = 0
    seconds: float = 0.0

    def add(self, other: "Interval") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def of_all(self) -> "Interval":
        """With the sums over the parts of all processes, each of which must call it."""
        nats, text_nats, text_bytes, targets = parallel.summed(
            [self.nats, self.text_nats, self.text_bytes, self.targets]
        )
        return replace(self, nats=nats, text_nats=text_nats, text_bytes=int(text_bytes), targets=int(targets))

    def numbers(self) -> dict[str, float]:
        """To be kept in a checkpoint, so that a run that was stopped between two log lines logs the same ones."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.item() if isinstance(value, Tensor) else value for name, value in values.items()}

    @classmethod
    def of_numbers(cls, numbers: dict[str, Any], device: torch.device, leads: bool) -> "Interval":
        """What `numbers` took out of an interval of all processes: the leading one takes the sums over, exactly."""
        one = cls(**numbers) if leads else replace(cls(**numbers), nats=0.0, text_nats=0.0, text_bytes=0, targets=0)
        for name in ("nats", "text_nats", "norm"):  # they were fp32, and adding to them must round as before
            setattr(one, name, torch.tensor(float(getattr(one, name)), device=device))
        return one


@contextmanager
def update_ratios(model: Transformer) -> Iterator[dict[str, Tensor]]:
    """Around an optimizer's step: fills the mapping with |update| / |weights before it|, for each kind of parameter.

    Root mean squares by root mean squares, so learning rate, decay and clipping are all in it. Costs a copy of the
    weights, so it is for some steps only. Where weights are shared out, every process must enter it.
    """
    kinds: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        kinds.setdefault(kind(name, parameter, model.config), []).append(parameter.detach())
    before = {which: [weight.clone() for weight in weights] for which, weights in kinds.items()}
    found: dict[str, Tensor] = {}
    yield found
    for which, weights in kinds.items():
        changes = torch._foreach_sub(weights, before[which])
        found[which] = _norm(changes) / _norm(before[which]).clamp(min=torch.finfo(torch.float32).tiny)


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return whole(nn.utils.get_total_norm(tensors))


def memory_gb(device: torch.device) -> float:
    """10^9 bytes: on CUDA the most that tensors held since the last call, elsewhere the most that the process had."""
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most / 1e9
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9
