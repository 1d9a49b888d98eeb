"""The n-gram baseline is the published one: probabilities that sum to one, discounts as in the paper, exact counts."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.evaluate.ngram import DISCOUNTS, Ngram, _discounts, fit, log_probabilities, score
from groundup.tokens.encoding import Encoding

START, VOCABULARY = 0, 7
documents = st.lists(st.lists(st.integers(1, VOCABULARY - 1), max_size=8), min_size=1, max_size=12).filter(any)


def arrays(texts: list[list[int]]) -> list[np.ndarray]:
    return [np.array(text, np.int64) for text in texts]


class Naive:
    """The model in dictionaries, word for word as the paper has it, with the fallback discounts."""

    def __init__(self, texts: list[list[int]], order: int) -> None:
        grams: dict[int, Counter[tuple[int, ...]]] = {n: Counter() for n in range(1, order + 1)}
        for text in filter(None, texts):
            padded = [START, *text, START]
            for n in grams:
                if n == 1:
                    grams[1].update((word,) for word in padded[1:])
                else:
                    grams[n].update(tuple(padded[at : at + n]) for at in range(len(padded) - n + 1))
        self.counts = {order: grams[order]}
        for n in range(order - 1, 0, -1):
            before: dict[tuple[int, ...], set[int]] = defaultdict(set)
            for gram in grams[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = Counter({g: grams[n][g] if n > 1 and g[0] == START else len(before[g]) for g in grams[n]})

    def probability(self, context: tuple[int, ...], word: int) -> float:
        counts = self.counts[len(context) + 1]
        shorter = self.probability(context[1:], word) if context else 1 / VOCABULARY
        seen = {gram: count for gram, count in counts.items() if gram[:-1] == context and count}
        if not seen:
            return shorter
        total = sum(seen.values())
        taken = {gram: min(DISCOUNTS[min(count, 3) - 1], count) for gram, count in seen.items()}
        own = seen.get((*context, word), 0) - taken.get((*context, word), 0)
        return own / total + sum(taken.values()) / total * shorter


def distribution(model: Ngram, before: list[int]) -> np.ndarray:
    """Probabilities of every id after some others."""
    return np.array([math.exp(log_probabilities(model, np.array([*before, word]))[-1]) for word in range(VOCABULARY)])


@given(documents, st.lists(st.integers(1, VOCABULARY - 1), max_size=4), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_probabilities_of_all_that_may_follow_sum_to_one(texts: list[list[int]], before: list[int], order: int) -> None:
    assert distribution(fit(arrays(texts), VOCABULARY, START, order), before).sum() == pytest.approx(1.0)


@given(documents, st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=6), st.integers(2, 3))
@settings(max_examples=60, deadline=None)
def test_probabilities_are_those_of_the_formula_written_out(
    texts: list[list[int]], text: list[int], order: int
) -> None:
    # Texts as small as these have no counts of 4 in each order, so the discounts are the fallback's mostly; where not,
    # the next test is the one that holds.
    model, plain = fit(arrays(texts), VOCABULARY, START, order), Naive(texts, order)
    if any((_discounts(np.array(list(counts.values()))) != DISCOUNTS).any() for counts in plain.counts.values()):
        return
    found = np.exp(log_probabilities(model, np.array(text)))
    padded = [START, *text]
    for at, word in enumerate(text, 1):
        context = tuple(padded[max(0, at - order + 1) : at])
        assert found[at - 1] == pytest.approx(plain.probability(context, word)), (context, word)


def test_discounts_are_estimated_from_counts_of_counts() -> None:
    counts = np.array([1] * 60 + [2] * 20 + [3] * 10 + [4] * 5 + [9] * 5)
    share = 60 / (60 + 2 * 20)
    expected = [1 - 2 * share * 20 / 60, 2 - 3 * share * 10 / 20, 3 - 4 * share * 5 / 10]
    assert _discounts(counts) == pytest.approx(expected)
    assert _discounts(np.array([1, 1, 2])) == pytest.approx(DISCOUNTS)


def test_what_came_before_a_document_does_not_count() -> None:
    ahead, behind = (fit(arrays(texts), VOCABULARY, START) for texts in ([[1, 2], [3, 4]], [[3, 4], [1, 2]]))
    for before in ([], [1], [1, 2], [3, 4]):
        assert distribution(ahead, before) == pytest.approx(distribution(behind, before), abs=0)
    assert distribution(ahead, [1, 2]).argmax() == START


def test_more_context_fits_a_text_better() -> None:
    cycle = arrays([[1, 2, 1, 3] * 20] * 3)
    bits = [-log_probabilities(fit(cycle, VOCABULARY, START, order), cycle[0]).mean() for order in (1, 2, 3)]
    assert bits[0] > bits[1] > bits[2]


def test_keys_that_would_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        fit(arrays([[1]]), 2**22, START, 3)
    with pytest.raises(ValueError, match="no text"):
        fit(arrays([[]]), VOCABULARY, START)


def test_bits_per_byte_count_text_alone_and_unknown_characters_as_for_a_trained_model() -> None:
    lengths = np.array([0, 1, 2, 3, 0, 5, 0])
    model = fit(arrays([[1, 2, 3, 4, 5]] * 3), VOCABULARY, START)
    encoding = Encoding(None, START, lengths, unknown=4)  # type: ignore[arg-type]
    found = score(model, arrays([[1, 2, 6, 4], [5]]), 11, encoding, "a")  # three bytes of which only the text knows
    nats = -log_probabilities(model, np.array([1, 2, 6, 4]))[[0, 1, 3]].sum() + math.log(1_112_064)
    nats -= log_probabilities(model, np.array([5]))[0]
    assert (found.tokens, found.bytes) == (4, 11)
    assert found.nats == pytest.approx(nats)
