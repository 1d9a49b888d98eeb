"""The suites are whole, pinned, well formed, and give nothing away to those who only count words."""

import hashlib
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.evaluate import suites
from groundup.evaluate.bias import WORD, accuracy, baselines, credit, learn, review, standard_error, words
from groundup.evaluate.items import SuiteItem, chance, parse, read_items

DATA = Path(__file__).parents[2] / "shared" / "data"
FOLDER = Path(suites.__file__).parent
AT_LEAST = {"grammar": 300, "facts": 250, "coherence": 250}
NAMES = list(AT_LEAST)


def line(**changes: object) -> bytes:
    row = {"id": "a", "suite": "s", "phenomenon": "p", "context": "A", "options": [" b", " c"], "gold": 0} | changes
    return json.dumps({key: value for key, value in row.items() if value is not None}).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (line(gold=None), "has no 'gold'"),
        (line(options=[" b", " b"]), "all equal"),
        (line(options=[" b", " c", " b"]), "' b' twice"),
        (line(options=[" b"]), "1 option"),
        (line(options=[" b", " "]), "empty"),
        (line(options=[" b", 3]), "not text"),
        (line(options=" b"), "no list"),
        (line(gold=2), "gold 2"),
        (line(gold=-1), "gold -1"),
        (line(gold=True), "no int"),
        (line(gold="0"), "no int"),
        (line(answer=1), "unknown key 'answer'"),
        (line(source=3), "no str"),
        (line(context="\ud800"), "not UTF-8"),
        (line() + line(), "line 2 has the id 'a' of line 1"),
        (line() + b"\xff\n", "line 2 is not UTF-8"),
        (b"[1]\n", "not a JSON object"),
        (b"{\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b"\n\n", "no item"),
    ],
)
def test_a_file_of_items_that_would_score_something_else_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(GroundupError, match=re.escape(problem)) as caught:
        parse(data, "mine.jsonl")
    assert caught.value.code == "bad-task" and "mine.jsonl" in caught.value.what


def test_a_missing_file_of_items_is_an_error_with_a_code(tmp_path: Path) -> None:
    with pytest.raises(GroundupError) as caught:
        read_items(tmp_path / "none.jsonl")
    assert caught.value.code == "no-such-file"


def test_items_are_written_as_they_are_read(tmp_path: Path) -> None:
    items = [
        SuiteItem("a", "s", "p", "Où est", (" le «chat»?", " he?"), 1, note="n"),
        SuiteItem("b", "s", "p", "", ("A", "B"), 0),
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("".join(item.to_line() for item in items), encoding="utf-8")
    assert read_items(path) == items


@pytest.mark.parametrize("name", NAMES)
def test_a_suites_file_is_the_one_in_the_manifest(name: str) -> None:
    suite, known = suites.load(name), suites.manifest()["suites"][name]
    data = (FOLDER / known["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == known["sha256"] == suite.sha256
    assert len(suite.items) == known["items"] >= AT_LEAST[name]
    assert {item.phenomenon for item in suite.items} == set(suite.reach)
    assert set(suite.reach.values()) <= {"local", "distant"}
    assert {item.suite for item in suite.items} == {name}
    assert suite.sha256 in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_manifest_names_every_suite_and_the_wheel_holds_their_files() -> None:
    assert suites.names() == NAMES
    files = {path.name for path in FOLDER.glob("*.jsonl")}
    assert files == {known["file"] for known in suites.manifest()["suites"].values()}
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    for kind in ("json", "jsonl", "md"):
        assert f'"**/*.{kind}"' in project


def test_a_changed_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line())
    with pytest.raises(GroundupError) as caught:
        suites.pinned(tmp_path / "a.jsonl", "0" * 64)
    assert caught.value.code == "wrong-hash"


def test_an_unknown_suite_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(GroundupError, match="unknown-task") as caught:
        suites.load("poetry")
    assert "grammar" in caught.value.fix


@pytest.mark.parametrize("name", NAMES)
def test_no_item_stands_twice_and_right_options_stand_at_all_places_alike(name: str) -> None:
    items = suites.load(name).items
    assert len({(item.context, frozenset(item.options), item.options[item.gold]) for item in items}) == len(items)
    sizes = {len(item.options) for item in items}
    assert sizes == ({4} if name == "facts" else {2})
    places = Counter(item.gold for item in items)
    expected = len(items) / sizes.pop()
    assert all(abs(places[place] - expected) <= 2 for place in places)


@pytest.mark.parametrize("name", NAMES)
def test_the_space_between_context_and_option_belongs_to_the_option(name: str) -> None:
    for item in suites.load(name).items:
        for option in item.options:
            assert option[0].isupper() if item.context == "" else option[0] == " " and item.context[-1] != " "
        assert not any("  " in text or re.search(r" [.,?!]", text) or text != text.strip() for text in item.texts)


def neighbours(item: SuiteItem) -> list[tuple[list[str], list[str], list[str]]]:
    """For each option: two words before where the options part, the words of its own, and the two words after."""
    texts = [words(text) for text in item.texts]
    same = next(at for at, column in enumerate(zip(*texts, strict=False)) if len(set(column)) > 1)
    back = 0 if item.context else len(_shared([text[same:][::-1] for text in texts]))
    ends = [len(text) - back for text in texts]
    return [
        (text[max(0, same - 2) : same], text[same:end], text[end : end + 2])
        for text, end in zip(texts, ends, strict=True)
    ]


def _shared(texts: list[list[str]]) -> list[str]:
    shared = []
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return shared


@pytest.mark.parametrize("name", NAMES)
def test_distant_twins_look_the_same_to_whoever_sees_two_words_each_way(name: str) -> None:
    suite = suites.load(name)
    for group in suites.twins(suite.items):
        if suite.reach[group[0].phenomenon] == "local" or group[0].phenomenon == "shuffled_sentences":
            continue
        assert len(group) == len(group[0].options), group[0].id
        assert len({str(neighbours(item)) for item in group}) == 1, group[0].id
        assert sorted(item.gold for item in group) == list(range(len(group))), group[0].id


@pytest.mark.parametrize("name", NAMES)
def test_local_twins_swap_what_is_right(name: str) -> None:
    suite = suites.load(name)
    for group in suites.twins(suite.items):
        if suite.reach[group[0].phenomenon] == "local":
            assert sorted(item.gold for item in group) == [0, 1], group[0].id


@pytest.mark.parametrize("name", NAMES)
def test_word_counts_and_lengths_know_nothing(name: str) -> None:
    items = suites.load(name).items
    model = learn([" ".join(item.texts) for item in items[::2]] * 2)  # counts of any text will do
    for scorer in ("unigram", "commonest", "shortest", "overlap"):
        found = accuracy(items, baselines(model)[scorer])
        assert abs(found - chance(items)) <= 2 * standard_error(items), scorer


@pytest.fixture(scope="module")
def stories() -> list[str]:
    if not (DATA / "tinystories").is_dir():
        pytest.skip("needs TinyStories, which is not here")
    return (DATA / "tinystories/train.txt").read_text(encoding="utf-8").split("<|endoftext|>")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_stories_knows_the_words(name: str, stories: list[str]) -> None:
    counts = Counter(word for story in stories for word in words(story))
    used = [word for item in suites.load(name).items for text in item.texts for word in words(text)]
    assert sum(counts[word] >= 5 for word in used) / len(used) > 0.98


@pytest.mark.slow
def test_counting_neighbours_in_stories_and_encyclopedia_stays_near_chance_on_what_is_distant(
    stories: list[str],
) -> None:
    passages = (DATA / "wikitext/passages.jsonl").read_text(encoding="utf-8").splitlines()
    model = learn([*stories, *(json.loads(row)["text"] for row in passages[::3])])
    scorers = baselines(model)
    for name in NAMES:
        suite = suites.load(name)
        distant = [item for item in suite.items if suite.reach[item.phenomenon] == "distant"]
        for row in review(distant, scorers):
            for scorer in scorers:
                assert abs(row[scorer] - row["chance"]) <= 2 * row["error"], (name, row)
        assert accuracy(suite.items, scorers["trigram"]) < 0.65, name


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_all_places_together_get_credit_for_one_right_answer(scores: list[float]) -> None:
    assert math.isclose(sum(credit(scores, gold) for gold in range(len(scores))), 1.0)


def test_words_are_lower_case_with_their_apostrophes_and_marks_apart() -> None:
    assert words('"Don\'t!" said Ann, 12.') == ['"', "don't", "!", '"', "said", "ann", ",", "12", "."]
    assert WORD.findall("") == []


def test_the_trigram_sees_two_words_back_and_the_overlap_the_whole_context() -> None:
    model = learn(["the red cat sat . the red cat sat . a dog ran . a dog ran ."] * 2)
    near = SuiteItem("a", "s", "p", "the red", (" dog", " cat"), 1)
    far = SuiteItem("b", "s", "p", "a dog and the red", (" dog", " cat"), 1)
    scorers = baselines(model)
    assert accuracy([near], scorers["trigram"]) == 1.0 and accuracy([far], scorers["trigram"]) == 1.0
    assert accuracy([near], scorers["overlap"]) == 0.5 and accuracy([far], scorers["overlap"]) == 0.0
    assert np.isclose(standard_error([near] * 4), 0.25)
