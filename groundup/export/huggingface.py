"""A model as a plain directory of transformers: config.json, model.safetensors and the tokenizer's files.

A model of the right knobs IS a GPT-2, a Qwen3 or a Llama (`ModelConfig.exports_as`), so nothing is approximated and no
code of ours is needed to read it. Nothing here imports transformers.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from groundup.errors import GroundupError
from groundup.model.config import EXPORTS, ModelConfig
from groundup.model.transformer import ROTARY_BASE, Transformer
from groundup.store.files import fsync, write_json
from groundup.tokens.encoding import CONFIG, FILE, open_tokenizer

# Where the eps of our norms stands: transformer.norm and transformer.RMSNorm.
LAYER_NORM_EPS, RMS_NORM_EPS = 1e-5, 1e-6


def write(model: Transformer, tokenizer: Path, output: Path) -> Path:
    """Write a model with the tokenizer files of the directory `tokenizer` (a run, say) to `output`, and return that.

    It is written beside its place and renamed, so it is whole or not there. Raises GroundupError `cannot-export` where
    no architecture has the model's knobs or `output` is there already, `bad-tokenizer`.
    """
    check(model.config)
    if output.exists():
        raise GroundupError("cannot-export", f"{output} is there already", "name a directory that does not exist yet")
    end = open_tokenizer(tokenizer / FILE).end
    temporary = output.with_name(f".writing-{output.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        weights = translate(model.config, model.state_dict())
        named = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
        save_file(named, temporary / "model.safetensors", metadata={"format": "pt"})  # which transformers asks for
        write_json(temporary / "config.json", configuration(model.config, end))
        shutil.copyfile(tokenizer / FILE, temporary / FILE)
        settings = json.loads((tokenizer / CONFIG).read_bytes())
        write_json(temporary / CONFIG, settings | {"model_max_length": model.config.context})
        for path in temporary.iterdir():
            fsync(path)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return output


def check(c: ModelConfig) -> None:
    """Raise GroundupError `cannot-export` for knobs that no architecture has, naming those that are in the way."""
    if c.exports_as is not None:
        return
    differs = {
        name: [knob for knob, value in knobs.items() if getattr(c, knob) != value] for name, knobs in EXPORTS.items()
    }
    if c.kv_heads != c.heads:
        differs["gpt2"].append("kv_heads")
    nearest = min(differs, key=lambda name: len(differs[name]))
    values = ", ".join(f"{knob} = {getattr(c, knob)}" for knob in differs[nearest])
    what = f"no architecture of transformers is like this model; for {nearest}, these differ: {values}"
    raise GroundupError("cannot-export", what, "train a model of family classic or modern with its own knobs")


def configuration(c: ModelConfig, end: int) -> dict[str, Any]:
    """The contents of config.json; `end` is the token that begins and ends a text."""
    shared: dict[str, Any] = {
        "vocab_size": c.vocab_size,
        "tie_word_embeddings": c.tied,
        "bos_token_id": end,
        "eos_token_id": end,
        "dtype": "float32",
        "attention_dropout": 0.0,
    }
    if c.exports_as == "gpt2":
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_positions": c.context,
            "n_embd": c.width,
            "n_layer": c.layers,
            "n_head": c.heads,
            "n_inner": c.feed_forward,
            "activation_function": "gelu_new",  # the tanh form
            "layer_norm_epsilon": LAYER_NORM_EPS,
            **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), c.dropout),
            **{key: value for key, value in shared.items() if key != "attention_dropout"},
        }
    return {
        "architectures": ["Qwen3ForCausalLM" if c.exports_as == "qwen3" else "LlamaForCausalLM"],
        "model_type": c.exports_as,
        "hidden_size": c.width,
        "intermediate_size": c.feed_forward,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": c.context,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope_theta": ROTARY_BASE,
        "attention_bias": False,
        **({"use_sliding_window": False} if c.exports_as == "qwen3" else {"mlp_bias": False}),
        **shared,
    }


def translate(c: ModelConfig, mine: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights, or gradients, by the names and in the layout of the architecture that the model is.

    Raises GroundupError `cannot-export`.
    """
    check(c)
    return _as_gpt2(c, mine) if c.exports_as == "gpt2" else _as_llama(c, mine)


def _as_gpt2(c: ModelConfig, mine: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def _as_llama(c: ModelConfig, mine: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Llama's names are Qwen3's, too."""
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
