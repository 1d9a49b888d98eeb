"""Items made from held-out text: the same each time, fair to whoever only counts, and never from training text."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.world import tell
from groundup.errors import GroundupError
from groundup.evaluate.bias import accuracy, baselines, learn, standard_error, words
from groundup.evaluate.generated import from_corpus, generate, sentences
from groundup.evaluate.items import parse
from groundup.evaluate.suites import Suite, twins
from groundup.store.artifacts import Artifact

DATA = Path(__file__).parents[2] / "shared" / "data" / "tinystories"


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return [tell("stories", index).text for index in range(120)]


@pytest.fixture(scope="module")
def suite(documents: list[str]) -> Suite:
    return generate(documents, "valid", "mine", items=120)


def test_items_depend_on_the_documents_and_the_seed_alone(documents: list[str], suite: Suite) -> None:
    again = generate([*reversed(documents), documents[0]], "valid", "mine", items=120)
    assert again == suite and again.sha256 == suite.sha256
    assert generate(documents, "valid", "mine", seed=1, items=120).items != suite.items


def test_each_phenomenon_has_its_share_and_the_items_are_well_formed(suite: Suite) -> None:
    counts = Counter(item.phenomenon for item in suite.items)
    assert set(counts) == set(suite.reach) and max(counts.values()) <= 30 and sum(counts.values()) >= 60
    data = "".join(item.to_line() for item in suite.items).encode()
    assert parse(data, "made") == list(suite.items)


def test_the_right_option_is_what_the_document_says(documents: list[str], suite: Suite) -> None:
    flat = [" ".join(text.split()) for text in documents]
    for item in suite.items:
        assert any(item.texts[item.gold] in text for text in flat), item
        wrong = 1 - item.gold
        assert not any(item.texts[wrong] in text for text in flat), item


def test_twins_have_the_same_options_of_which_each_is_right_once(suite: Suite) -> None:
    pairs = [group for group in twins(suite.items) if group[0].phenomenon in ("ending", "next")]
    assert pairs
    for one, other in pairs:
        assert one.options == other.options and {one.gold, other.gold} == {0, 1} and one.context != other.context


def test_counting_words_of_options_and_context_stands_at_chance(documents: list[str], suite: Suite) -> None:
    scorers = baselines(learn(documents))
    for phenomenon in suite.reach:
        items = [item for item in suite.items if item.phenomenon == phenomenon]
        for name in ("unigram", "commonest", "overlap"):
            assert accuracy(items, scorers[name]) == pytest.approx(0.5), (phenomenon, name)
        if phenomenon != "swap":
            assert abs(accuracy(items, scorers["shortest"]) - 0.5) < 1e-9


def test_words_that_are_exchanged_or_sentences_in_another_order_are_the_same_words(suite: Suite) -> None:
    for item in suite.items:
        if item.phenomenon in ("order", "swap"):
            one, other = (Counter(words(option)) for option in item.options)
            assert one == other


@pytest.mark.parametrize("split", ["train", "Train", ""])
def test_a_training_split_is_refused(documents: list[str], split: str) -> None:
    with pytest.raises(GroundupError) as caught:
        generate(documents, split, "mine")
    assert caught.value.code == "training-text"


def test_a_text_that_gives_no_item_is_an_error() -> None:
    with pytest.raises(GroundupError) as caught:
        generate(["One sentence.", "", "Two. Of them."], "valid", "mine")
    assert caught.value.code == "no-text"


def test_a_corpus_gives_items_of_its_held_out_text_alone(tmp_path: Path, documents: list[str]) -> None:
    for split, texts in (("train", documents[:60]), ("test", documents[60:])):
        pq.write_table(pa.table({"text": texts}), tmp_path / f"mine.{split}.00000.parquet")
    corpus = Artifact(tmp_path, {})
    assert from_corpus(corpus, "mine", "test", items=40) == generate(documents[60:], "test", "mine", items=40)
    with pytest.raises(GroundupError, match="training-text"):
        from_corpus(corpus, "mine", "train")


@given(st.text(alphabet='aB .!?"\n', max_size=60))
@settings(max_examples=200, deadline=None)
def test_sentences_together_are_the_text_but_for_its_spaces(text: str) -> None:
    assert " ".join(sentences(text)) == " ".join(text.split())


def test_sentences_end_behind_their_marks_and_quotation_marks() -> None:
    told = '"Stop!" said Ann. She ran 3.5 miles. "Why? I ask." No'
    assert sentences(told) == ['"Stop!" said Ann.', "She ran 3.5 miles.", '"Why?', 'I ask."', "No"]


def test_held_out_stories_give_two_hundred_items_of_which_a_trigram_knows_only_the_swapped_words() -> None:
    if not DATA.is_dir():
        pytest.skip("needs TinyStories, which is not here")
    held, train = (
        (DATA / f"{split}.txt").read_text(encoding="utf-8").split("<|endoftext|>") for split in ("valid", "train")
    )
    made = generate(held, "valid", "stories")
    assert len(made.items) >= 200
    trigram = baselines(learn(train[:4000]))["trigram"]
    for phenomenon, reach in made.reach.items():
        items = [item for item in made.items if item.phenomenon == phenomenon]
        if reach == "distant":
            assert abs(accuracy(items, trigram) - 0.5) <= 2 * standard_error(items), phenomenon
