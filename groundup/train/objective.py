"""The training loss of a model, to be called without it, whether one process has the model or several share it."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from groundup.errors import GroundupError
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Train
from groundup.train import parallel
from groundup.train.precision import Device
from groundup.train.sharding import shard

Losses = Callable[..., tuple[Tensor, Tensor]]


class Objective(nn.Module):
    """The loss as a module's forward pass, which is where DDP and FSDP do their part."""

    def __init__(self, model: Transformer, losses: Losses) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, *inputs: Any) -> tuple[Tensor, Tensor]:
        return self.losses(self.model, *inputs)


def objective(model: Transformer, losses: Losses, train: Train, device: Device) -> Losses:
    """`losses` of the model, to be called without it. With several processes gradients are means over them.

    ddp (Li et al. 2020, "PyTorch Distributed"): gradients are exchanged while the backward pass goes on. fsdp: the
    model's weights are shared out, in place (sharding.py). Raises GroundupError `recipe-conflict`.
    """
    compiled = losses
    if device.compile:
        torch.compiler.reset()  # of earlier shapes and runs: after eight it would give up, and say nothing
        compiled = torch.compile(losses, dynamic=False)  # each shape by itself, as there is hardly more than one
    if parallel.world() == 1:
        return partial(compiled, model)
    if train.parallel == "fsdp":
        if device.precision == "fp16":
            what = "train.parallel = fsdp does not go with train.precision = fp16: it does not check scaled gradients"
            raise GroundupError("recipe-conflict", what, "train.parallel=ddp, or train.precision=bf16")
        root = Objective(model, losses)
        shard(model, root, device.device, device.precision, device.compile)
        return root
    # So that the exchange can begin before the backward pass is through, the compiler cuts it into pieces. torch 2.11
    # cannot cut what these make of it.
    uncut = train.document_mask or train.loss_chunk is not None or train.activation_checkpointing != "none"
    torch._dynamo.config.optimize_ddp = not uncut
    with warnings.catch_warnings():
        # Buffers are tables that never change. torch 2.13 has another name for it, which 2.11 does not know.
        warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
        return DistributedDataParallel(
            Objective(model, compiled), broadcast_buffers=False, gradient_as_bucket_view=True
        )


def exchange(objective: Losses, now: bool) -> AbstractContextManager:
    """Around a forward and backward pass: whether DDP exchanges gradients in it, or only adds them up. FSDP exchanges
    them each time, so that no process has to hold all of them."""
    if isinstance(objective, DistributedDataParallel) and not now:
        return objective.no_sync()
    return nullcontext()
