"""Activation checkpointing: activations that are made again in the backward pass instead of being kept for it.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", with a block as the segment.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

MATRIX_PRODUCTS = [torch.ops.aten.mm.default, torch.ops.aten.addmm.default]
ATTENTION = [
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.higher_order.flex_attention,
]


def run_block(mode: str, block: nn.Module, *inputs: object, dropout: bool) -> Tensor:
    """A block's output. mode: `none` keeps all of its activations, `full` only its input, and `selective` the outputs
    of matrix products and attention as well: what costs most to make again.

    dropout: whether the block draws random numbers, which are then drawn again alike.
    """
    if mode == "none":
        return block(*inputs)
    again = partial(checkpoint, block, *inputs, use_reentrant=False, preserve_rng_state=dropout)
    if mode == "full":
        return again()
    # Attention that is not run again would draw no numbers, and those drawn after it would be others.
    kept = MATRIX_PRODUCTS + ([] if dropout else ATTENTION)
    return again(context_fn=partial(create_selective_checkpoint_contexts, kept))
