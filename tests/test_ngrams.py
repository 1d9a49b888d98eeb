"""Equal runs of words have equal hashes, different ones different hashes, everywhere and however they are computed."""

import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.data import ngrams
from groundup.data.ngrams import batch_ngram_hashes, canonical, fold, hash_words, ngram_hashes

# Few letters, so that words come again, with all that separates words and all that casefolding makes longer.
TEXTS = st.text(st.sampled_from("abA1 _-.,\n\0’—“éßŉΣςǰ中\u0301\u0345\ud800😀"), max_size=60) | st.text(max_size=60)


def words(text: str) -> list[str]:
    """The definition of a word, one character after the other."""
    folded = "".join(one if one.isalnum() else " " for one in text.casefold())
    return folded.split(" ")


def tuples(text: str, n: int) -> list[tuple[str, ...]]:
    found = [word for word in words(text) if word]
    return [tuple(found[i : i + n]) for i in range(len(found) - n + 1)] or [tuple(found)] * bool(found)


@given(TEXTS)
@settings(max_examples=500)
def test_canonical_text_is_casefolded_runs_of_letters_and_digits_joined_by_single_spaces(text: str) -> None:
    assert canonical(text) == " ".join(word for word in words(text) if word)
    assert canonical(canonical(text)) == canonical(text)


def test_marks_case_and_spacing_do_not_change_canonical_text() -> None:
    assert canonical("“Don’t,” said\n\tMARY -- _ever_ 2 STRASSEN") == canonical("don't said Mary: ever! 2 Straßen")
    assert canonical("  ") == canonical("") == canonical("—") == ""


@given(st.lists(TEXTS, max_size=8), st.integers(1, 14))
@settings(max_examples=500)
def test_ngrams_are_equal_exactly_where_their_hashes_are(texts: list[str], n: int) -> None:
    grams = [gram for text in texts for gram in tuples(text, n)]
    hashes = [value for text in texts for value in ngram_hashes(text, n).tolist()]
    assert len(grams) == len(hashes)
    assert len(set(grams)) == len(set(hashes)) == len(set(zip(grams, hashes, strict=True)))


@given(st.text(st.sampled_from("ab "), min_size=200, max_size=400), st.integers(1, 9))
def test_ngrams_of_many_like_words_are_told_apart(text: str, n: int) -> None:
    assert len(set(ngram_hashes(text, n).tolist())) == len(set(tuples(text, n)))


@given(st.lists(TEXTS, max_size=8), st.integers(1, 14))
@settings(max_examples=500)
@example(["", "a b", "", "a b c", "a"], 3)
def test_a_batch_gives_what_each_text_gives_alone(texts: list[str], n: int) -> None:
    hashes, offsets = batch_ngram_hashes(texts, n)
    assert len(offsets) == len(texts) + 1 and offsets[0] == 0 and offsets[-1] == len(hashes)
    for index, text in enumerate(texts):
        alone = ngram_hashes(text, n)
        assert alone.dtype == hashes.dtype == np.uint64
        assert np.array_equal(hashes[offsets[index] : offsets[index + 1]], alone)


@given(st.lists(TEXTS, max_size=8), st.integers(1, 5), st.integers(1, 40))
@settings(max_examples=500)
@example(["a long_word, " * 9, "aaaaaaaaaa" * 9], 2, 3)
def test_hashes_do_not_depend_on_the_size_of_blocks(texts: list[str], n: int, size: int) -> None:
    whole = batch_ngram_hashes(texts, n)
    with mock.patch.object(ngrams, "BLOCK", size), mock.patch.object(ngrams, "PART", 2 * size):
        for one, other in zip(batch_ngram_hashes(texts, n), whole, strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("length", [ngrams.BLOCK - 1, ngrams.BLOCK, ngrams.BLOCK + 1, 3 * ngrams.BLOCK + 7])
def test_a_word_may_be_longer_than_a_block(length: int) -> None:
    one, other = "a" * length, "a" * (length - 1) + "b"
    assert ngram_hashes(one, 1) != ngram_hashes(other, 1)
    for before in ("", "x ", "x" * 100 + " "):
        assert ngram_hashes(before + one + " y", 1)[-2] == ngram_hashes(one, 1)[0]


@given(TEXTS)
def test_words_are_found_where_they_stand(text: str) -> None:
    folded, found = fold(text), hash_words(fold(text))
    spans = zip(found.starts, found.starts + found.lengths, strict=True)
    assert [folded[start:end].decode() for start, end in spans] == [word for word in words(text) if word]


def test_a_text_shorter_than_n_words_has_one_hash_and_one_without_words_none() -> None:
    assert ngram_hashes("One, two", 13) == ngram_hashes("one two", 2)
    assert len(ngram_hashes("...", 13)) == len(ngram_hashes("", 1)) == 0


def test_hashes_are_the_same_in_every_process() -> None:
    code = "from groundup.data.ngrams import ngram_hashes; print(ngram_hashes('Où est le chat ? Là.', 3).tolist())"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.stdout.strip() == str(ngram_hashes("où est le chat, là", 3).tolist())


def test_hashes_stay_what_they_were_in_earlier_versions() -> None:
    """Hashes are kept in artifacts: a change of them needs a new version of the stage."""
    hashes = [f"{value:016x}" for value in ngram_hashes("The cat sat on the mat", 5).tolist()]
    assert hashes == ["cc8bdb5a6b48e02c", "21bb6cd2cf4bfe89"]


def test_low_and_high_bits_of_hashes_are_evenly_spread() -> None:
    hashes = ngram_hashes(" ".join(map(str, range(50_000))), 2)
    for bits in (hashes & np.uint64(255), hashes >> np.uint64(56)):
        counts = np.bincount(bits.astype(np.int64), minlength=256)
        assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 350  # chi squared, 255 degrees: p about 1e-4
