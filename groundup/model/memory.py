"""What training a model takes in memory, in bytes by part, without building it. Pure arithmetic: no torch.

Activations are what autograd keeps from the forward pass for the backward pass, tensor by tensor, as counted from the
code of transformer.py. Uncompiled, that is everything an operation asks for, as on a CPU; compiled, the compiler keeps
the inputs of matrix products and attention and makes the rest again. Left out are what an operation needs while it runs
and what the allocator loses.
"""

from groundup.model.config import ModelConfig
from groundup.model.size import block_matrices, parameters


def memory(
    config: ModelConfig,
    sequences: int,
    precision: str,
    compiled: bool,
    optimizer: str = "adamw",
    activation_checkpointing: str = "none",
    loss_chunk: int | None = None,
) -> dict[str, int]:
    """Bytes by part, for micro-batches of so many sequences of the model's context.

    precision: fp32, bf16 or fp16, of the matrix products; weights, gradients and the optimizer's state are fp32.
    optimizer: adamw keeps two numbers for each parameter; muon one for those of the blocks' matrices.
    """
    matrices = config.layers * sum(block_matrices(config).values())
    head = config.width * config.vocab_size
    total, low = sum(parameters(config).values()), precision != "fp32"
    kept = _kept(config, precision, compiled, activation_checkpointing)
    remade = _block(config, precision, compiled) - kept if activation_checkpointing != "none" else 0
    tokens = sequences * config.context
    return {
        "weights": 4 * total + (2 * (matrices + head) if low else 0),  # with the copies that products are made from
        "gradients": 4 * total,
        "optimizer": 8 * total - (4 * matrices if optimizer == "muon" else 0),
        "activations": tokens * (config.layers * kept + remade + _ends(config, precision, compiled)),
        "logits": _logits(config, tokens, precision, compiled, loss_chunk),
    }


def kept_activations(config: ModelConfig, tokens: int, precision: str, compiled: bool, mode: str) -> int:
    """Bytes kept between the forward and the backward pass, without logits; mode: activation checkpointing."""
    return tokens * (config.layers * _kept(config, precision, compiled, mode) + _ends(config, precision, compiled))


def _sizes(precision: str) -> tuple[int, int]:
    """Bytes of a number in matrix products and in the residual stream."""
    return (4 if precision == "fp32" else 2), (2 if precision == "bf16" else 4)


def _norm(config: ModelConfig, precision: str, compiled: bool) -> int:
    """Input and output; uncompiled, RMSNorm keeps its input in fp32 and also, in fp32, what the gain multiplies."""
    product, stream = _sizes(precision)
    if config.norm == "rms" and not compiled:
        return config.width * (4 + 4 + product)
    return config.width * (stream + product)


def _ends(config: ModelConfig, precision: str, compiled: bool) -> int:
    """Bytes for each token of what comes before and after the blocks."""
    masks = config.width * (1 if compiled else _sizes(precision)[1]) if config.dropout else 0
    return _norm(config, precision, compiled) + masks


def _block(config: ModelConfig, precision: str, compiled: bool) -> int:
    """Bytes for each token of all that one block keeps."""
    c, d, keys = config, config.width, config.kv_heads * config.head_size
    product, stream = _sizes(precision)
    qkv = product * (d + 2 * keys)
    turned = product * (d + keys) if c.positions == "rotary" or c.qk_norm else 0  # no longer those of qkv
    attention = qkv + turned + product * d + 4 * c.heads  # and what comes out, and its normalisers in fp32
    if c.dropout and not compiled:
        # On a CPU attention with dropout is not fused. It keeps what comes out, queries, keys and values in fp32, and
        # for each head T weights, T of a mask and T products of the two; qkv stays only where it is a norm's input.
        attention = product * d + 4 * (3 * d + 3 * c.heads * c.context)
        attention += qkv if c.qk_norm and precision == "fp32" else 0
    if c.qk_norm and not compiled:
        attention += (d + keys) * (4 if precision == "fp32" else 8)  # as in `_norm`; in fp32 the input is qkv
    inner = (2 if c.gated else 1) * c.feed_forward
    feed_forward = product * (inner + c.feed_forward)
    if c.gated and not compiled:
        feed_forward += product * c.feed_forward  # silu of the gate
    masks = 2 * d * (1 if compiled else stream) if c.dropout else 0
    return 2 * _norm(config, precision, compiled) + attention + feed_forward + masks


def _kept(config: ModelConfig, precision: str, compiled: bool, mode: str) -> int:
    """Bytes for each token of what one block keeps under activation checkpointing (recompute.py)."""
    c, d, keys = config, config.width, config.kv_heads * config.head_size
    product, stream = _sizes(precision)
    if mode == "none":
        return _block(config, precision, compiled)
    if mode == "full":
        return stream * d
    inner = (2 if c.gated else 1) * c.feed_forward
    attention = 0 if c.dropout else product * d + 4 * c.heads
    outputs = d if compiled else 2 * d  # the feed-forward part's is kept uncompiled, though nothing needs it
    return stream * d + product * (d + 2 * keys + inner + outputs) + attention


def _logits(config: ModelConfig, tokens: int, precision: str, compiled: bool, chunk: int | None) -> int:
    """At the height of the backward pass: the logits, whose place the compiler gives to their gradient; uncompiled,
    probabilities and two gradients in fp32. By chunks: a chunk's, and what is kept instead, the gradients of hidden
    states and head."""
    product = _sizes(precision)[0]
    if chunk is None:
        return (product if compiled else 12) * tokens * config.vocab_size
    gradients = product * tokens * config.width + 4 * config.vocab_size * config.width
    return (2 * product if compiled else 16) * min(chunk, tokens) * config.vocab_size + gradients
