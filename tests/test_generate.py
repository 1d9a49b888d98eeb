"""The sampler gives the same text for the same seed, ends where it is told to, and refuses what it cannot do."""

import math
from pathlib import Path

import pytest
import torch
from generate_parts import CPU, byte_encoding

from groundup.errors import GroundupError
from groundup.generate import room
from groundup.generate.decoder import Decoder
from groundup.generate.engine import Prompt, write
from groundup.generate.sampler import Writer, complete, complete_all, in_order
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.tokens.encoding import Encoding

OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Encoding:
    return byte_encoding(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig("modern", 258, 2, 32, 2, 2, 64, 24))


def test_equal_seeds_give_equal_texts_and_other_seeds_others(model: Transformer, encoding: Encoding) -> None:
    options = Sample(prompts=["ab", "ab"], max_tokens=30, seed=5)
    first, again = (complete(model, encoding, "ab", options, CPU) for _ in range(2))
    assert first == again and first.startswith("ab")
    rows = complete_all(model, encoding, options, CPU)
    assert [row["seed"] for row in rows] == [5, 6]
    assert rows[0]["text"] == first != rows[1]["text"]


def test_several_texts_for_a_prompt_are_those_of_the_seeds_that_follow(model: Transformer, encoding: Encoding) -> None:
    rows = complete_all(model, encoding, Sample(prompts=["a", "bc"], samples=3, max_tokens=9, seed=2, **OPEN), CPU)
    assert [(row["prompt"], row["seed"]) for row in rows] == [
        (p, 2 + n) for n, p in enumerate(["a", "a", "a", "bc", "bc", "bc"])
    ]
    for row in rows:
        alone = Sample(max_tokens=9, seed=row["seed"], **OPEN)
        assert row["text"] == complete(model, encoding, row["prompt"], alone, CPU)


def test_a_longer_text_begins_with_the_shorter_one(model: Transformer, encoding: Encoding) -> None:
    longer = []
    for seed in range(5):
        short, long = (complete(model, encoding, "a", Sample(max_tokens=n, seed=seed, **OPEN), CPU) for n in (20, 40))
        assert long.startswith(short.rstrip("\ufffd"))
        longer.append(len(long) > len(short))
    assert any(longer)


def test_a_text_that_is_continued_is_the_one_that_would_have_been_written_at_once(
    model: Transformer, encoding: Encoding
) -> None:
    greedy, writer = {"temperature": 0.0, "prompts": ["ab"]}, Writer(model, encoding, CPU)
    whole, parts = writer.begin(Sample(**greedy)), writer.begin(Sample(**greedy))
    list(writer.write(whole, Sample(**greedy, max_tokens=90)))
    for _ in range(3):
        list(writer.write(parts, Sample(**greedy, max_tokens=30)))
    assert parts[0].tokens == whole[0].tokens and len(whole[0].tokens) == 90 and whole[0].moved


def test_temperature_zero_takes_the_likeliest_token(model: Transformer, encoding: Encoding) -> None:
    text = complete(model, encoding, "a", Sample(temperature=0, max_tokens=1), CPU)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([[encoding.end, *encoding.encode("a")]]))[0, -1]
    assert text == encoding.decode([*encoding.encode("a"), int(logits.argmax())])


def test_writing_does_not_change_the_mode_of_a_model_in_training(model: Transformer, encoding: Encoding) -> None:
    dropping = Transformer(ModelConfig("modern", 258, 2, 32, 2, 2, 64, 24, dropout=0.5))
    trained = complete(dropping.train(), encoding, "a", Sample(max_tokens=9, seed=1), CPU)
    assert dropping.training
    assert trained == complete(dropping.eval(), encoding, "a", Sample(max_tokens=9, seed=1), CPU)


def test_the_text_ends_where_the_model_ends_it(model: Transformer, encoding: Encoding) -> None:
    writer, options = Writer(model, encoding, CPU), Sample(prompts=[""], samples=40, seed=3, max_tokens=60, **OPEN)
    texts = writer.begin(options)
    list(writer.write(texts, options))
    assert {text.ended for text in texts} == {"end", "length"}
    for text in texts:
        assert encoding.end not in text.tokens and (text.ended == "end") == (len(text.tokens) < 60)
        assert text.text == encoding.decode(text.tokens)


def test_the_text_ends_before_a_stop_string(model: Transformer, encoding: Encoding) -> None:
    free = complete(model, encoding, "a", Sample(max_tokens=40, seed=1, **OPEN), CPU)
    stop = free[9:12]
    writer, options = (
        Writer(model, encoding, CPU),
        Sample(prompts=["a"], max_tokens=40, seed=1, stop=["a", stop], **OPEN),
    )
    texts = writer.begin(options)
    pieces = [piece for _, piece in writer.write(texts, options)]
    assert "a" not in free[1:12] and texts[0].text == free[: free.index(stop)] and texts[0].ended == "stop"
    assert "a" + "".join(piece.text for piece in pieces) == texts[0].text


def test_texts_that_are_written_together_are_shown_one_after_the_other(model: Transformer, encoding: Encoding) -> None:
    writer, options = Writer(model, encoding, CPU), Sample(samples=8, max_tokens=20, seed=1, batch=3, **OPEN)
    texts = writer.begin(options)
    shown = list(in_order(texts, writer.write(texts, options)))
    assert [text for text, new in shown if not new] == texts
    seen: list[str] = []
    for text, new in shown:
        seen.append(new)
        if not new:
            assert "".join(seen) == text.continuation
            seen = []
    first = [new for text, new in shown if text is texts[0] and new]
    assert len(first) > 5, "the first text is shown as it grows"


def test_probabilities_are_those_of_the_model_before_any_setting(model: Transformer, encoding: Encoding) -> None:
    writer = Writer(model, encoding, CPU)
    options = Sample(prompts=["ab"], temperature=0.3, top_k=3, repetition_penalty=1.5, max_tokens=5, seed=1)
    texts = writer.begin(options)
    list(writer.write(texts, options, top=4))
    ids = list(texts[0].start)
    assert len(texts[0].logprobs) == 5
    for one in texts[0].logprobs:
        with torch.no_grad():
            logp = model.eval()(torch.tensor([ids]))[0, -1].log_softmax(-1)
        assert one["logprob"] == pytest.approx(float(logp[one["id"]]), abs=1e-4)
        assert [other["id"] for other in one["top"]] == logp.topk(4).indices.tolist()
        assert [other["logprob"] for other in one["top"]] == pytest.approx(logp.topk(4).values.tolist(), abs=1e-4)
        ids.append(one["id"])
    assert ids[-5:] == texts[0].tokens


def test_an_empty_prompt_begins_a_text(model: Transformer, encoding: Encoding) -> None:
    writer = Writer(model, encoding, CPU)
    assert writer.begin(Sample(prompts=[""]))[0].start == [encoding.end]
    assert len(complete(model, encoding, "", Sample(max_tokens=60, temperature=2.0, top_k=0, top_p=1.0), CPU)) > 0


def test_a_prompt_longer_than_the_context_is_refused(model: Transformer, encoding: Encoding) -> None:
    complete(model, encoding, "x" * 23, Sample(max_tokens=1), CPU)
    with pytest.raises(GroundupError) as refusal:
        complete(model, encoding, "x" * 24, Sample(max_tokens=1), CPU)
    assert refusal.value.code == "bad-prompt" and "24" in refusal.value.what and "23" in refusal.value.what


@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_output_that_is_no_distribution_is_refused(
    encoding: Encoding, value: float, where: int, temperature: float
) -> None:
    broken = Transformer(ModelConfig("classic", 258, 1, 16, 2, 2, 64, 24, tied=False))
    with torch.no_grad():
        broken.head.weight[where] = value  # type: ignore[index, operator]
    with pytest.raises(GroundupError) as refusal:
        complete_all(broken, encoding, Sample(temperature=temperature, batch=1), CPU)
    assert refusal.value.code == "not-finite"


def test_what_would_not_fit_into_memory_is_refused_with_numbers_before_it_is_begun(
    model: Transformer, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free", lambda device: 10**9)
    complete_all(model, encoding, Sample(max_tokens=3, samples=50), CPU)
    for large in (
        {"samples": 10**15},
        {"samples": 10_000, "max_tokens": 10**6},
        {"samples": 10**6, "batch": 10**6, "max_tokens": 5},
    ):
        with pytest.raises(GroundupError) as refusal:
            complete_all(model, encoding, Sample(prompts=["a"], **large), CPU)
        assert refusal.value.code == "sample-too-large" and "0.9 GiB are free" in refusal.value.what


def test_the_memory_that_is_free_is_what_the_system_and_its_limit_leave(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable:   500 kB\n")
    for name, content in {
        "memory.max": "300",
        "memory.current": "200",
        "memory.stat": "anon 1\ninactive_file 50",
    }.items():
        (tmp_path / name).write_text(content)
    assert room._available(tmp_path / "meminfo") == 500 * 1024
    assert room._left_of_limit(tmp_path) == 150
    (tmp_path / "memory.max").write_text("max")
    assert room._left_of_limit(tmp_path) is None and room._available(tmp_path / "nowhere") is None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_gives_no_numbers_is_named_whatever_the_settings(temperature: float) -> None:
    model = Transformer(ModelConfig("modern", 97, 1, 16, 2, 2, 32, 24)).eval()
    with torch.no_grad():
        model.norm.weight.fill_(math.nan)  # type: ignore[union-attr]
    options = Sample(temperature=temperature, repetition_penalty=1.2, max_tokens=4)
    with pytest.raises(GroundupError) as refused:
        list(write(model, [Prompt([0, 1], 0)], options, [b"a"] * 97, 0, CPU))
    assert refused.value.code == "not-finite"


def test_rows_that_have_ended_are_let_go_of_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Transformer(ModelConfig("modern", 97, 1, 16, 2, 2, 32, 24)).eval()
    rows = []
    step = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, tokens: (rows.append(len(tokens)), step(self, tokens))[1])
    prompts = [Prompt([0, number], number) for number in range(1, 9)]
    list(write(model, prompts, Sample(temperature=2.0, top_k=0, max_tokens=200), [b"a"] * 97, 5, CPU, captured=True))
    assert rows[0] == 8 and rows[-1] < 8
