"""Each setting admits what transformers' processor of that name admits, and what is admitted is drawn by its share."""

import pytest
import torch
from generate_parts import repeated
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from groundup.generate.draw import NOT_FINITE, Repeats, candidates, draw, draws, penalise
from groundup.recipe.schema import Sample

OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
seeds = st.integers(0, 10_000)


def random_logits(seed: int, rows: int = 3, vocabulary: int = 50) -> Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * 3


def admitted(logits: Tensor, options: Sample) -> Tensor:
    """What is admitted, in the vocabulary's order (B, V)."""
    mine = candidates(logits, options)
    if mine.tokens is None:
        return mine.logits
    return torch.full_like(logits, -torch.inf).scatter(-1, mine.tokens, mine.logits)


@given(seeds, st.floats(0.1, 3), st.integers(0, 60), st.floats(0.05, 0.999) | st.just(1.0), st.floats(0, 0.99))
@settings(max_examples=200, deadline=None)
def test_settings_admit_the_tokens_that_transformers_admits(
    seed: int, temperature: float, k: int, p: float, least: float
) -> None:
    reference = pytest.importorskip("transformers.generation.logits_process")
    logits = random_logits(seed)
    expected = reference.TemperatureLogitsWarper(temperature)(None, logits)
    if k > 0:
        expected = reference.TopKLogitsWarper(k)(None, expected)
    if p < 1:
        expected = reference.TopPLogitsWarper(p)(None, expected)
    if least > 0:
        expected = reference.MinPLogitsWarper(least)(None, expected)
    mine = admitted(logits, Sample(temperature=temperature, top_k=k, top_p=p, min_p=least))
    assert torch.equal(mine.isfinite(), expected.isfinite())
    torch.testing.assert_close(mine.softmax(-1), expected.softmax(-1), rtol=1e-5, atol=1e-7)


@given(seeds, st.floats(0.1, 3), st.lists(st.integers(0, 9), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_the_repetition_penalty_is_that_of_transformers(seed: int, penalty: float, text: list[int]) -> None:
    reference = pytest.importorskip("transformers.generation.logits_process")
    logits, seen = random_logits(seed, 1, 10), torch.zeros(1, 10, dtype=torch.bool)
    seen[0, text] = True
    expected = reference.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([text]), logits)
    torch.testing.assert_close(penalise(logits, seen, penalty), expected, rtol=0, atol=0)


@given(st.integers(1, 5), st.lists(st.integers(0, 3), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_tokens_that_would_repeat_a_sequence_are_those_of_transformers(n: int, text: list[int]) -> None:
    reference = pytest.importorskip("transformers.generation.logits_process")
    banned = reference.NoRepeatNGramLogitsProcessor(n)(torch.tensor([text]), torch.zeros(1, 4))[0]
    grown = Repeats(n, text[:1])
    for token in text[1:]:
        grown.add(token)
    assert Repeats(n, text).banned() == grown.banned() == set(banned.isinf().nonzero().flatten().tolist())
    assert grown.banned() == set(repeated(text, n)), "the plain form that other tests compare with"


@pytest.mark.parametrize("settings", [OPEN, {**OPEN, "top_k": 6}, {**OPEN, "top_p": 0.9}, {**OPEN, "min_p": 0.05}])
def test_tokens_are_drawn_as_often_as_their_probability_says(settings: dict[str, float]) -> None:
    options, count = Sample(**settings), 20_000
    logits = random_logits(1, 1, 12) / 2
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = draw(logits.expand(count, -1), options, even).bincount(minlength=12) / count
    torch.testing.assert_close(drawn, admitted(logits, options)[0].softmax(-1), rtol=0, atol=2 / count)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("settings", [OPEN, {**OPEN, "top_k": 3}, {**OPEN, "top_p": 0.5}, {**OPEN, "min_p": 0.4}])
def test_the_ends_of_the_range_draw_only_what_is_admitted(settings: dict[str, float], uniform: float) -> None:
    logits = random_logits(2, 40)
    logits[:, -5:] = -torch.inf
    tokens = draw(logits, Sample(**settings), torch.full((40,), uniform, dtype=torch.float64))
    assert admitted(logits, Sample(**settings)).gather(-1, tokens[:, None]).isfinite().all()


@pytest.mark.parametrize("settings", [OPEN, {**OPEN, "temperature": 0}, {**OPEN, "top_k": 3}, {**OPEN, "top_p": 0.5}])
def test_rows_without_a_distribution_draw_nothing_and_leave_the_others_alone(settings: dict[str, float]) -> None:
    logits = random_logits(3, 5)
    logits[1, 7], logits[2], logits[3, 0] = torch.nan, -torch.inf, torch.inf
    uniform = torch.full((5,), 0.5, dtype=torch.float64)
    tokens = draw(logits, Sample(**settings), uniform)
    assert tokens[1:4].tolist() == [NOT_FINITE] * 3
    assert tokens[[0, 4]].tolist() == draw(logits[[0, 4]], Sample(**settings), uniform[:2]).tolist()


def test_a_seed_gives_numbers_of_its_own_that_cover_the_range() -> None:
    one, again, other = (draws(seed) for seed in (1, 1, 2))
    first = [next(one) for _ in range(2000)]
    assert first == [next(again) for _ in range(2000)]
    assert not set(first) & {next(other) for _ in range(2000)}
    assert 0 <= min(first) < 0.01 and 0.99 < max(first) < 1


@pytest.mark.parametrize("setting", [{"temperature": 1e-40}, {"top_p": 1e-300, "top_k": 0}, {"top_p": 1e-300}])
def test_the_smallest_settings_leave_the_likeliest_token(setting: dict[str, float]) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [-50.0, -60.0, -50.5]])
    drawn = draw(logits, Sample(**setting), torch.tensor([0.999, 0.5]).double())
    assert drawn.tolist() == [1, 0]
