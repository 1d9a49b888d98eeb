"""Statistics of texts are those of their papers, on small examples by hand, against references, and for any text."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.evaluate.diversity import blocks, compression, distinct, self_bleu
from groundup.evaluate.estimate import Estimate, compare, mean, quantile, ratio
from groundup.evaluate.known_words import unknown_words
from groundup.evaluate.repetition import COPIES, SHORTEST, Loop, find_loop, repeated
from groundup.evaluate.words import sentence_lengths, spelled, words

some_words = st.lists(st.sampled_from("abcd"), max_size=24)
texts = st.lists(st.text("abc .é\n'", max_size=60), max_size=8)


def test_words_are_runs_of_letters_with_their_apostrophes_and_every_mark() -> None:
    assert words("Don't stop, Émile's 3 cats!") == ["don't", "stop", ",", "émile's", "3", "cats", "!"]
    assert spelled("ere was a cat, and the do") == ["was", "a", "cat", "and", "the"]  # the ends may be cut
    assert words("") == spelled("one") == []


def test_sentences_are_counted_when_they_end() -> None:
    assert sentence_lengths('He ran. "Did she run?" No... 3.5 cats did! And then she') == [2, 3, 1, 4]
    assert sentence_lengths("no end") == sentence_lengths("...") == []


def test_repeated_is_one_less_distinct_by_all_ngrams() -> None:
    text = ["the", "cat", "sat", "on", "the", "cat", "sat"]  # 2-grams: the-cat cat-sat sat-on on-the the-cat cat-sat
    assert repeated(text, 1) == pytest.approx(1 - 4 / 7)
    assert repeated(text, 2) == pytest.approx(1 - 4 / 6)
    assert repeated(text, 3) == pytest.approx(1 - 4 / 5)
    assert repeated(text, 4) == 0
    assert repeated(["a"], 2) is None and repeated([], 1) is None


@given(some_words, st.integers(1, 4))
def test_a_text_said_twice_repeats_half_or_more(text: list[str], n: int) -> None:
    once, twice = repeated(text, n), repeated([*text, *text], n)
    assert once is None or 0 <= once < 1
    if once is not None and twice is not None:
        assert twice >= once and twice >= 0.5 - n / (2 * len(text))


def loop_by_hand(text: list[str]) -> Loop | None:
    """Every onset and period, from the definition."""
    for onset in range(len(text)):
        for period in range(SHORTEST, (len(text) - onset) // COPIES + 1):
            if all(text[at] == text[at - period] for at in range(onset + period, len(text))):
                return Loop(onset, period)
    return None


@given(st.lists(st.sampled_from("ab"), max_size=20))
def test_a_loop_is_the_first_place_from_which_a_phrase_is_copied_three_times(text: list[str]) -> None:
    assert find_loop(text) == loop_by_hand(text)


@given(some_words, st.lists(st.sampled_from("wxyz"), min_size=2, max_size=5, unique=True), st.integers(0, 4))
def test_a_planted_loop_is_found_where_it_begins(before: list[str], phrase: list[str], cut: int) -> None:
    assert find_loop([*before, *phrase * 3, *phrase[:cut]]) == Loop(len(before), len(phrase))
    assert find_loop([*before, *phrase * 2, "end"]) is None


def test_three_times_the_same_word_is_no_loop_yet_and_six_times_is() -> None:
    assert find_loop(["it", "was", "very", "very", "very"]) is None
    assert find_loop(["it", "was", "very", "very", "very", "very", "very", "very"]) == Loop(2, 2)
    assert find_loop([]) is find_loop(["a"]) is None


@given(st.lists(some_words, max_size=6), st.integers(1, 7))
def test_blocks_hold_the_texts_in_order_and_all_are_of_one_size(texts: list[list[str]], size: int) -> None:
    done = blocks(texts, size)
    assert all(sum(map(len, block)) == size for block in done)
    joined = [word for block in done for text in block for word in text]
    assert joined == [word for text in texts for word in text][: len(joined)]
    assert sum(map(len, texts)) - len(joined) < size


def test_distinct_is_the_share_of_distinct_ngrams_in_each_block() -> None:
    found = distinct([["a", "b", "a", "b"], ["a", "c"], ["d", "e"]], 2, 4)  # ab ba ab | ac, de
    assert found.value == pytest.approx((2 / 3 + 1) / 2) and found.n == 2
    assert distinct([["a"]], 2, 1).value is None
    assert distinct([], 1, 0).value is None


@given(st.lists(some_words.filter(bool), min_size=1, max_size=5), st.integers(1, 6), st.integers(1, 3))
def test_distinct_is_a_share_and_halves_where_every_text_stands_twice(
    texts: list[list[str]], size: int, n: int
) -> None:
    value = distinct(texts, n, size).value
    assert value is None or 0 < value <= 1
    whole = sum(map(len, texts))
    once, twice = distinct(texts, n, whole).value, distinct([*texts, *texts], n, 2 * whole).value
    assert once is None or twice == pytest.approx(once / 2)


def test_self_bleu_is_that_of_nltk() -> None:
    """Values: nltk 3.9 sentence_bleu, each text against the others, SmoothingFunction().method1."""
    group = ["the cat sat on the mat .", "the dog sat on the mat today", "a bird flew over the mat ."]
    expected = [0.5410822690539396, 0.4347208719449914, 0.16348126556655487]
    assert self_bleu([text.split() for text in group], 3).value == pytest.approx(sum(expected) / 3)


@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_self_bleu_agrees_with_the_reference_where_it_is_installed(group: list[list[str]]) -> None:
    reference = pytest.importorskip("nltk.translate.bleu_score")
    smooth = reference.SmoothingFunction().method1
    scores = [
        reference.sentence_bleu([t for j, t in enumerate(group) if j != i], text, smoothing_function=smooth)
        for i, text in enumerate(group)
    ]
    assert self_bleu(group, len(group)).value == pytest.approx(sum(scores) / len(scores), abs=1e-12)


def test_equal_texts_have_a_self_bleu_of_one_and_strangers_of_nothing() -> None:
    text = ["a", "b", "c", "d", "e", "f"]
    assert self_bleu([text, list(text)], 2).value == pytest.approx(1)
    assert self_bleu([text, ["u", "v", "w", "x", "y", "z"]], 2).value == 0
    assert self_bleu([text], 2).value is None and self_bleu([[], []], 2).value is None


def test_compression_is_bytes_by_their_number_after_zlib() -> None:
    text = "the same words and the same words again, é " * 20
    data = text.encode()
    halves = [data[: len(data) // 2], data[len(data) // 2 :]]
    expected = [len(half) / len(zlib.compress(half, 9)) for half in halves]
    found = compression([text], len(data) // 2)
    assert found.value == pytest.approx(sum(expected) / 2) and found.n == 2
    assert compression([""], 0).value is compression([], 10).value is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), max_size=12))
def test_a_ratio_is_that_of_the_sums_with_the_error_between_clusters(rows: list[tuple[int, int, int]]) -> None:
    found = ratio(*zip(*rows, strict=True)) if rows else ratio([], [], [])
    used = [row for row in rows if row[1] > 0]
    if not used:
        assert found == Estimate(None)
        return
    value = sum(a for a, _, _ in used) / sum(b for _, b, _ in used)
    assert found.value == pytest.approx(value)
    clusters = {c for _, _, c in used}
    if len(clusters) == 1:
        assert found.standard_error is None
        return
    residuals = [sum(a - value * b for a, b, c in used if c == one) for one in clusters]
    variance = len(clusters) / (len(clusters) - 1) * sum(r * r for r in residuals) / sum(b for _, b, _ in used) ** 2
    if found.value in (0.0, 1.0) and not any(residuals):
        assert found.standard_error == pytest.approx(min(1.0, 3 / len(clusters)) / 1.96)
    elif any(residuals):
        assert found.standard_error == pytest.approx(math.sqrt(variance), abs=1e-12)


@pytest.mark.parametrize(("share", "texts"), [(0.1, 3), (0.1, 10), (0.05, 30), (0.02, 50), (0.3, 40)])
def test_texts_that_do_not_show_what_is_rare_are_not_clearly_different(share: float, texts: int) -> None:
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        mine, human = (random.random(count) < share for count in (texts, 314))
        found = compare(mean(mine.astype(float), range(texts)), mean(human.astype(float), range(314)))
        wrong += found != 0
    assert wrong <= 0.09 * 300  # 5 %, and the scatter of 300 draws


def test_the_error_of_a_mean_is_the_usual_one_and_copies_of_a_text_do_not_lessen_it() -> None:
    values = [1.0, 4.0, 2.0, 7.0]
    plain = mean(values, range(4))
    assert plain.standard_error == pytest.approx(np.std(values, ddof=1) / 2)
    doubled = mean(values * 2, [0, 1, 2, 3] * 2)
    assert doubled.standard_error == pytest.approx(plain.standard_error)


def test_the_interval_is_students_and_a_difference_within_it_is_none() -> None:
    assert quantile(10**9) == pytest.approx(1.959964, abs=1e-5)
    assert quantile(3) == pytest.approx(3.182446, abs=1e-5)  # two-sided 95 %, any table of t
    one, other = Estimate(0.5, 0.01, 9, 9), Estimate(0.4, 0.01, 9, 9)
    assert (compare(one, other), compare(other, one)) == (1, -1)
    assert compare(one, Estimate(0.49, 0.01, 9, 9)) == 0
    assert compare(one, Estimate(0.4, None, 1, 1)) is compare(one, Estimate(None)) is None
    assert compare(Estimate(0.0, 0.0, 5, 5), Estimate(0.0, 0.0, 5, 5)) == 0


@given(texts, texts)
def test_a_word_is_unknown_when_no_training_text_holds_it(written: list[str], training: list[str]) -> None:
    found = unknown_words(written, iter(training))
    from groundup.data.ngrams import canonical

    known = {word for text in training for word in canonical(text).split()}
    for text, (missing, count) in zip(written, found, strict=True):
        own = canonical(text).split()[1:-1]
        assert count == len(own) and missing == [word for word in own if word not in known]
