"""Copied spans are found exactly, each with the training document that it stands in."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.evaluate import novelty, suffixes
from groundup.evaluate.novelty import Span, covered, longest, spans
from groundup.evaluate.suffixes import longest_matches, sort_suffixes
from groundup.tokens.pack import DOCUMENT

VOCABULARY = 4
tokens = st.lists(st.integers(0, VOCABULARY - 1), max_size=20).map(lambda ids: np.array(ids, np.uint16))


def lengths_by_hand(text: np.ndarray, parts: list[np.ndarray]) -> list[int]:
    """Of each token the longest run from it on, by looking at every place of every part."""
    found = []
    for begin in range(len(text)):
        best = 0
        for part in parts:
            for place in range(len(part)):
                length = 0
                while (
                    begin + length < len(text)
                    and place + length < len(part)
                    and text[begin + length] == part[place + length]
                ):
                    length += 1
                best = max(best, length)
        found.append(best)
    return found


@given(st.lists(tokens, min_size=1, max_size=4), st.lists(tokens, max_size=3), st.integers(1, 9), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_longest_run_of_every_token_is_found_wherever_blocks_begin(
    texts: list[np.ndarray], parts: list[np.ndarray], block: int, table: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suffixes, "MANY", 0 if table else 1 << 16)  # by the table, and by searching
        found = longest_matches(sort_suffixes(texts, VOCABULARY), parts, block)
    whole = np.concatenate([np.empty(0, np.uint16), *parts])
    for text, lengths, places in zip(texts, found.lengths, found.places, strict=True):
        assert lengths.tolist() == lengths_by_hand(text, parts)
        for begin, (length, place) in enumerate(zip(lengths, places, strict=True)):
            assert (place == -1) == (length == 0)
            assert length == 0 or whole[place : place + length].tolist() == text[begin : begin + length].tolist()


@given(st.lists(tokens, min_size=1, max_size=4))
def test_suffixes_are_in_order_and_share_what_they_say(texts: list[np.ndarray]) -> None:
    found = sort_suffixes(texts, VOCABULARY)
    own = [found.tokens[begin:].tolist() for begin in found.order]
    cut = [suffix[: suffix.index(VOCABULARY)] for suffix in own]
    for one, other, shared in zip(cut, cut[1:], found.shared[1:], strict=False):
        assert [*one, VOCABULARY] <= [*other, VOCABULARY]
        assert one[:shared] == other[:shared]
        assert one[shared : shared + 1] != other[shared : shared + 1] or len(one) == len(other) == shared


def training(documents: list[list[int]], end: int = 9) -> novelty.Training:
    """Two sources: the first has all documents but the last, in two shards."""
    shards, records = [], []
    for group in (documents[:1], documents[1:-1], documents[-1:]):
        rows, flat = np.empty(len(group), DOCUMENT), list[int]()
        for number, document in enumerate(group):
            rows[number] = len(flat), 1, documents.index(document) + 1
            flat += [*document, end]
        shards.append(np.array(flat, np.uint16))
        records.append(rows)
    return novelty.Training(["a", "a", "b"], shards, records)


def test_a_copied_span_is_traced_to_its_document_and_ends_with_it() -> None:
    train = training([[1, 2, 3], [4, 5, 6, 7], [7, 4, 5], [8, 8, 1]])
    matches = novelty.find_copies([np.array([3, 4, 5, 6, 7, 7, 4, 2]), np.array([8, 1])], train, 10)
    assert [one.tolist() for one in matches.lengths] == [[1, 4, 3, 2, 1, 2, 1, 1], [2, 1]]  # never 3 4, across the end
    span = longest(matches.lengths[0], matches.places[0])
    assert (span.start, span.length) == (1, 4)
    origin = train.origin(span.place, span.length, 2)
    assert (origin.source, origin.document, origin.token) == ("a", f"{2:016x}", 0)
    assert origin.before.tolist() == [] and origin.behind.tolist() == []
    origin = train.origin(int(matches.places[1][0]), 2, 5)
    assert (origin.source, origin.document, origin.token) == ("b", f"{4:016x}", 1)
    assert origin.before.tolist() == [8]


def test_new_is_the_share_of_the_ngrams_that_training_lacks() -> None:
    train = training([[1, 2, 3], [4, 5, 6, 7], [7, 4, 5], [8, 8, 1]])
    matches = novelty.find_copies([np.array([1, 2, 3, 4, 5]), np.array([0]), np.array([], int)], train, 10)
    clusters = [0, 1, 2]
    assert novelty.new(matches, 1, clusters).value == pytest.approx(1 / 6)
    assert novelty.new(matches, 2, clusters).value == pytest.approx(1 / 4)
    assert novelty.new(matches, 3, clusters).value == pytest.approx(2 / 3)
    assert novelty.new(matches, 6, clusters).value is None
    assert novelty.longest_copies(matches, clusters).value == pytest.approx((3 + 0) / 2)


def test_spans_are_the_longest_ones_and_may_overlap() -> None:
    lengths, places = np.array([2, 4, 3, 2, 3, 2, 1, 0]), np.arange(8)
    assert spans(lengths, places, 3) == [Span(1, 4, 1), Span(4, 3, 4)]
    assert covered(lengths, places, 3) == 6
    assert spans(lengths, places, 5) == [] and covered(np.array([], int), np.array([], int), 1) == 0
    assert longest(np.array([], int), np.array([], int)) == Span(0, 0, -1)


def test_texts_of_real_stories_copy_what_was_planted(tmp_path: Path) -> None:
    data = Path(__file__).parents[2] / "shared" / "data" / "tinystories" / "train.txt"
    if not data.exists():
        pytest.skip("the stories are not there")
    bytes_ = np.frombuffer(data.read_bytes()[:2_000_000], np.uint8)
    text = np.concatenate([np.array([1, 2, 1], np.uint8), bytes_[1_234_567 : 1_234_567 + 300], bytes_[:50]])
    found = longest_matches(sort_suffixes([text], 256), [bytes_[:1_000_000], bytes_[1_000_000:]])
    span = longest(found.lengths[0], found.places[0])
    whole = bytes_.tobytes()
    assert span.length >= 300
    assert whole.find(text[span.start : span.start + span.length].tobytes()) >= 0
    assert whole.find(text[span.start : span.start + span.length + 1].tobytes()) == -1
