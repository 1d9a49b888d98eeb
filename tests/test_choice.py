"""Choices: each option has the log-probability that it would have by itself, and ties and chance are what they say."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import KINDS, MODERN, configs, scrambled

from groundup.errors import GroundupError
from groundup.evaluate.choice import Answer, Item, baselines, cloze, credit, encode, summarise
from groundup.evaluate.likelihood import Option, likelihoods
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.train.precision import choose

CPU = choose("cpu", "fp32")


def alone(model: Transformer, option: Option) -> tuple[float, bool]:
    """An option by itself, by the plain forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([option.ids[:-1]]))[0].double().log_softmax(-1)
    scored = [(logits[place - 1], option.ids[place]) for place in range(option.first, len(option.ids))]
    return -sum(float(row[id]) for row, id in scored), all(int(row.argmax()) == id for row, id in scored)


@st.composite
def items(draw: st.DrawFn) -> list[list[Option]]:
    random, found = Random(draw(st.integers(0, 2**32))), []
    for _ in range(draw(st.integers(1, 6))):
        shared = [0, *(random.randrange(4) for _ in range(random.randrange(4)))]
        options = []
        for _ in range(random.randrange(1, 5)):
            ids = shared + [random.randrange(4) for _ in range(random.randrange(1, 4))]
            options.append(Option(ids, random.randrange(1, len(ids))))
        found.append(options)
    return found


@given(configs(), items())
@settings(max_examples=60, deadline=None)
def test_an_option_has_the_number_that_it_has_by_itself_whatever_it_shares_a_row_with(
    config: ModelConfig, drawn: list[list[Option]]
) -> None:
    model = scrambled(config)
    done = dict(likelihoods(model, drawn, CPU))
    assert sorted(done) == list(range(len(drawn)))
    for number, options in enumerate(drawn):
        for option, found in zip(options, done[number], strict=True):
            nats, greedy = alone(model, option)
            assert found.nats == pytest.approx(nats, rel=1e-4, abs=1e-4)
            assert found.greedy == greedy


def test_options_with_equal_tokens_have_equal_bits() -> None:
    same = Option([0, 5, 6, 7], 1)
    (_, found), *_ = likelihoods(scrambled(MODERN), [[same, Option([0, 5, 9, 9, 9], 1), same]], CPU)
    assert found[0].nats == found[2].nats != found[1].nats


def test_a_model_that_gives_no_numbers_has_no_accuracy() -> None:
    model = scrambled(KINDS["llama"])
    with torch.no_grad():
        model.norm.weight.fill_(math.inf)
    with pytest.raises(GroundupError) as refused:
        list(likelihoods(model, [[Option([0, 1], 1), Option([0, 2], 1)]], CPU))
    assert refused.value.code == "not-finite"


def pairs(number: int, options: int = 2) -> list[Item]:
    texts = [("", f" option {letter * (number % 3 + 1)}") for letter in "abcd"[:options]]
    return [Item(str(n), tuple(texts), n % options, {"field": f"f{n % 3}"}) for n in range(number)]


@pytest.mark.parametrize("number", [1, 2, 7, 1000])
def test_a_constant_scorer_gets_exactly_half_on_pairs_and_a_quarter_on_four_options(number: int) -> None:
    assert baselines(pairs(number))["constant"] == 0.5
    assert baselines(pairs(number, 4))["constant"] == 0.25


def test_the_random_baseline_is_near_chance_and_the_same_each_time() -> None:
    found = baselines(pairs(10_000))
    assert found == baselines(pairs(10_000)) and abs(found["random"] - 0.5) < 4 * 0.5 / 100


@pytest.mark.parametrize(
    ("scores", "worth"), [([2, 1], 1), ([1, 2], 0), ([1, 1], 0.5), ([1, 1, 1], 1 / 3), ([1, 1, 0], 0.5), ([1, 2, 2], 0)]
)
def test_a_tie_is_worth_its_share(scores: list[float], worth: float) -> None:
    assert credit(Item("a", tuple(("", str(n)) for n in scores), 0), scores) == worth


def test_length_normalisation_divides_by_tokens_or_bytes() -> None:
    answer = Answer([6.0, 8.0], [2, 4], [10, 10], [False, False])
    assert answer.scores("none") == [-6, -8]
    assert answer.scores("token") == [-3, -2]
    assert answer.scores("byte") == [-0.6, -0.8]


def test_parts_have_their_own_accuracy_error_and_chance() -> None:
    credits = np.array([1, 0, 0.5, 1, 1, 0.0])
    whole, *parts = summarise(pairs(6), credits)
    assert whole["n"] == 6 and whole["accuracy"] == pytest.approx(3.5 / 6) and whole["ties"] == 1
    assert whole["se"] == pytest.approx(credits.std(ddof=1) / math.sqrt(6)) and whole["chance"] == 0.5
    assert [(part["level"], part["name"], part["n"]) for part in parts] == [("field", f"f{n}", 2) for n in range(3)]
    assert parts[0]["accuracy"] == 1.0
    assert summarise(pairs(1), np.array([1.0]))[0]["se"] is None  # no spread to be seen in one item


def test_a_cloze_counts_whole_continuations() -> None:
    answers = [Answer([2.0], [1], [3], [True]), Answer([4.0], [2], [3], [False])]
    (row,) = cloze([Item("a", (("x", " y"),), 0)] * 2, answers)
    assert row["accuracy"] == 0.5 and row["perplexity"] == pytest.approx(math.exp(3.0)) and row["chance"] == 0


class Letters:
    """An encoding of a token for each character."""

    end, unknown = 0, None

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def test_the_option_is_scored_and_not_its_context() -> None:
    options, cut = encode(Item("a", (("ab ", "cd"), ("", " ef")), 0), Letters(), 20)  # type: ignore[arg-type]
    assert cut == 0
    assert [(option.ids, option.first) for option in options] == [
        ([0, *map(ord, "ab cd")], 3),  # the space at the end of the context is the option's
        ([0, *map(ord, " ef")], 1),
    ]


def test_a_context_that_is_too_long_loses_its_beginning_and_an_option_that_is_too_long_is_refused() -> None:
    item = Item("a", (("abcdefgh", " ij"), ("abcdefgh", " k")), 0)
    options, cut = encode(item, Letters(), 6)  # type: ignore[arg-type]
    model = scrambled(ModelConfig(**MODERN.to_json() | {"vocab_size": 128, "context": 6}))
    for row in ([options[0]], options):  # it fills the context, alone and beside another
        (_, found), *_ = likelihoods(model, [row], CPU)
        assert found[0].nats == pytest.approx(alone(model, options[0])[0], rel=1e-4)
    assert cut == 5 and options[0].ids == [0, *map(ord, "fgh ij")] and options[0].first == 4
    with pytest.raises(GroundupError, match="item a: an option has 8 tokens") as refused:
        encode(Item("a", (("ab", " cdefghi"), ("ab", " k")), 0), Letters(), 6)  # type: ignore[arg-type]
    assert refused.value.code == "bad-task"


def test_twins_are_one_unit_of_the_error() -> None:
    items = [Item(str(n), (("", f"a{n // 2}"), ("", f"b{n // 2}")), n % 2, unit=f"pair {n // 2}") for n in range(8)]
    (whole,) = summarise(items, np.array([1.0, 0.0] * 3 + [1.0, 1.0]))  # of three pairs exactly one, whatever is right
    assert whole["accuracy"] == 0.625 and whole["se"] == pytest.approx(np.std([0.5, 0.5, 0.5, 1.0], ddof=1) / 2)
    (alone,) = summarise([replace(item, unit="") for item in items], np.array([1.0, 0.0] * 3 + [1.0, 1.0]))
    assert alone["se"] > whole["se"]


def test_rows_of_one_level_stand_together() -> None:
    items = [Item(str(n), (("", "a"), ("", "b")), 0, {"kind": str(n), "reach": "far"}) for n in range(3)]
    assert [row["level"] for row in summarise(items, np.ones(3))] == ["all", "kind", "kind", "kind", "reach"]
