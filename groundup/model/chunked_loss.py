"""The output head and cross-entropy together, a chunk of tokens at a time, so that all logits are never held at once.

With z = W h the logits of a token and t its target, the loss is ln(sum_i e^{z_i}) - z_t, and its gradient with respect
to z is softmax(z) - onehot(t). Both need that token's logits alone. So a chunk's logits are made, used for its losses
and its part of the gradients, and forgotten. The gradients are those of the sum of all losses; the backward pass only
multiplies them by what arrives there: 1 / targets, and the scale of fp16.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def chunked_losses(hidden: Tensor, head: Tensor, targets: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The sum of -ln p over the targets, which can be differentiated, and -ln p of each (B, T), which cannot; in nats.

    hidden (B, T, d), head (V, d), targets (B, T); chunk: tokens whose logits are held at once. Matrix products are in
    autocast's number format where that is on, everything else, sums over chunks too, in fp32 (fp64 if hidden is).
    """
    device = hidden.device.type
    product = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    with_gradient = torch.is_grad_enabled() and (hidden.requires_grad or head.requires_grad)
    total, nats = _Losses.apply(hidden.flatten(0, 1), head, targets.flatten(), chunk, product, with_gradient)
    return total, nats.view_as(targets)


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, chunk: int, product: torch.dtype, with_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(product, torch.float32)
        weight = head.to(product)  # (V, d)
        tokens = torch.arange(len(head), device=head.device)  # (V,)
        nats, of_hidden, of_head = [], [], torch.zeros_like(head, dtype=wide)
        for h, target in zip(hidden.to(product).split(chunk), targets[:, None].split(chunk), strict=True):  # C tokens
            logp = (h @ weight.T).to(wide).log_softmax(-1)  # (C, V)
            nats.append(-logp.gather(-1, target).squeeze(-1))
            if with_gradient:
                slope = (logp.exp() - (tokens == target).to(wide)).to(product)  # (C, V)
                of_hidden.append((slope @ weight).to(hidden.dtype))
                of_head += slope.T @ h
        each = torch.cat(nats)
        if with_gradient:
            ctx.save_for_backward(torch.cat(of_hidden), of_head)
        ctx.mark_non_differentiable(each)
        return each.sum(), each

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor, of_each: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_head = ctx.saved_tensors
        return of_hidden * of_total, of_head * of_total, None, None, None, None
