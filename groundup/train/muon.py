"""Muon: momentum whose every matrix is replaced by the nearest orthogonal one before it is added to the weights.

After Jordan et al. 2024 (kellerjordan.github.io/posts/muon). Matrices of one shape are stacked and go through the
iteration together, since one matrix of this size does not fill a GPU. Several processes divide a stack's matrices among
them: to gather the results costs less than half of what exchanging gradients does, while the iteration would take a
larger part of an update with each process, since it does not shrink with a process's share of the batch.
"""

import math
from collections import defaultdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from groundup.train.parallel import divided

MOMENTUM = 0.95
# Of the quintic a X + b (X X^T) X + c (X X^T)^2 X: steepest at 0 among those that bring singular values to about 1 and
# keep them there (Jordan et al. 2024). Five rounds of it.
COEFFICIENTS, ROUNDS = (3.4445, -4.7750, 2.0315), 5
SMALLEST_NORM = 1e-7


def orthogonalise(stack: Tensor, dtype: torch.dtype) -> Tensor:
    """U V^T of each matrix U S V^T of a stack (n, rows, columns), roughly: singular values from 0.7 to 1.2.

    By Newton-Schulz iteration in `dtype`. A matrix of zeros stays one. Needs no SVD, and nothing of it waits for the
    device, so it can be compiled or captured.
    """
    a, b, c = COEFFICIENTS
    x = stack.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT  # so that X X^T is the smaller one of the two products
    # The Frobenius norm is at least the spectral norm, which must not be above 1.
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(ROUNDS):
        gram = x @ x.mT  # (n, m, m), m the smaller of rows and columns
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def scale(rows: int, columns: int) -> float:
    """Of a matrix's step, so that its root mean square is AdamW's, about 0.2 (Liu et al. 2025, Moonlight, section 2.2).

    An orthogonal matrix has root mean square 1 / sqrt(max(rows, columns)). So learning rates and decays are AdamW's.
    """
    return 0.2 * math.sqrt(max(rows, columns))


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, as torch.optim.Muon with adjust_lr_fn=match_rms_adamw.

    `rows` holds, for each weight (rows, columns), the rows of the matrices that are stacked in it, from the top: a
    fused weight is several matrices, and each is orthogonalised for itself. `dtype` is that of the iteration; None:
    bf16 on CUDA, else fp32. Each weight's state is `momentum`, of the weight's shape.
    """

    def __init__(
        self,
        weights: list[Tensor],
        rows: list[list[int]],
        lr: float,
        weight_decay: float,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__([{"params": weights, "rows": rows}], {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype
        for weight in weights:
            self.state[weight]["momentum"] = torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient. `closure` must be None."""
        for group in self.param_groups:
            lr = group["lr"]
            found = [each for each in zip(group["params"], group["rows"], strict=True) if each[0].grad is not None]
            if not found:
                continue
            weights = [weight for weight, _ in found]
            gradients = [weight.grad for weight in weights]
            momenta = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            updates = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            torch._foreach_mul_(weights, 1 - lr * group["weight_decay"])
            stacks = defaultdict(list)
            for (weight, rows), update in zip(found, updates, strict=True):
                for part, direction in zip(weight.split(rows), update.split(rows), strict=True):
                    stacks[part.shape].append((part, direction))
            for shape, pairs in stacks.items():
                stack = torch.stack([direction for _, direction in pairs])  # (n, rows, columns)
                dtype = self.dtype or (torch.bfloat16 if stack.is_cuda else torch.float32)
                steps = divided(partial(orthogonalise, dtype=dtype), stack)
                # Of the weights' format and layout, without which the sum below is a kernel for each matrix.
                steps = steps.to(stack.dtype, memory_format=torch.contiguous_format)
                torch._foreach_add_([part for part, _ in pairs], steps.unbind(), alpha=-lr * scale(*shape))
