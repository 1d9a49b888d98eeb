"""Scores are sums over exactly the text: no token twice, none left out, no special token counted."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.evaluate.score import Score, pooled, score
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.train.precision import choose

END, VOCABULARY, CONTEXT = 0, 50, 16
MODEL = Transformer(ModelConfig("modern", VOCABULARY, 1, 16, 2, 2, 64, CONTEXT))
BYTES = np.arange(VOCABULARY) % 5 + 1
BYTES[END] = 0
CPU = choose("cpu", "fp32")
ENCODING = Encoding(None, END, BYTES)  # type: ignore[arg-type]


def by_hand(tokens: list[int]) -> tuple[float, int, int]:
    """Nats, tokens and bytes, one token at a time with the context that its window gives it."""
    padded, nats = [END, *tokens], 0.0
    for place, token in enumerate(tokens):
        begin = place // CONTEXT * CONTEXT
        with torch.no_grad():
            logits = MODEL(torch.tensor([padded[begin : place + 1]]))[0, -1]
        if token != END:
            nats -= float(torch.log_softmax(logits.double(), -1)[token])
    text = [token for token in tokens if token != END]
    return nats, len(text), int(BYTES[text].sum())


@given(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=3 * CONTEXT + 2))
@settings(max_examples=40, deadline=None)
def test_each_token_of_the_text_is_scored_once_in_its_window(tokens: list[int]) -> None:
    MODEL.eval()
    result = score(MODEL, np.array(tokens), ENCODING, CPU, "a")
    nats, count, size = by_hand(tokens)
    assert (result.tokens, result.bytes) == (count, size)
    assert result.nats == pytest.approx(nats, rel=1e-5, abs=1e-4)


def test_bits_per_byte_of_a_model_that_knows_nothing_is_the_vocabularys() -> None:
    row = Score("a", nats=1000 * math.log(256), tokens=1000, bytes=1000).to_json()
    assert row["bpb"] == pytest.approx(8.0) and row["ppl"] == pytest.approx(256.0)


def test_the_pool_adds_up_its_sources() -> None:
    whole = pooled([Score("a", 10.0, 5, 20), Score("b", 30.0, 15, 20)]).to_json()
    assert whole["loss"] == 2.0 and whole["bytes"] == 40
    assert whole["bpb"] == pytest.approx(40 / math.log(2) / 40)


def test_scoring_leaves_the_model_in_training_mode() -> None:
    MODEL.train()
    score(MODEL, np.array([3, 4, 5]), ENCODING, CPU, "a")
    assert MODEL.training
