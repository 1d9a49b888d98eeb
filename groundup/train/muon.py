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
from groundup.train.sharding import first_row, is_shared, local, shared_as, whole

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
        self.found_inf: Tensor | None = None
        for weight in weights:
            self.state[weight]["momentum"] = torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient. `closure` must be None.

        Where `found_inf`, a number on the weights' device, is not 0, weights and momenta stay, whatever the gradients
        are. As with torch's fused optimizers the host need not know.
        """
        for group in self.param_groups:
            lr = group["lr"]
            found = [each for each in zip(group["params"], group["rows"], strict=True) if each[0].grad is not None]
            if not found:
                continue
            weights = [local(weight) for weight, _ in found]
            gradients = [local(weight.grad) for weight, _ in found]
            momenta = [local(self.state[weight]["momentum"]) for weight, _ in found]
            decayed: Any = 1 - lr * group["weight_decay"]
            if self.found_inf is not None:  # selected, not multiplied by 0: that would leave NaN as it is
                stay = self.found_inf != 0
                gradients = [torch.where(stay, *pair) for pair in zip(momenta, gradients, strict=True)]
                decayed = torch.where(stay, 1.0, decayed)
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            updates = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            torch._foreach_mul_(weights, decayed)
            dtype = self.dtype or (torch.bfloat16 if weights[0].is_cuda else torch.float32)
            stacks = defaultdict(list)
            for (weight, rows), mine, update in zip(found, weights, updates, strict=True):
                # A process that holds some rows of a weight needs all of them for the iteration, and adds to its own.
                update = whole(shared_as(update.to(dtype), weight)) if is_shared(weight) else update
                row = -first_row(weight)
                for direction in update.split(rows):
                    begin, end = max(row, 0), row + len(direction)
                    stacks[direction.shape].append((mine[begin : max(end, 0)], direction, begin - row))
                    row = end
            for shape, parts in stacks.items():
                stack = torch.stack([direction for _, direction, _ in parts])  # (n, rows, columns)
                steps = divided(partial(orthogonalise, dtype=dtype), stack)
                if self.found_inf is not None:
                    steps = torch.where(stay, 0.0, steps)
                # Of the weights' format and layout, without which the sum below is a kernel for each matrix.
                steps = steps.to(weights[0].dtype, memory_format=torch.contiguous_format)
                own = [
                    (part, step[skip : skip + len(part)]) for (part, _, skip), step in zip(parts, steps, strict=True)
                ]
                own = [pair for pair in own if len(pair[0])]
                if own:
                    torch._foreach_add_([p for p, _ in own], [s for _, s in own], alpha=-lr * scale(*shape))
