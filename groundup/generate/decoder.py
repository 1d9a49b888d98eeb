"""The model once more, for writing: one token a step, with the keys and values of all earlier ones kept.

It computes what `Transformer.forward` computes, from the same weights (no copies in fp32), and its tests hold it to
that for every kind of model. What is different is what is left out: at each step only the new tokens go through the
matrices. Rows of a batch have lengths of their own: a row's place in the cache is its position, and what lies behind
its end is overwritten before anything looks at it.

Shapes: B rows, T places in the cache, d width, h heads, k key-value heads, s head size, V vocabulary.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.console import say
from groundup.model.config import ModelConfig
from groundup.model.transformer import Block, RMSNorm, Transformer
from groundup.train.precision import DTYPES, Device


@dataclass(frozen=True)
class Map:
    """A linear map in the number format of matrix products."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)

    def added(self, stream: Tensor, x: Tensor) -> Tensor:
        """The residual stream and map(x), in one operation where that can be."""
        if x.dim() == 2 and self.bias is None and x.dtype == stream.dtype == self.weight.dtype:
            return torch.addmm(stream, x, self.weight.t())
        return (stream + self(x)).to(stream.dtype)


class Layer:
    """The weights of one block. Gains of norms stay in fp32, since the norms are made in it."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self.attention_norm, self.feed_forward_norm = block.attention_norm, block.feed_forward_norm
        self.qkv, self.attention_output = _map(attention.qkv, dtype), _map(attention.output, dtype)
        self.input, self.output = _map(feed_forward.input, dtype), _map(feed_forward.output, dtype)
        self.gain: Tensor | None = None  # (h + k, s): of the norm of all queries and keys at once
        if isinstance(attention.query_norm, RMSNorm) and isinstance(attention.key_norm, RMSNorm):
            query, key = attention.query_norm.weight.detach(), attention.key_norm.weight.detach()
            self.gain = torch.cat((query.expand(attention.heads, -1), key.expand(attention.kv_heads, -1)))


def _map(linear: nn.Linear, dtype: torch.dtype) -> Map:
    return Map(linear.weight.detach().to(dtype), None if linear.bias is None else linear.bias.detach().to(dtype))


class Decoder:
    """A model's weights and a cache for `rows` texts of up to `length` tokens.

    `prefill` begins rows, `step` adds a token to each; both give the logits (B, V) of the tokens that come next.
    """

    def __init__(self, model: Transformer, device: Device, rows: int, length: int, captured: bool = False) -> None:
        """captured: on a CUDA device, record a step as a graph and replay it, instead of launching every kernel."""
        c = self.config = model.config
        self.device, self.length = device.device, length
        product = DTYPES[device.precision] if device.precision != "fp32" else model.embedding.weight.dtype
        # the residual stream is as in training: bf16 with bf16 products, else that of the weights
        self.stream = product if product is torch.bfloat16 else model.embedding.weight.dtype
        self.layers = [Layer(block, product) for block in model.blocks]  # type: ignore[arg-type]
        self.embedding, self.norm = model.embedding.weight.detach(), model.norm
        self.head = Map(model.head_weight.detach().to(product), None)
        self.positions = model.positions.weight.detach() if c.positions == "learned" else None
        if self.positions is None:
            sign = torch.ones(c.head_size, device=self.device)
            sign[: c.head_size // 2] = -1
            self.cosine: Tensor = model.cosine  # type: ignore[assignment]
            self.sine: Tensor = model.sine * sign  # type: ignore[operator]
        self.epsilon = torch.tensor(1e-6, device=self.device)
        shape = (rows, c.kv_heads, length, c.head_size)
        empty = partial(torch.zeros, shape, dtype=product, device=self.device)
        self.cache = [(empty(), empty()) for _ in self.layers]  # keys and values of each layer, (B, k, T, s)
        self.lengths = [0] * rows  # tokens of each row that are in the cache
        self.graph: _Graph | None = None
        self.captured = captured and self.device.type == "cuda"

    @torch.inference_mode()
    def prefill(self, rows: list[int], texts: list[list[int]]) -> Tensor:
        """Forget what `rows` held and read `texts` (token ids, each at least one and at most `length`) into them.

        Returns the logits (B, V) of what follows each text.
        """
        c, longest = self.config, max(map(len, texts))
        tokens = torch.zeros(len(rows), longest, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text)] = torch.tensor(text)
        x = self._embed(tokens.to(self.device), torch.arange(longest, device=self.device))  # (B, T, d)
        place = torch.tensor(rows, device=self.device)
        rotation = None if self.positions is not None else (self.cosine[:longest, None], self.sine[:longest, None])
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            q, k, v = (part.transpose(1, 2) for part in self._project(layer, x, rotation))  # (B, h | k, T, s)
            keys.index_copy_(0, place, self._padded(k))
            values.index_copy_(0, place, self._padded(v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=c.heads != c.kv_heads)
            x = self._finish(layer, x, y.transpose(1, 2).flatten(2))
        last = torch.tensor([len(text) - 1 for text in texts], device=self.device)
        for row, text in zip(rows, texts, strict=True):
            self.lengths[row] = len(text)
        return self._logits(x[torch.arange(len(rows), device=self.device), last])

    def _padded(self, part: Tensor) -> Tensor:
        """Keys or values (B, k, T', s) with zeros behind them, (B, k, T, s)."""
        return F.pad(part, (0, 0, 0, self.length - part.shape[2]))

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """Logits (B, V) of what follows after `tokens` (B,), each of which is added to its row."""
        if self.captured:
            try:
                if self.graph is None:
                    self.graph = _Graph(self)
                logits = self.graph.replay(tokens, self.lengths)
            except RuntimeError as error:  # a driver or a kernel that cannot be recorded; slower is better than not
                self.captured = False
                say(f"warning: steps cannot be recorded as a CUDA graph: {str(error).splitlines()[0]}")
        if not self.captured:
            same = len(set(self.lengths)) == 1
            positions = torch.tensor(self.lengths[:1] if same else self.lengths, device=self.device)
            logits = self._step(tokens, positions, max(self.lengths) + 1, self.lengths[0] if same else None)
        self.lengths = [length + 1 for length in self.lengths]
        return logits

    def _step(self, tokens: Tensor, positions: Tensor, span: int, shared: int | None = None) -> Tensor:
        """One step that looks at the first `span` places. positions: (B,), or (1,) where all have the `shared` one."""
        c, rows = self.config, len(tokens)
        x = self._embed(tokens, positions)  # (B, d)
        rotation = mask = None
        if self.positions is None:
            rotation = (self.cosine[positions][:, None], self.sine[positions][:, None])  # (B | 1, 1, s)
        if shared is None:
            places = torch.arange(rows, device=self.device)
            mask = (torch.arange(span, device=self.device) <= positions[:, None])[:, None, None]  # (B, 1, 1, span)
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            q, k, v = self._project(layer, x, rotation)  # (B, h | k, s)
            if shared is None:
                keys[places, :, positions], values[places, :, positions] = k, v
            else:
                keys[:, :, shared], values[:, :, shared] = k, v
            # the queries that share a key-value head stand where the positions of a longer text would
            q = q.view(rows, c.kv_heads, c.heads // c.kv_heads, c.head_size)
            y = F.scaled_dot_product_attention(q, keys[:, :, :span], values[:, :, :span], mask)
            x = self._finish(layer, x, y.reshape(rows, c.width))
        return self._logits(x)

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = F.embedding(tokens, self.embedding)
        return (x if self.positions is None else x + self.positions[positions]).to(self.stream)

    def _project(self, layer: Layer, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, ...]:
        """Queries (.., h, s), keys and values (.., k, s) of x (.., d); normed and rotated."""
        c = self.config
        qkv = layer.qkv(self._normed(layer.attention_norm, x))  # (.., (h + 2k) s)
        qkv = qkv.view(*qkv.shape[:-1], -1, c.head_size)
        qk, v = qkv[..., : c.heads + c.kv_heads, :], qkv[..., c.heads + c.kv_heads :, :]
        kind = qk.dtype
        if layer.gain is not None:
            qk = (self._scaled(qk) * layer.gain).to(kind)
        if rotation is not None:
            cosine, sine = rotation
            qk = torch.addcmul(qk * cosine, qk.roll(c.head_size // 2, -1), sine).to(kind)
        return qk[..., : c.heads, :], qk[..., c.heads :, :], v

    def _normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        if isinstance(norm, RMSNorm) and not x.is_cuda:
            return (self._scaled(x) * norm.weight).to(x.dtype)
        # CUDA's LayerNorm wants its input in the number format of its weights
        return norm(x.to(norm.weight.dtype)).to(x.dtype)  # type: ignore[arg-type]

    def _scaled(self, x: Tensor) -> Tensor:
        """x by its root mean square, in fp32 at least. F.rms_norm is one kernel on a GPU, but a dozen on a CPU."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if x.is_cuda:
            return F.rms_norm(x, x.shape[-1:], eps=1e-6)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self.epsilon, length, length, value=1 / x.shape[-1]).rsqrt_()

    def _finish(self, layer: Layer, x: Tensor, y: Tensor) -> Tensor:
        """The rest of a block, from what its heads found, y (.., d)."""
        x = layer.attention_output.added(x, y)
        inner = layer.input(self._normed(layer.feed_forward_norm, x))
        if self.config.activation == "swiglu":
            half = inner.shape[-1] // 2
            inner = F.silu(inner[..., :half]) * inner[..., half:]
        elif self.config.activation == "gelu":
            inner = F.gelu(inner, approximate="tanh")
        else:
            inner = F.relu(inner).square()
        return layer.output.added(x, inner)

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.head(self._normed(self.norm, x))
        return logits if logits.dtype is torch.float64 else logits.float()

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these, which become rows 0, 1, ..."""
        place = torch.tensor(rows, device=self.device)
        self.cache = [(keys.index_select(0, place), values.index_select(0, place)) for keys, values in self.cache]
        self.lengths = [self.lengths[row] for row in rows]
        self.graph = None


class _Graph:
    """One step over the whole cache, recorded: its kernels are launched together, always on the same memory."""

    def __init__(self, decoder: Decoder) -> None:
        rows = len(decoder.lengths)
        self.tokens = torch.zeros(rows, dtype=torch.int64, device=decoder.device)
        self.positions = torch.tensor(decoder.lengths, device=decoder.device)

        def step() -> Tensor:
            return decoder._step(self.tokens, self.positions, decoder.length)

        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            step()  # what is made at a first call must not be recorded; it writes where the real step will
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = step()

    def replay(self, tokens: Tensor, lengths: list[int]) -> Tensor:
        self.tokens.copy_(tokens)
        self.positions.copy_(torch.tensor(lengths))
        self.graph.replay()
        return self.logits


def cache_bytes(config: ModelConfig, rows: int, length: int, item: int) -> int:
    """Bytes of the cache for `rows` texts of `length` tokens, with `item` bytes for a number."""
    return 2 * config.layers * rows * config.kv_heads * config.head_size * length * item
