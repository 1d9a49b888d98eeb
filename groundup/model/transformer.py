"""The model, from top to bottom: a decoder of pre-norm blocks, of which the config says what they are made of.

The families are defaults for it. classic: GPT-2 (Radford et al. 2019): learned positions, LayerNorm, GELU, biases.
modern: Qwen3 (Yang et al. 2025): rotary positions, RMSNorm, norms on queries and keys, SwiGLU, no biases.

Shapes: B sequences, T tokens, d width, h heads, k key-value heads, s = d / h head size, f feed-forward, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from groundup.model.attention import attend, document_mask
from groundup.model.config import ModelConfig
from groundup.model.recompute import run_block

Rotation = tuple[Tensor, Tensor]  # cosine and sine of `rotary_table`, (T, s) each
Mask = Tensor | BlockMask  # of `document_mask`

ROTARY_BASE = 10_000.0  # Su et al. 2021, section 3.2.2


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last dimension (Zhang and Sennrich 2019), in fp32 at least."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        return F.rms_norm(x.to(wide), self.weight.shape, self.weight.to(wide), eps=1e-6).to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention, causal, with grouped queries where there are fewer key-value heads than heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = config.heads, config.kv_heads, config.head_size
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.width, (self.heads + 2 * self.kv_heads) * self.size, bias=bool(config.bias))
        self.output = nn.Linear(config.width, config.width, bias=bool(config.bias))
        self.query_norm = RMSNorm(self.size) if config.qk_norm else nn.Identity()
        self.key_norm = RMSNorm(self.size) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rotation: Rotation | None, mask: Mask | None = None) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, self.heads + 2 * self.kv_heads, self.size)  # (B, T, h + 2k, s)
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (B, h | k, T, s)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        y = attend(q, k, v, causal=True, mask=mask, dropout=self.dropout if self.training else 0.0)
        return self.output(y.transpose(1, 2).reshape(batch, length, width))  # (B, T, d)


class FeedForward(nn.Module):
    """gelu (tanh form) and relu2 (So et al. 2021, "Primer"): W2 g(W1 x). swiglu (Shazeer 2020, equation 6):
    W2 (silu(W1 x) * W3 x), with W1 and W3 in one matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        inner = config.feed_forward * (2 if config.gated else 1)
        self.input = nn.Linear(config.width, inner, bias=bool(config.bias))
        self.output = nn.Linear(config.feed_forward, config.width, bias=bool(config.bias))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.input(x)  # (B, T, f) or (B, T, 2f)
        if self.activation == "swiglu":
            gate, value = inner.chunk(2, dim=-1)
            return self.output(F.silu(gate) * value)
        if self.activation == "gelu":
            return self.output(F.gelu(inner, approximate="tanh"))
        return self.output(F.relu(inner).square())


def norm(config: ModelConfig) -> nn.Module:
    if config.norm == "rms":
        return RMSNorm(config.width)
    return nn.LayerNorm(config.width, eps=1e-5, bias=bool(config.bias))


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm(config), Attention(config)
        self.feed_forward_norm, self.feed_forward = norm(config), FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, rotation: Rotation | None, mask: Mask | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Transformer(nn.Module):
    """Tokens (B, T) int64 to logits (B, T, V). T is at most `config.context`.

    activation_checkpointing: none, selective or full (`recompute.run_block`); it changes no number.
    """

    def __init__(self, config: ModelConfig, activation_checkpointing: str = "none") -> None:
        super().__init__()
        self.config, self.activation_checkpointing = config, activation_checkpointing
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        if config.positions == "learned":
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

    @property
    def head_weight(self) -> Tensor:
        """The matrix (V, d) that makes logits of hidden states."""
        return self.embedding.weight if self.config.tied else self.head.weight

    def forward(self, tokens: Tensor, documents: Tensor | None = None, last_only: bool = False) -> Tensor:
        """Logits of every position, or (B, 1, V) of the last, which is all that sampling needs."""
        x = self.hidden(tokens, documents)
        return F.linear(x[:, -1:] if last_only else x, self.head_weight)  # (B, T, V)

    def hidden(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """What the head makes logits of, (B, T, d).

        documents: ids (B, T) of `attention.document_ids`, whose tokens then do not look at each other's; learned
        positions count from the beginning of the row all the same.
        """
        length = tokens.shape[1]
        drawing = self.training and self.config.dropout > 0
        mask = None if documents is None else document_mask(documents, blocks=documents.is_cuda and not drawing)
        x = self.embedding(tokens)  # (B, T, d)
        rotation = None
        if self.config.positions == "learned":
            x = x + self.positions.weight[:length]
        else:
            rotation = (self.cosine[:length], self.sine[:length])  # type: ignore[index]
        if torch.is_autocast_enabled(x.device.type) and torch.get_autocast_dtype(x.device.type) is torch.bfloat16:
            x = x.bfloat16()  # the residual stream, too: memory traffic, not arithmetic, bounds models of this size
        x = self.dropout(x)
        for block in self.blocks:
            x = run_block(self.activation_checkpointing, block, x, rotation, mask, dropout=drawing)
        return self.norm(x)


def initialise(model: Transformer) -> None:
    """All initialisation: normal with 0.02, and smaller by sqrt(2 L) where a block adds to the residual stream.

    So the stream's variance does not grow with depth (GPT-2, Radford et al. 2019, section 2.3). The head's matrix is
    smaller where the model is wide: a normed hidden state has length sqrt(d), so logits begin with a deviation of at
    most 0.36 and the loss at ln V + 0.36^2 / 2, within 1 % of ln V for V = 8192. Not smaller still: with 0.3 models of
    width 384 learnt more slowly in their first 160 steps, with both of two seeds.
    """
    c, head = model.config, model.head_weight
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
        elif parameter is head:
            nn.init.normal_(parameter, std=min(0.02, 0.36 / c.width**0.5))
        else:
            residual = name.endswith("output.weight")
            nn.init.normal_(parameter, std=0.02 / (2 * c.layers) ** 0.5 if residual else 0.02)


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
