"""Scores are sums over exactly the text: no token twice, none left out, no special token counted."""

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.evaluate.score import Documents, Score, _first_documents, pooled, score
from groundup.evaluate.windows import sliding
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.tokens.pack import DOCUMENT
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


@given(st.integers(1, 3 * CONTEXT + 2), st.integers(1, CONTEXT), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_a_sliding_window_gives_each_token_at_least_context_less_stride_tokens_of_context(
    length: int, stride: int, random: Random
) -> None:
    MODEL.eval()
    tokens = [random.randrange(1, VOCABULARY) for _ in range(length)]
    padded, nats = [END, *tokens], 0.0
    windows = sliding(0, length, CONTEXT, stride)
    for window in windows:
        for place in range(window.first, window.end):
            with torch.no_grad():
                logits = MODEL(torch.tensor([padded[window.begin : place + 1]]))[0, -1]
            nats -= float(torch.log_softmax(logits.double(), -1)[padded[place + 1]])
            assert place + 1 - window.begin >= min(place + 1, CONTEXT - stride + 1)
    assert [place for window in windows for place in range(window.first, window.end)] == list(range(length))
    result = score(MODEL, np.array(tokens), ENCODING, CPU, "a", stride=stride)
    assert result.nats == pytest.approx(nats, rel=1e-5, abs=1e-4)


def test_documents_add_up_to_the_score_and_are_what_their_own_tokens_cost() -> None:
    documents = [[3, 4, 5, END], [6, 7, END], [8, 9, 10, 11, 12, END]]
    rows = np.zeros(3, DOCUMENT)
    rows["start"], rows["bytes"], rows["id"] = [0, 4, 7], [int(BYTES[one].sum()) for one in documents], [1, 2, 3]
    whole = score(MODEL, np.concatenate(documents), ENCODING, CPU, "a", document_mask=True, documents=rows)
    apart = [score(MODEL, np.array(one), ENCODING, CPU, "a") for one in documents]
    assert whole.documents is not None
    assert whole.documents.nats == pytest.approx([one.nats for one in apart], rel=1e-5)
    assert whole.documents.tokens.tolist() == [3, 2, 5]
    assert whole.nats == pytest.approx(whole.documents.nats.sum()) and whole.bytes == rows["bytes"].sum()


def test_the_standard_error_of_bits_per_byte_is_that_of_drawing_documents_again() -> None:
    random = np.random.default_rng(1)
    sizes = random.integers(20, 2000, 400)
    nats = sizes * random.normal(0.9, 0.2, 400)
    stated = Documents(np.arange(400), nats, sizes, sizes).bpb_error()
    draws = random.integers(0, 400, (4000, 400))  # the bootstrap
    drawn = nats[draws].sum(1) / sizes[draws].sum(1) / math.log(2)
    assert stated == pytest.approx(drawn.std(), rel=0.06)
    assert Documents(*(np.ones(1),) * 4).bpb_error() is None


def test_a_model_that_gives_no_numbers_is_an_error_and_not_a_score() -> None:
    broken = Transformer(MODEL.config)
    with torch.no_grad():
        broken.norm.weight.fill_(math.nan)
    with pytest.raises(GroundupError, match="no probability for 3 of 3") as refused:
        score(broken, np.array([3, 4, 5]), ENCODING, CPU, "a")
    assert refused.value.code == "not-finite"


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


def test_a_character_that_the_alphabet_lacks_costs_unk_and_a_choice_among_all_of_unicode() -> None:
    unknown = 7
    lengths = BYTES.copy()
    lengths[unknown] = 0
    tokens = np.array([3, unknown, 5, unknown, END])
    plain = score(MODEL, np.array(tokens), Encoding(None, END, lengths), CPU, "a")  # type: ignore[arg-type]
    charged = score(MODEL, tokens, Encoding(None, END, lengths, unknown), CPU, "a")  # type: ignore[arg-type]
    nats, count, _ = by_hand(tokens.tolist())
    assert (plain.tokens, charged.tokens) == (2, 4) and count == 4
    assert charged.nats == pytest.approx(nats + 2 * math.log(1_112_064), rel=1e-6)


@pytest.mark.parametrize("limit", [None, 1, 40, 41, 100, 10_000])
def test_a_limit_in_bytes_takes_the_same_first_documents_whatever_the_tokenizer(
    tmp_path: Path, limit: int | None
) -> None:
    sizes = [40, 25, 60, 10, 200]  # bytes of the documents
    for name, per_token in (("fine", 1), ("coarse", 5)):
        for shard, documents in enumerate((sizes[:2], sizes[2:])):
            records = np.zeros(len(documents), DOCUMENT)
            parts = [np.array([*[9] * (size // per_token), END], np.uint16) for size in documents]
            records["bytes"], records["start"] = documents, np.cumsum([0, *map(len, parts[:-1])])
            np.save(tmp_path / f"{name}.valid.00000-{shard:03}.npy", np.concatenate(parts))
            np.save(tmp_path / f"{name}.valid.00000-{shard:03}.documents.npy", records)
    fine, coarse = (_first_documents(tmp_path, name, "valid", limit) for name in ("fine", "coarse"))
    held = {None: 5, 1: 1, 40: 1, 41: 1, 100: 2, 10_000: 5}[limit]
    assert fine[1]["bytes"].tolist() == coarse[1]["bytes"].tolist() == sizes[:held]
    assert all(tokens[start - 1] == END for tokens, rows in (fine, coarse) for start in rows["start"].tolist()[1:])
    assert (fine[0] == END).sum() == (coarse[0] == END).sum() == held
    assert len(fine[0]) == sum(sizes[:held]) + held


def test_a_masked_score_is_that_of_each_document_by_itself() -> None:
    documents = [[3, 4, 5, END], [6, 7, END], [8, 9, 10, 11, END]]  # together shorter than a window
    apart = [score(MODEL, np.array(one[:-1]), ENCODING, CPU, "a").nats for one in documents]
    packed = score(MODEL, np.concatenate([np.array(one) for one in documents]), ENCODING, CPU, "a", document_mask=True)
    open_ = score(MODEL, np.concatenate([np.array(one) for one in documents]), ENCODING, CPU, "a")
    assert packed.nats == pytest.approx(sum(apart), rel=1e-5)  # rotary positions: only distances matter
    assert abs(open_.nats - sum(apart)) > 1e-4
