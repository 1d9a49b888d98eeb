"""The model agrees with the reference implementations, and its size is what the arithmetic says."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from groundup.model.config import ModelConfig, configure
from groundup.model.loss import bits_per_byte, token_losses
from groundup.model.size import parameters, rule_of_thumb
from groundup.model.transformer import Transformer
from groundup.recipe.load import resolve

CLASSIC = ModelConfig("classic", 97, layers=2, width=48, heads=4, kv_heads=4, feed_forward=192, context=24)
MODERN = ModelConfig("modern", 97, layers=2, width=48, heads=4, kv_heads=4, feed_forward=128, context=24)
GROUPED = replace(MODERN, kv_heads=2, tied=False)


def scrambled(config: ModelConfig) -> Transformer:
    """A model in which no parameter is at a value, such as 0 or 1, that would hide a mistake."""
    torch.manual_seed(1)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def as_gpt2(model: Transformer) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    c = model.config
    reference = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=c.vocab_size, n_positions=c.context, n_embd=c.width, n_layer=c.layers, n_head=c.heads
        )
    )
    names = {"embedding": "transformer.wte", "positions": "transformer.wpe", "norm": "transformer.ln_f"}
    for layer in range(c.layers):
        mine, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        names |= {
            f"{mine}.attention_norm": f"{theirs}.ln_1",
            f"{mine}.attention.qkv": f"{theirs}.attn.c_attn",
            f"{mine}.attention.output": f"{theirs}.attn.c_proj",
            f"{mine}.feed_forward_norm": f"{theirs}.ln_2",
            f"{mine}.feed_forward.input": f"{theirs}.mlp.c_fc",
            f"{mine}.feed_forward.output": f"{theirs}.mlp.c_proj",
        }
    state = {}
    for name, value in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        transposed = ".c_" in names[module] and kind == "weight"  # GPT-2's Conv1D holds (in, out)
        state[f"{names[module]}.{kind}"] = value.T if transposed else value
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    return reference.eval()


def as_qwen3(model: Transformer) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    c = model.config
    config = transformers.Qwen3Config(
        vocab_size=c.vocab_size,
        hidden_size=c.width,
        intermediate_size=c.feed_forward,
        num_hidden_layers=c.layers,
        num_attention_heads=c.heads,
        num_key_value_heads=c.kv_heads,
        head_dim=c.head_size,
        max_position_embeddings=c.context,
        rms_norm_eps=1e-6,
        rope_theta=10_000.0,
        tie_word_embeddings=c.tied,
        attention_bias=False,
    )
    reference = transformers.Qwen3ForCausalLM(config)
    state = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm.weight}
    state["lm_head.weight"] = model.embedding.weight if c.tied else model.head.weight
    for layer, block in enumerate(model.blocks):
        to = f"model.layers.{layer}"
        sizes = [c.heads * c.head_size, c.kv_heads * c.head_size, c.kv_heads * c.head_size]
        q, k, v = block.attention.qkv.weight.split(sizes)
        gate, up = block.feed_forward.input.weight.chunk(2)
        state |= {
            f"{to}.input_layernorm.weight": block.attention_norm.weight,
            f"{to}.post_attention_layernorm.weight": block.feed_forward_norm.weight,
            f"{to}.self_attn.q_proj.weight": q,
            f"{to}.self_attn.k_proj.weight": k,
            f"{to}.self_attn.v_proj.weight": v,
            f"{to}.self_attn.o_proj.weight": block.attention.output.weight,
            f"{to}.self_attn.q_norm.weight": block.attention.query_norm.weight,
            f"{to}.self_attn.k_norm.weight": block.attention.key_norm.weight,
            f"{to}.mlp.gate_proj.weight": gate,
            f"{to}.mlp.up_proj.weight": up,
            f"{to}.mlp.down_proj.weight": block.feed_forward.output.weight,
        }
    reference.load_state_dict(state)
    return reference.eval()


@pytest.mark.parametrize(
    ("config", "convert"),
    [(CLASSIC, as_gpt2), (MODERN, as_qwen3), (GROUPED, as_qwen3)],
    ids=["gpt2", "qwen3", "qwen3-gqa"],
)
def test_logits_and_gradients_equal_the_reference(config: ModelConfig, convert) -> None:
    model = scrambled(config)
    reference = convert(model)
    tokens = torch.randint(config.vocab_size, (3, config.context))
    mine, theirs = model(tokens), reference(tokens).logits
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    losses = token_losses(mine[:, :-1], tokens[:, 1:]).mean()
    losses.backward()
    reference(tokens, labels=tokens).loss.backward()
    embedding = reference.get_input_embeddings().weight.grad
    torch.testing.assert_close(model.embedding.weight.grad, embedding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [CLASSIC, MODERN])
def test_no_token_sees_its_future(config: ModelConfig) -> None:
    model = scrambled(config)
    tokens = torch.randint(config.vocab_size, (1, 16))
    changed = tokens.clone()
    changed[0, 9:] = (changed[0, 9:] + 1) % config.vocab_size
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 9:], after[:, 9:])


@pytest.mark.parametrize("config", [CLASSIC, MODERN, GROUPED, replace(CLASSIC, tied=False)])
def test_counted_parameters_are_the_models(config: ModelConfig) -> None:
    assert sum(parameters(config).values()) == sum(parameter.numel() for parameter in Transformer(config).parameters())


@pytest.mark.parametrize("preset", ["20m", "50m", "100m", "20m-classic", "50m-classic", "100m-classic"])
def test_rule_of_thumb_is_within_two_percent_at_each_rung(preset: str) -> None:
    recipe = resolve(preset).recipe
    config = configure(recipe.model, recipe.tokenizer.vocab_size)
    assert rule_of_thumb(config) == pytest.approx(sum(parameters(config).values()), rel=0.02)


@pytest.mark.parametrize("config", [CLASSIC, MODERN])
def test_an_untrained_model_knows_nothing(config: ModelConfig) -> None:
    config = replace(config, vocab_size=4096, width=192)
    torch.manual_seed(0)
    tokens = torch.randint(config.vocab_size, (4, 24))
    loss = token_losses(Transformer(config)(tokens[:, :-1]), tokens[:, 1:]).mean()
    assert loss.item() == pytest.approx(math.log(4096), rel=0.01)


def test_token_losses_are_minus_log_softmax_at_the_target() -> None:
    logits, targets = torch.randn(2, 5, 11), torch.randint(11, (2, 5))
    expected = -torch.log(torch.softmax(logits.double(), -1)).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(token_losses(logits, targets).double(), expected, rtol=1e-6, atol=1e-6)


def test_attention_is_softmax_of_scaled_products_plus_mask_times_values() -> None:
    """softmax(Q K^T / sqrt(s) + mask) V, written out, against the module."""
    config = replace(CLASSIC, layers=1)
    attention = scrambled(config).blocks[0].attention
    x = torch.randn(2, 7, config.width)
    q, k, v = attention.qkv(x).split(config.width, dim=-1)

    def heads(part: Tensor) -> Tensor:
        return part.view(2, 7, config.heads, config.head_size).transpose(1, 2)

    mask = torch.full((7, 7), -torch.inf).triu(1)
    weights = torch.softmax(heads(q) @ heads(k).transpose(-1, -2) / config.head_size**0.5 + mask, -1)
    expected = attention.output((weights @ heads(v)).transpose(1, 2).reshape(2, 7, -1))
    torch.testing.assert_close(attention(x, None), expected, rtol=1e-5, atol=1e-5)


def test_bits_per_byte_of_a_fair_coin_for_each_byte_is_one() -> None:
    assert bits_per_byte(100 * math.log(2), 100) == pytest.approx(1.0)
    assert math.isnan(bits_per_byte(0.0, 0))
