"""The model, from top to bottom. Two families that share everything but the block's parts.

classic: GPT-2 (Radford et al. 2019): learned positions, LayerNorm, GELU, biases.
modern: Qwen3 (Yang et al. 2025): RMSNorm, rotary positions, norms on queries and keys, SwiGLU, no biases; also
grouped-query attention.

Shapes: B sequences, T tokens, d width, h heads, k key-value heads, s = d / h head size, f feed-forward, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.model.config import ModelConfig

ROTARY_BASE = 10_000.0  # Su et al. 2021, section 3.2.2


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last dimension (Zhang and Sennrich 2019), in fp32 whatever x is."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight, eps=1e-6).to(x.dtype)


class Attention(nn.Module):
    """Masked self-attention: softmax(Q K^T / sqrt(s) + mask) V."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = config.heads, config.kv_heads, config.head_size
        modern = config.family == "modern"
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.width, (self.heads + 2 * self.kv_heads) * self.size, bias=not modern)
        self.output = nn.Linear(config.width, config.width, bias=not modern)
        self.query_norm = RMSNorm(self.size) if modern else nn.Identity()
        self.key_norm = RMSNorm(self.size) if modern else nn.Identity()

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, self.heads + 2 * self.kv_heads, self.size)  # (B, T, h + 2k, s)
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (B, h | k, T, s)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        dropout = self.dropout if self.training else 0.0
        grouped = self.kv_heads != self.heads
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, enable_gqa=grouped)
        return self.output(y.transpose(1, 2).reshape(batch, length, width))  # (B, T, d)


class FeedForward(nn.Module):
    """GELU (tanh form): W2 gelu(W1 x). SwiGLU (Shazeer 2020): W2 (silu(W1 x) * W3 x), W1 and W3 in one matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gated = config.family == "modern"
        inner = config.feed_forward * (2 if self.gated else 1)
        self.input = nn.Linear(config.width, inner, bias=not self.gated)
        self.output = nn.Linear(config.feed_forward, config.width, bias=not self.gated)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.input(x)  # (B, T, f) or (B, T, 2f)
        if self.gated:
            gate, value = inner.chunk(2, dim=-1)
            return self.output(F.silu(gate) * value)
        return self.output(F.gelu(inner, approximate="tanh"))


def norm(config: ModelConfig) -> nn.Module:
    return RMSNorm(config.width) if config.family == "modern" else nn.LayerNorm(config.width, eps=1e-5)


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm(config), Attention(config)
        self.feed_forward_norm, self.feed_forward = norm(config), FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Transformer(nn.Module):
    """Tokens (B, T) int64 to logits (B, T, V). T is at most `config.context`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        if config.family == "classic":
            self.positions = nn.Embedding(config.context, config.width)
        else:
            cosine, sine = rotary_table(config.context, config.head_size)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("sine", sine, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = norm(config)
        if not config.tied:
            self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        initialise(self)

    def forward(self, tokens: Tensor, last_only: bool = False) -> Tensor:
        """Logits of every position, or (B, 1, V) of the last, which is all that sampling needs."""
        length = tokens.shape[1]
        x = self.embedding(tokens)  # (B, T, d)
        rotation = None
        if self.config.family == "classic":
            x = x + self.positions.weight[:length]
        else:
            rotation = (self.cosine[:length], self.sine[:length])  # type: ignore[index]
        if torch.is_autocast_enabled(x.device.type) and torch.get_autocast_dtype(x.device.type) is torch.bfloat16:
            x = x.bfloat16()  # the residual stream, too: memory traffic, not arithmetic, bounds models of this size
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, rotation)
        if last_only:
            x = x[:, -1:]
        head = self.embedding.weight if self.config.tied else self.head.weight
        return F.linear(self.norm(x), head)  # (B, T, V)


def initialise(model: Transformer) -> None:
    """All initialisation: normal with 0.02, and smaller by sqrt(2 L) where a block adds to the residual stream.

    So the stream's variance does not grow with depth (GPT-2, Radford et al. 2019, section 2.3).
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
        else:
            residual = name.endswith("output.weight")
            nn.init.normal_(parameter, std=0.02 / (2 * model.config.layers) ** 0.5 if residual else 0.02)


def rotary_table(context: int, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles, each (T, s): frequencies repeat over the two halves of a head."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)  # (s / 2,)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies).repeat(1, 2)  # (T, s)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: turn each pair (i, i + s/2) of x (B, h, T, s) by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cosine + turned * sine).to(x.dtype)
