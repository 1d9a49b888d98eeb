"""Attention through one door: softmax(Q K^T / sqrt(s) + mask) V.

Vaswani et al. 2017, equation 1, with the mask of section 3.2.3: 0 where a token may look, minus infinity where it may
not. It is added to the scaled products, before the softmax.

Shapes: B sequences, T tokens, h heads, k key-value heads, s head size.
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def document_ids(tokens: Tensor, end: int) -> Tensor:
    """The number, within its row, of the document that each token belongs to, (B, T).

    An `end` token is where the next document is predicted from, so it belongs to that one.
    """
    return (tokens == end).cumsum(1)


def document_mask(documents: Tensor, blocks: bool) -> Tensor | BlockMask:
    """Where a token may look: at itself and at earlier tokens of its own document, `documents` (B, T).

    Made once for a batch and used by every layer. With `blocks`, for FlexAttention (Dong et al. 2024), which leaves out
    blocks of the mask in which nothing is seen; it knows no dropout. Else True where a token may look, (B, 1, T, T).
    """
    batch, length = documents.shape
    if blocks:

        def visible(b: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (documents[b, key] == documents[b, query])

        return create_block_mask(visible, batch, None, length, length, device=documents.device)
    same = documents[:, None, :, None] == documents[:, None, None, :]
    return same & torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool, mask: Tensor | BlockMask | None = None, dropout: float = 0.0
) -> Tensor:
    """Attention of q (B, h, T, s) to k and v (B, k, T, s), (B, h, T, s). Each of the k serves h / k of the h.

    causal: a token looks at itself and at earlier ones; q, k and v are then of one length. mask: of `document_mask`,
    instead of `causal`. dropout: the probability with which a weight of the softmax is left out.
    """
    grouped = q.shape[1] != k.shape[1]
    if isinstance(mask, BlockMask):
        assert not dropout, "FlexAttention knows no dropout"
        if torch.compiler.is_compiling():  # with the model around it
            return flex_attention(q, k, v, block_mask=mask, enable_gqa=grouped)
        return _compiled_flex_attention()(q, k, v, block_mask=mask, enable_gqa=grouped)
    causal = causal and mask is None
    return F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=causal, enable_gqa=grouped)


@cache
def _compiled_flex_attention() -> Callable[..., Tensor]:
    """Uncompiled, it would hold all products. Not at import, since the compiler takes two seconds to load."""
    return torch.compile(flex_attention)


def reference_attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, documents: Tensor | None = None) -> Tensor:
    """The formula as it is printed, in plain matrix algebra, for tests. documents: (B, T), as for `document_mask`."""
    k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))  # (B, h, T, s)
    visible = torch.ones(q.shape[0], 1, q.shape[2], k.shape[2], dtype=torch.bool)
    if causal or documents is not None:
        visible = visible.tril()
    if documents is not None:
        visible = visible & (documents[:, None, :, None] == documents[:, None, None, :])
    mask = torch.zeros(visible.shape, dtype=q.dtype).masked_fill(~visible, -torch.inf)
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + mask, dim=-1) @ v
