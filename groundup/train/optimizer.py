"""AdamW, or Muon for the blocks' matrices with AdamW for the rest; one object for the loop in either case."""

from typing import Any

import torch
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Train
from groundup.train.muon import Muon
from groundup.train.sharding import gathered, share_out

ADAMW_STATE, MUON_STATE = ("step", "exp_avg", "exp_avg_sq"), ("momentum",)


class Together(torch.optim.Optimizer):
    """Several optimizers, each with its own parameters, which a loop and a gradient scaler see as one."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})  # the same groups, not copies
        self.parts = parts
        for part in parts:
            self.state.update(part.state)
            part.state = self.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()


def kind(name: str, parameter: Tensor, config: ModelConfig) -> str:
    """matrix (of a block), head, embedding or vector: what decides a parameter's optimizer, learning rate and decay."""
    if parameter.dim() < 2:
        return "vector"
    if name.startswith("blocks."):
        return "matrix"
    return "head" if name == "head.weight" or (config.tied and name == "embedding.weight") else "embedding"


def fused_rows(name: str, weight: Tensor, config: ModelConfig) -> list[int]:
    """Rows of the matrices that are stacked in a block's weight: query, key, value; gate, value; else all of them.

    Which of them share a product is a matter of speed; each is a map of its own, and Muon treats it as one (Jordan et
    al. 2024, "Empirical considerations").
    """
    if name.endswith("attention.qkv.weight"):
        keys = config.kv_heads * config.head_size
        return [config.heads * config.head_size, keys, keys]
    if name.endswith("feed_forward.input.weight") and len(weight) == 2 * config.feed_forward:
        return [config.feed_forward] * 2
    return [len(weight)]


def build(model: Transformer, train: Train, device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimizer: AdamW (Loshchilov and Hutter 2019), or Muon for the blocks' matrices and AdamW for the
    rest. Gains and biases are not decayed: they do not multiply activations up.

    Each group's `lr` is its peak, which `set_factor` scales. With `train.learning_rate_width` w0, at a width d, AdamW's
    rates are multiplied by w0 / d for the blocks' matrices and the head (also where the embedding is the head) and stay
    for embeddings and vectors (Yang et al. 2022, Tensor Programs V, table 3; Everett et al. 2024, for standard
    parameterisation). Muon's is multiplied by sqrt(w0 / d), since the spectral norm of its step on a d x d matrix,
    0.2 lr sqrt(d), should not depend on d (Yang, Simon and Bernstein 2023, "A Spectral Condition for Feature
    Learning").

    That is a rule, and was not measured on these models: the theory is one of very wide models whose weights are drawn
    with 1 / sqrt(d), and ours are drawn with 0.02 at most widths. It says nothing about depth, batch size or length of
    training.
    The weight decay stays: what it should be at other widths is disputed (Kosson et al. 2025; Qiu et al. 2025).
    """
    config = model.config
    kinds: dict[str, list[tuple[str, Tensor]]] = {"matrix": [], "head": [], "embedding": [], "vector": []}
    for name, parameter in model.named_parameters():
        kinds[kind(name, parameter, config)].append((name, parameter))
    narrower = (train.learning_rate_width or config.width) / config.width
    muon = train.optimizer == "muon"
    rate = train.adam_learning_rate or train.learning_rate
    groups = [
        {"params": [parameter for _, parameter in kinds[which]], "lr": lr, "weight_decay": decay}
        for which, lr, decay in (
            ("matrix", rate * narrower, train.weight_decay),
            ("head", rate * narrower, train.weight_decay),
            ("embedding", rate, train.weight_decay),
            ("vector", rate, 0.0),
        )
        if kinds[which] and not (muon and which == "matrix")
    ]
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(
        groups, betas=train.betas, fused=device.type in ("cpu", "cuda")
    )
    if muon:
        weights = [weight for _, weight in kinds["matrix"]]
        rows = [fused_rows(name, weight, config) for name, weight in kinds["matrix"]]
        matrices = Muon(weights, rows, train.learning_rate * narrower**0.5, train.weight_decay)
        optimizer = Together([matrices, optimizer])
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def step(optimizer: torch.optim.Optimizer, left_out: Tensor) -> None:
    """One update; none where `left_out`, a truth on the weights' device, is true: then weights and state stay as they
    are, whatever the gradients hold. Only optimizers that are not fused make the host wait for it."""
    for part in optimizer.parts if isinstance(optimizer, Together) else [optimizer]:
        if isinstance(part, Muon) or part.defaults["fused"]:
            part.found_inf = left_out.float()  # type: ignore[attr-defined]
            part.step()
        elif not left_out:
            part.step()


def set_factor(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]


def state_tensors(model: Transformer, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors: `PARAMETER/momentum` with Muon, `PARAMETER/exp_avg` and so on.

    Where weights are shared out, so is their state: every process must call this, and the leading one gets it.
    """
    return {
        f"{name}/{key}": gathered(torch.as_tensor(value))
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def state_shapes(model: Transformer, optimizer: torch.optim.Optimizer) -> dict[str, tuple[int, ...]]:
    """The names that `state_tensors` gives after an update, and the tensors' shapes."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": () if key == "step" else tuple(parameter.shape)
        for group in optimizer.param_groups
        for parameter in group["params"]
        for key in (MUON_STATE if "rows" in group else ADAMW_STATE)
    }


def load_state(model: Transformer, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `state_tensors` took out. Raises KeyError `PARAMETER/KEY` if some of it is missing."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                # `step` is a scalar that the fused kernels want beside the weights; the rest have the weights' shape.
                key: share_out(tensors[f"{names[parameter]}/{key}"], parameter)
                for key in (MUON_STATE if "rows" in group else ADAMW_STATE)
            }
