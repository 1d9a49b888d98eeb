"""A model of a family IS a checkpoint of the architecture that it is named after: equal numbers from equal weights."""

from dataclasses import replace

import pytest
import torch
from tiny_models import CLASSIC, GROUPED, LLAMA, MODERN, scrambled
from torch import Tensor, nn

from groundup.model.config import ModelConfig
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer

transformers = pytest.importorskip("transformers")

CONFIGS = {
    "gpt2": CLASSIC,
    "gpt2-untied": replace(CLASSIC, tied=False),
    "qwen3": MODERN,
    "qwen3-grouped-untied": GROUPED,
    "llama": LLAMA,
    "llama-grouped-untied": replace(GROUPED, qk_norm=False),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


def as_gpt2(c: ModelConfig, mine: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights or gradients by GPT-2's names."""
    names = {"embedding": "transformer.wte", "positions": "transformer.wpe", "norm": "transformer.ln_f"}
    names["head"] = "lm_head"
    for layer in range(c.layers):
        block, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        names |= {
            f"{block}.attention_norm": f"{theirs}.ln_1",
            f"{block}.attention.qkv": f"{theirs}.attn.c_attn",
            f"{block}.attention.output": f"{theirs}.attn.c_proj",
            f"{block}.feed_forward_norm": f"{theirs}.ln_2",
            f"{block}.feed_forward.input": f"{theirs}.mlp.c_fc",
            f"{block}.feed_forward.output": f"{theirs}.mlp.c_proj",
        }
    state = {}
    for name, value in mine.items():
        module, _, kind = name.rpartition(".")
        transposed = ".c_" in names[module] and kind == "weight"  # GPT-2's Conv1D holds (in, out)
        state[f"{names[module]}.{kind}"] = value.T if transposed else value
    return state


def as_llama(c: ModelConfig, mine: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights or gradients by Llama's names, which are Qwen3's, too."""
    state = {"model.embed_tokens.weight": mine["embedding.weight"], "model.norm.weight": mine["norm.weight"]}
    if not c.tied:
        state["lm_head.weight"] = mine["head.weight"]
    for layer in range(c.layers):
        block, to = f"blocks.{layer}", f"model.layers.{layer}"
        keys = c.kv_heads * c.head_size
        q, k, v = mine[f"{block}.attention.qkv.weight"].split([c.width, keys, keys])
        gate, up = mine[f"{block}.feed_forward.input.weight"].chunk(2)
        state |= {
            f"{to}.input_layernorm.weight": mine[f"{block}.attention_norm.weight"],
            f"{to}.post_attention_layernorm.weight": mine[f"{block}.feed_forward_norm.weight"],
            f"{to}.self_attn.q_proj.weight": q,
            f"{to}.self_attn.k_proj.weight": k,
            f"{to}.self_attn.v_proj.weight": v,
            f"{to}.self_attn.o_proj.weight": mine[f"{block}.attention.output.weight"],
            f"{to}.mlp.gate_proj.weight": gate,
            f"{to}.mlp.up_proj.weight": up,
            f"{to}.mlp.down_proj.weight": mine[f"{block}.feed_forward.output.weight"],
        }
        if c.qk_norm:
            state[f"{to}.self_attn.q_norm.weight"] = mine[f"{block}.attention.query_norm.weight"]
            state[f"{to}.self_attn.k_norm.weight"] = mine[f"{block}.attention.key_norm.weight"]
    return state


def reference_of(model: Transformer) -> nn.Module:
    """The reference implementation with the model's weights, every one of them."""
    c = model.config
    shared = {"vocab_size": c.vocab_size, "tie_word_embeddings": c.tied, "eos_token_id": None, "bos_token_id": None}
    if c.exports_as == "gpt2":
        shape = {"n_positions": c.context, "n_embd": c.width, "n_layer": c.layers, "n_head": c.heads}
        config = transformers.GPT2Config(**shape, n_inner=c.feed_forward, **shared)
        reference = transformers.GPT2LMHeadModel(config)
    else:
        kind, made_of = (
            (transformers.Qwen3Config, transformers.Qwen3ForCausalLM)
            if c.exports_as == "qwen3"
            else (transformers.LlamaConfig, transformers.LlamaForCausalLM)
        )
        config = kind(
            hidden_size=c.width,
            intermediate_size=c.feed_forward,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            num_key_value_heads=c.kv_heads,
            head_dim=c.head_size,
            max_position_embeddings=c.context,
            rms_norm_eps=1e-6,
            rope_theta=10_000.0,
            attention_bias=False,
            **shared,
        )
        reference = made_of(config)
    missing, unexpected = reference.load_state_dict(translated(model, dict(model.state_dict())), strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if c.tied else set())
    return reference.eval()


def translated(model: Transformer, mine: dict[str, Tensor]) -> dict[str, Tensor]:
    return (as_gpt2 if model.config.exports_as == "gpt2" else as_llama)(model.config, mine)


@each_config
def test_logits_and_every_gradient_equal_the_reference(config: ModelConfig) -> None:
    model = scrambled(config)
    reference = reference_of(model)
    tokens = torch.randint(config.vocab_size, (3, config.context))
    mine, theirs = model(tokens), reference(tokens).logits
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    token_losses(mine[:, :-1], tokens[:, 1:]).mean().backward()
    reference(tokens, labels=tokens).loss.backward()
    gradients = translated(model, {name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    expected = {name: p.grad for name, p in reference.named_parameters()}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() <= 1e-5 * expected[name].norm(), name


@each_config
@torch.no_grad()
def test_twenty_greedy_continuations_equal_the_reference_token_for_token(config: ModelConfig) -> None:
    model = scrambled(config)
    reference = reference_of(model)
    for length in (1, 8):
        prompts = torch.randint(config.vocab_size, (10, length), generator=torch.Generator().manual_seed(length))
        mine = prompts
        for _ in range(16):
            mine = torch.cat([mine, model(mine, last_only=True).argmax(-1)], dim=1)
        theirs = reference.generate(
            prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=16, do_sample=False, pad_token_id=0
        )
        assert mine.tolist() == theirs.tolist()
        different = mine[:, length:].unique(dim=0)
        assert len(different) >= 8 and len(different.unique()) > 10, "not what any two models could agree on"
