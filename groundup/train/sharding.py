"""Tensors of which each process holds some rows: FSDP2's weights, their gradients and the optimizer's state.

`torch.distributed.tensor` takes a second to load and is imported only where a tensor is shared out.
"""

import torch
from torch import Tensor, nn

from groundup.model.transformer import Transformer
from groundup.train import parallel
from groundup.train.precision import DTYPES


def shard(model: Transformer, root: nn.Module, device: torch.device, precision: str, compiled: bool) -> None:
    """Share out a model's weights: each block's, and the rest with `root`, whose forward pass is the loss.

    By FSDP2, which is Zhao et al. 2023, "PyTorch FSDP", with each weight cut by rows: a block's weights are gathered
    for its forward and backward pass, in the precision of the products; gradients are added up in fp32, and the weights
    that the optimizer steps are fp32. Blocks are compiled each for itself, between the gatherings.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device.type, (parallel.world(),))
    low = None if precision == "fp32" else DTYPES[precision]
    # Inputs stay as they are: the tables of rotary positions are fp32 in one process, too.
    policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in model.blocks:
        if compiled:
            block.forward = torch.compile(block.forward, dynamic=False)
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(root, mesh=mesh, mp_policy=policy)


def is_shared(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """The rows that this process holds, in place; all of a tensor that is not shared out."""
    return tensor.to_local() if is_shared(tensor) else tensor  # type: ignore[attr-defined]


def whole(tensor: Tensor) -> Tensor:
    """All rows, gathered from the processes: each of them must call it."""
    return tensor.full_tensor() if is_shared(tensor) else tensor  # type: ignore[attr-defined]


def gathered(tensor: Tensor) -> Tensor:
    """As `whole`, to be written: what was gathered is in the leading process's main memory, and with it alone."""
    if not is_shared(tensor):
        return tensor
    value = whole(tensor)
    return value.cpu() if parallel.leads() else torch.empty(0)


def shared_as(rows: Tensor, weight: Tensor) -> Tensor:
    """What each process has for its own rows of a weight, in whatever number format, as one shared tensor."""
    if not is_shared(weight):
        return rows
    from torch.distributed.tensor import DTensor

    mesh, placements = weight.device_mesh, weight.placements  # type: ignore[attr-defined]
    return DTensor.from_local(rows, mesh, placements, shape=weight.shape, stride=weight.stride())


def first_row(weight: Tensor) -> int:
    """Which of a weight's rows is the first that this process holds: they are cut as torch.chunk cuts."""
    if not is_shared(weight):
        return 0
    return min(len(weight), parallel.rank() * -(-len(weight) // parallel.world()))


def share_out(value: Tensor, weight: Tensor) -> Tensor:
    """A copy of `value`, which every process has, on a weight's device, and shared out as that is if of its shape."""
    if not is_shared(weight) or value.shape != weight.shape:
        return value.to(weight.device, copy=True)
    first = first_row(weight)
    return shared_as(value[first : first + len(local(weight))].to(weight.device, copy=True), weight)


def whole_model(model: Transformer) -> Transformer | None:
    """On the leading process the model with all its weights, a copy where they are shared out; None on the others."""
    parameters = dict(model.named_parameters())
    if not any(map(is_shared, parameters.values())):
        return model if parallel.leads() else None
    copy = Transformer(model.config).to(model.head_weight.device) if parallel.leads() else None
    for name, parameter in parameters.items():
        value = whole(parameter.detach())
        if copy:
            copy.get_parameter(name).data = value
    return copy
