"""The same weights in the hands of others: transformers' Qwen3, and llama.cpp through a GGUF file (xllamacpp).

For a model of the family `modern`, which is a Qwen3. Vocabularies are made up; prompts are token ids.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.export.huggingface import RMS_NORM_EPS, ROTARY_BASE, configuration, translate
from groundup.model.transformer import Transformer

# What GGUF calls the parts of a Qwen3, by transformers' names.
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensors(model: Transformer) -> dict[str, Tensor]:
    """The weights by transformers' names."""
    mine = {name: value.detach().cpu().float() for name, value in model.named_parameters()}
    return {name: value.contiguous() for name, value in translate(model.config, mine).items()}


def in_gguf(name: str) -> str:
    """GGUF's name of a tensor."""
    module = name.removesuffix(".weight")
    if module in WHOLE:
        return f"{WHOLE[module]}.weight"
    layer, _, part = module.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{BLOCK[part]}.weight"


def transformers_model(model: Transformer, device: torch.device) -> Any:
    """The model in transformers, with PyTorch's attention."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**configuration(model.config, 0), attn_implementation="sdpa")
    config.bos_token_id = config.eos_token_id = None  # the benchmark's vocabulary has no end
    config.pad_token_id = 0
    theirs = Qwen3ForCausalLM(config)
    missing, unexpected = theirs.load_state_dict(tensors(model), strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if model.config.tied else set())
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
    writer.add_layer_norm_rms_eps(RMS_NORM_EPS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{id}" for id in range(c.vocab_size)])
    writer.add_token_types([gguf.TokenType.NORMAL] * c.vocab_size)
    writer.add_token_merges(["t 1"])
    writer.add_eos_token_id(0)
    for name, value in tensors(model).items():
        numbers = value.numpy()
        writer.add_tensor(in_gguf(name), numbers.astype(np.float16) if half and value.dim() == 2 else numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(path: Path, context: int, threads: int) -> Callable[[list[int], int], list[int]]:
    """A function from a prompt and a number of tokens to what llama.cpp goes on with, the likeliest token each time.

    In a process of its own: its threads and PyTorch's share one OpenMP, which lets waiting threads sleep at once where
    it has more of them than the machine has cores, and that makes PyTorch half as fast.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    spawn.Process(target=_serve, args=(theirs, str(path), context, threads), daemon=True).start()
    theirs.close()

    def go_on(prompt: list[int], count: int) -> list[int]:
        ours.send((prompt, count))
        answer = ours.recv()
        if "choices" not in answer:
            raise RuntimeError(str(answer)[:300])
        return [int(name) for name in answer["choices"][0]["text"].split("t")[1:]]  # token 7 is called t7

    return go_on


def _serve(pipe: Any, path: str, context: int, threads: int) -> None:
    """llama.cpp, answering through a pipe until that is closed. Keys and values are kept in F32, as ours are."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.n_gpu_layers = context, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.verbosity = -1
    server = xllamacpp.Server(params)
    while True:
        try:
            prompt, count = pipe.recv()
        except EOFError:
            return
        asked = {"prompt": prompt, "max_tokens": count, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        pipe.send(server.handle_completions(asked))
