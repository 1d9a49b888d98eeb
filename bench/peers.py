"""The same weights in the hands of others: transformers' Qwen3, and llama.cpp through a GGUF file (xllamacpp).

For a model of the family `modern`, which is a Qwen3. Vocabularies are made up; prompts are token ids.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.model.transformer import Transformer

# Our name of a block's tensor, or (name, part) of a fused one: Qwen3's in transformers, in GGUF.
BLOCK = {
    ("attention_norm", None): ("input_layernorm", "attn_norm"),
    ("attention.qkv", 0): ("self_attn.q_proj", "attn_q"),
    ("attention.qkv", 1): ("self_attn.k_proj", "attn_k"),
    ("attention.qkv", 2): ("self_attn.v_proj", "attn_v"),
    ("attention.query_norm", None): ("self_attn.q_norm", "attn_q_norm"),
    ("attention.key_norm", None): ("self_attn.k_norm", "attn_k_norm"),
    ("attention.output", None): ("self_attn.o_proj", "attn_output"),
    ("feed_forward_norm", None): ("post_attention_layernorm", "ffn_norm"),
    ("feed_forward.input", 0): ("mlp.gate_proj", "ffn_gate"),
    ("feed_forward.input", 1): ("mlp.up_proj", "ffn_up"),
    ("feed_forward.output", None): ("mlp.down_proj", "ffn_down"),
}
EPSILON, ROTARY_BASE = 1e-6, 10_000.0


def tensors(model: Transformer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights by transformers' names and by GGUF's."""
    c, mine = model.config, {name: value.detach().cpu().float() for name, value in model.named_parameters()}
    whole = {("model.embed_tokens", "token_embd"): "embedding", ("model.norm", "output_norm"): "norm"}
    if not c.tied:
        whole["lm_head", "output"] = "head"
    theirs = {f"{names[0]}.weight": mine[f"{own}.weight"] for names, own in whole.items()}
    ggml = {f"{names[1]}.weight": mine[f"{own}.weight"] for names, own in whole.items()}
    keys = c.kv_heads * c.head_size
    sizes = {"attention.qkv": [c.width, keys, keys], "feed_forward.input": [c.feed_forward] * 2}
    for layer in range(c.layers):
        for (name, part), (there, in_ggml) in BLOCK.items():
            value = mine[f"blocks.{layer}.{name}.weight"]
            if part is not None:
                value = value.split(sizes[name])[part].contiguous()
            theirs[f"model.layers.{layer}.{there}.weight"] = value
            ggml[f"blk.{layer}.{in_ggml}.weight"] = value
    return theirs, ggml


def transformers_model(model: Transformer, device: torch.device) -> Any:
    """The model in transformers, with PyTorch's attention."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    c = model.config
    config = Qwen3Config(
        vocab_size=c.vocab_size,
        hidden_size=c.width,
        intermediate_size=c.feed_forward,
        num_hidden_layers=c.layers,
        num_attention_heads=c.heads,
        num_key_value_heads=c.kv_heads,
        head_dim=c.head_size,
        max_position_embeddings=c.context,
        rms_norm_eps=EPSILON,
        rope_theta=ROTARY_BASE,
        tie_word_embeddings=c.tied,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    theirs = Qwen3ForCausalLM(config)
    missing, unexpected = theirs.load_state_dict(tensors(model)[0], strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if c.tied else set())
    return theirs.to(device).eval()


def write_gguf(model: Transformer, path: Path, half: bool) -> None:
    """The model as a GGUF file, its matrices in F32 or F16."""
    import gguf
    import numpy as np

    c, writer = model.config, gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.width)
    writer.add_block_count(c.layers)
    writer.add_feed_forward_length(c.feed_forward)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_key_length(c.head_size)
    writer.add_value_length(c.head_size)
    writer.add_rope_freq_base(ROTARY_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{id}" for id in range(c.vocab_size)])
    writer.add_token_types([gguf.TokenType.NORMAL] * c.vocab_size)
    writer.add_token_merges(["t 1"])
    writer.add_eos_token_id(0)
    for name, value in tensors(model)[1].items():
        numbers = value.numpy()
        writer.add_tensor(name, numbers.astype(np.float16) if half and value.dim() == 2 else numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(path: Path, context: int, threads: int) -> Callable[[list[int], int], list[int]]:
    """A function from a prompt and a number of tokens to what llama.cpp goes on with, the likeliest token each time.

    Keys and values are kept in F32, as ours are.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = context, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def go_on(prompt: list[int], count: int) -> list[int]:
        asked = {"prompt": prompt, "max_tokens": count, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        answer = server.handle_completions(asked)
        if "choices" not in answer:
            raise RuntimeError(str(answer)[:300])
        return [int(name) for name in answer["choices"][0]["text"].split("t")[1:]]  # token 7 is called t7

    return go_on
