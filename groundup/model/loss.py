"""Cross-entropy, and its reading as bits per byte."""

import math

import torch.nn.functional as F
from torch import Tensor


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """-ln p of each target, (B, T) in nats, from logits (B, T, V); computed in fp32 whatever the logits are."""
    losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    return losses.view_as(targets)


def bits_per_byte(nats: float, text_bytes: int) -> float:
    """Sum of -ln p over the tokens of a text, and the text's UTF-8 bytes, to bits per byte; NaN for no bytes."""
    return nats / math.log(2) / text_bytes if text_bytes else math.nan


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats per token; infinite where a float cannot hold it."""
    return math.exp(loss) if loss < 700 else math.inf
