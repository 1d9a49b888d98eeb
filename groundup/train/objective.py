"""The training loss of a model, to be called without it, whether one process has the model or several share it."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from groundup.model.transformer import Transformer
from groundup.train import parallel

Losses = Callable[..., tuple[Tensor, Tensor]]


class Objective(nn.Module):
    """The loss as a module's forward pass, which is where DDP and FSDP do their part."""

    def __init__(self, model: Transformer, losses: Losses) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, *inputs: Any) -> tuple[Tensor, Tensor]:
        return self.losses(self.model, *inputs)


def objective(model: Transformer, losses: Losses, compiled: bool) -> Losses:
    """`losses` of the model, to be called without it. With several processes gradients are means over them.

    With DDP (Li et al. 2020, "PyTorch Distributed") they are exchanged while the backward pass goes on.
    """
    losses = torch.compile(losses) if compiled else losses
    if parallel.world() == 1:
        return partial(losses, model)
    with warnings.catch_warnings():
        # Buffers are tables that never change. torch 2.13 has another name for it, which 2.11 does not know.
        warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
        return DistributedDataParallel(Objective(model, losses), broadcast_buffers=False, gradient_as_bucket_view=True)


def exchange(objective: Losses, now: bool) -> AbstractContextManager:
    """Around a forward and backward pass: whether DDP exchanges gradients in it, or only adds them up."""
    if isinstance(objective, DistributedDataParallel) and not now:
        return objective.no_sync()
    return nullcontext()
