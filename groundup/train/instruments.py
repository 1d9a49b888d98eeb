"""What is measured while training, without making the loop wait for the device between two looks."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from groundup.model.transformer import Transformer
from groundup.train.optimizer import kind
from groundup.train.sharding import whole


@dataclass
class Interval:
    """What happened since the last log line, summed on the device so that the loop need not wait for it."""

    nats: Tensor | float = 0.0  # over the targets of steps that were not left out
    text_nats: Tensor | float = 0.0  # over targets that are text: special tokens count in neither sum of bpb
    norm: Tensor | float = 0.0  # of the gradient, summed over steps
    left_out: Tensor | int = 0  # steps that were not finite: neither their losses nor their norms are in the sums
    text_bytes: Tensor | int = 0
    targets: int = 0
    steps: int = 0

    def add(self, other: "Interval") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


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
