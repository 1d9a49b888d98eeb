"""A text is the same with and without the cache, alone and beside others."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from generate_parts import CPU, uncached
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CLASSIC, KINDS, MODERN, configs, scrambled

from groundup.generate.decoder import Decoder
from groundup.generate.engine import Prompt, window, write
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.train.precision import choose

END = 0
SPELLINGS = [b"", *(bytes([id]) for id in range(1, 97))]


def precise(config: ModelConfig) -> Transformer:
    """In fp64, so that no two ways of adding up the same numbers are told apart by luck."""
    return scrambled(config).double()


def texts(model: Transformer, prompts: list[Prompt], options: Sample) -> list[list[int]]:
    written: list[list[int]] = [[] for _ in prompts]
    for piece in write(model, prompts, options, SPELLINGS, END, CPU):
        if piece.ended != "end":
            written[piece.row].append(piece.token)
    return written


def any_options(draw: random.Random) -> dict[str, Any]:
    return {
        "temperature": draw.choice([0, 0.5, 0.8, 1.0, 1.5]),
        "top_k": draw.choice([0, 0, 1, 5, 40]),
        "top_p": draw.choice([1.0, 0.95, 0.5]),
        "min_p": draw.choice([0.0, 0.0, 0.05, 0.3]),
        "repetition_penalty": draw.choice([1.0, 1.0, 1.3, 0.8]),
        "no_repeat_ngram": draw.choice([0, 0, 1, 2, 3]),
        "max_tokens": draw.choice([2, 4, 6, 14]),
        "batch": draw.choice([1, 3, 8]),
    }


@pytest.mark.parametrize("config", [CLASSIC, MODERN], ids=["classic", "modern"])
def test_five_hundred_texts_are_token_for_token_those_without_a_cache(config: ModelConfig) -> None:
    model, wild, lengths = precise(replace(config, context=9)), random.Random(7), set()
    for _ in range(63):
        options = Sample(**any_options(wild))
        prompts = [
            Prompt([END] * wild.randint(0, 1) + [wild.randrange(1, 97) for _ in range(wild.randint(1, 12))], seed)
            for seed in wild.sample(range(10**6), 8)
        ] + ([Prompt([END], wild.randrange(10**6))] if wild.random() < 0.2 else [])
        written = texts(model, prompts, options)
        assert written == uncached(model, prompts, options, END), (options, prompts)
        lengths |= {len(prompt.ids) + len(text) for prompt, text in zip(prompts, written, strict=True)}
    assert min(lengths) < 9 and max(lengths) > 2 * 9, "texts that outgrow the context twice are among them"


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_model_writes_alone_what_it_writes_in_a_batch(config: ModelConfig) -> None:
    model, options = precise(config), Sample(temperature=1.0, top_k=0, top_p=1.0, max_tokens=60, batch=5)
    prompts = [Prompt([END, *range(5, 5 + length)], seed=length) for length in (1, 20, 3, 4, 11, 2, 7)]
    together = texts(model, prompts, options)
    assert together == [texts(model, [prompt], options)[0] for prompt in prompts]
    assert together[::-1] == texts(model, prompts[::-1], options)
    assert len({tuple(text) for text in together}) == len(prompts)


@given(configs(), st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_logits_with_a_cache_are_those_of_the_whole_text(config: ModelConfig, lengths: list[int], seed: int) -> None:
    model, random = scrambled(config), torch.Generator().manual_seed(seed)
    rows = [torch.randint(config.vocab_size, (length,), generator=random).tolist() for length in lengths]
    decoder = Decoder(model, CPU, len(rows), config.context)
    logits = decoder.prefill(list(range(len(rows))), rows)
    while True:
        with torch.no_grad():
            whole = torch.stack([model(torch.tensor([row]))[0, -1] for row in rows])
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-4)
        if max(map(len, rows)) == config.context:
            return
        tokens = torch.randint(config.vocab_size, (len(rows),), generator=random)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        logits = decoder.step(tokens)


def test_rows_that_stay_keep_their_texts_when_others_go() -> None:
    decoder = Decoder(scrambled(MODERN), CPU, 3, 24)
    rows = [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
    decoder.prefill([0, 1, 2], rows)
    decoder.keep([2, 0])
    logits = decoder.step(torch.tensor([10, 11]))
    with torch.no_grad():
        whole = torch.cat([decoder_model(row)[:, -1] for row in ([6, 7, 8, 9, 10], [1, 2, 3, 11])])
    torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())
def test_a_step_over_the_whole_cache_as_it_is_recorded_on_a_gpu_gives_the_same(config: ModelConfig) -> None:
    decoder, tokens = Decoder(scrambled(config), CPU, 2, 24), torch.tensor([10, 11])
    decoder.prefill([0, 1], [[1, 2, 3], [4, 5]])
    with torch.inference_mode():
        recorded = decoder._step(tokens, torch.tensor(decoder.lengths), decoder.length)
    torch.testing.assert_close(recorded, decoder.step(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_writes_what_steps_without_a_record_write() -> None:
    device, options = choose("cuda", "fp32", tf32=False), Sample(temperature=1.0, top_k=0, top_p=1.0, max_tokens=60)
    model = scrambled(MODERN).to(device.device)
    prompts = [Prompt([END, *range(5, 5 + length)], seed=length) for length in (1, 20, 3)]
    recorded, plain = (
        [(p.row, p.token) for p in write(model, prompts, options, SPELLINGS, END, device, captured=captured)]
        for captured in (True, False)
    )
    assert recorded == plain


def decoder_model(row: list[int]) -> torch.Tensor:
    return scrambled(MODERN)(torch.tensor([row]))


@pytest.mark.parametrize("config", [CLASSIC, replace(MODERN, kv_heads=2)], ids=["classic", "modern"])
def test_in_bf16_the_logits_are_those_of_the_model_to_within_its_rounding(config: ModelConfig) -> None:
    model, device = scrambled(config), choose("cpu", "bf16")
    rows = [[1, 2, 3, 4, 5], [6, 7]]
    decoder = Decoder(model, device, 2, 24)
    decoder.prefill([0, 1], rows)
    logits = decoder.step(torch.tensor([8, 9]))
    with torch.no_grad():
        exact = torch.cat([model(torch.tensor([row]))[:, -1] for row in ([1, 2, 3, 4, 5, 8], [6, 7, 9])])
        with device.autocast():
            theirs = torch.cat([model(torch.tensor([row]))[:, -1] for row in ([1, 2, 3, 4, 5, 8], [6, 7, 9])])
    allowed = 3 * (theirs.float() - exact).abs().max()
    assert logits.dtype is torch.float32 and (logits - exact).abs().max() <= allowed


@given(st.integers(8, 70), st.integers(1, 400))
def test_a_window_holds_the_end_of_the_text_and_at_least_half_a_context(context: int, length: int) -> None:
    start = window(length, context)
    assert (start == 0) == (length <= context)
    assert context // 2 < length - start <= context or start == 0
    assert window(length + 1, context) in (start, start + context - context // 2)
