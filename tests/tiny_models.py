"""Models small enough for tests, of every kind that the knobs can make."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer

CLASSIC = ModelConfig("classic", 97, layers=2, width=48, heads=4, kv_heads=4, feed_forward=192, context=24)
MODERN = ModelConfig("modern", 97, layers=2, width=48, heads=4, kv_heads=4, feed_forward=128, context=24)
LLAMA = replace(MODERN, qk_norm=False)
GROUPED = replace(MODERN, kv_heads=2, tied=False)
# What no family has: learned positions with norms on queries and keys, RMSNorm with biases, a squared ReLU.
ODD = replace(MODERN, kv_heads=1, positions="learned", activation="relu2", bias=True)
KINDS = {"classic": CLASSIC, "modern": MODERN, "llama": LLAMA, "grouped": GROUPED, "odd": ODD}


@st.composite
def configs(draw: st.DrawFn, vocab_size: int = 11, context: int = 8) -> ModelConfig:
    """Any combination of the knobs; head sizes are even."""
    kv_heads, group, size = draw(st.integers(1, 2)), draw(st.integers(1, 2)), 2 * draw(st.integers(1, 8))
    return ModelConfig(
        family=draw(st.sampled_from(["classic", "modern"])),
        vocab_size=vocab_size,
        layers=draw(st.integers(1, 3)),
        width=kv_heads * group * size,
        heads=kv_heads * group,
        kv_heads=kv_heads,
        feed_forward=draw(st.integers(1, 40)),
        context=context,
        tied=draw(st.booleans()),
        positions=draw(st.sampled_from([None, "rotary", "learned"])),
        norm=draw(st.sampled_from([None, "rms", "layer"])),
        activation=draw(st.sampled_from([None, "swiglu", "gelu", "relu2"])),
        qk_norm=draw(st.sampled_from([None, True, False])),
        bias=draw(st.sampled_from([None, True, False])),
    )


def scrambled(config: ModelConfig) -> Transformer:
    """A model in which no parameter is at a value, such as 0 or 1, that would hide a mistake."""
    torch.manual_seed(1)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()
