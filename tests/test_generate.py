"""The sampler admits exactly the tokens that its settings say, and gives the same text for the same seed."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from groundup.errors import GroundupError
from groundup.generate.sampler import complete, complete_all, filter_logits
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.tokens.encoding import END, PAD, Encoding, open_tokenizer
from groundup.train.precision import choose

CPU = choose("cpu", "fp32")


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Encoding:
    """Bytes as tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate([END, PAD, *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END, PAD])
    path: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return open_tokenizer(path)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig("modern", 258, 2, 32, 2, 2, 64, 24))


@given(st.integers(0, 10_000), st.floats(0.1, 3), st.integers(0, 60), st.floats(0.05, 1))
@settings(max_examples=100, deadline=None)
def test_settings_admit_the_tokens_that_the_reference_admits(seed: int, temperature: float, k: int, p: float) -> None:
    reference = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(50, generator=torch.Generator().manual_seed(seed)) * 3
    expected = reference.TemperatureLogitsWarper(temperature)(None, logits[None])
    if 0 < k < 50:
        expected = reference.TopKLogitsWarper(k)(None, expected)
    if p < 1:
        expected = reference.TopPLogitsWarper(p)(None, expected)
    mine = filter_logits(logits, temperature, k, p)
    torch.testing.assert_close(mine.softmax(-1), expected[0].softmax(-1), rtol=1e-5, atol=1e-7)


def test_equal_seeds_give_equal_texts_and_other_seeds_others(model: Transformer, encoding: Encoding) -> None:
    options = Sample(prompts=["ab", "ab"], max_tokens=30, seed=5)
    first, again = (complete(model, encoding, "ab", options, CPU) for _ in range(2))
    assert first == again and first.startswith("ab")
    rows = complete_all(model, encoding, options, CPU)
    assert [row["seed"] for row in rows] == [5, 6]
    assert rows[0]["text"] == first != rows[1]["text"]


def test_temperature_zero_takes_the_likeliest_token(model: Transformer, encoding: Encoding) -> None:
    text = complete(model, encoding, "a", Sample(temperature=0, max_tokens=1), CPU)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([[encoding.end, *encoding.encode("a")]]))[0, -1]
    assert text == encoding.decode([*encoding.encode("a"), int(logits.argmax())])


def test_writing_goes_on_beyond_the_context(model: Transformer, encoding: Encoding) -> None:
    text = complete(model, encoding, "", Sample(max_tokens=60, temperature=2.0, top_k=0, top_p=1.0), CPU)
    assert len(text) > 0  # 60 tokens through a context of 24


def test_a_prompt_longer_than_the_context_is_refused(model: Transformer, encoding: Encoding) -> None:
    complete(model, encoding, "x" * 23, Sample(max_tokens=1), CPU)
    with pytest.raises(GroundupError) as refusal:
        complete(model, encoding, "x" * 24, Sample(max_tokens=1), CPU)
    assert refusal.value.code == "bad-prompt"
