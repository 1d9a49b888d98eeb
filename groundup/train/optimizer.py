"""AdamW with weight decay on matrices only."""

import torch
from torch import nn

from groundup.recipe.schema import Train


def build(model: nn.Module, train: Train, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019). Gains and biases are not decayed: they do not multiply activations up."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": train.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=train.betas, fused=device.type in ("cpu", "cuda"))


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as named tensors: `PARAMETER/exp_avg` and so on."""
    return {
        f"{name}/{key}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def load_state(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `state_tensors` took out. Raises KeyError if a parameter is missing."""
    for name, parameter in model.named_parameters():
        mine = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        if not mine:
            raise KeyError(name)
        # `step` is a scalar that the fused kernels want beside the weights; the rest have the weights' shape.
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in mine.items()}
