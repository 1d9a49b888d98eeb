"""Task files are read in their published shapes, and what is wrong with one is said with file and line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import GroundupError
from groundup.evaluate.choice import baselines
from groundup.evaluate.formats import item_of
from groundup.evaluate.suites import names
from groundup.evaluate.tasks import known, open_task

BENCHMARKS = Path(__file__).parents[2] / "shared" / "data" / "benchmarks"
REAL = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the published files are not on this machine")


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "options", "gold"),
    [
        ({"context": "A", "options": ["b", " c", ", d"], "gold": 2}, [("A", " b"), ("A", " c"), ("A", ", d")], 2),
        ({"context": "", "options": ["b", "c"], "gold": 0}, [("", "b"), ("", "c")], 0),
        ({"sentence_good": "g", "sentence_bad": "b", "field": "f"}, [("", "g"), ("", "b")], 0),
        ({"query": "q", "choices": ["a", "b"], "gold": 1}, [("q", " a"), ("q", " b")], 1),
        ({"context_options": ["x", "y"], "continuation": "z.", "gold": 1}, [("x", " z."), ("y", " z.")], 1),
        ({"context": "x", "continuation": "y"}, [("x", " y")], 0),
        ({"text": "one two three"}, [("one two", " three")], 0),
        (
            {"question": {"stem": "q?", "choices": [{"text": "a", "label": "A"}, {"text": "b", "label": "B"}]}}
            | {"answerKey": "B"},
            [("Question: q?\nAnswer:", " a"), ("Question: q?\nAnswer:", " b")],
            1,
        ),
        (
            {"question": "q?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "1"},
            [("Question: q?\nAnswer:", " a"), ("Question: q?\nAnswer:", " b")],
            0,
        ),
        (
            {"goal": "g", "sol1": "s", "sol2": "t", "label": 1},
            [("Question: g\nAnswer:", " s"), ("Question: g\nAnswer:", " t")],
            1,
        ),
        (
            {"premise": "It fell.", "choice1": "It broke.", "choice2": "It ran.", "question": "effect", "label": 0},
            [("It fell therefore", " it broke."), ("It fell therefore", " it ran.")],
            0,
        ),
        (
            {"sentence": "Ann met Bo as _ was lost.", "option1": "Ann", "option2": "Bo", "answer": "2"},
            [("Ann met Bo as Ann", " was lost."), ("Ann met Bo as Bo", " was lost.")],
            1,
        ),
    ],
)
def test_a_row_of_each_published_shape_is_an_item(row: dict[str, Any], options: list[Any], gold: int) -> None:
    _, item = item_of(row, "x")
    assert list(item.options) == options and item.gold == gold


GOOD = {"context": "a", "options": ["b", "c"], "gold": 0}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"context": "a", "options": ["b", "c"]}, "it has no 'gold'"),
        (GOOD | {"gold": 2}, "gold is 2"),
        (GOOD | {"gold": -1}, "gold is -1"),
        (GOOD | {"gold": "0"}, "gold is '0'"),
        (GOOD | {"gold": True}, "gold is True"),
        (GOOD | {"gold": None}, "gold is None"),
        (GOOD | {"options": ["b", "b"]}, "all alike"),
        (GOOD | {"options": ["b", " "]}, "an option is empty"),
        (GOOD | {"options": []}, "two options or more, and it has 0"),
        (GOOD | {"options": ["b"]}, "two options or more, and it has 1"),
        (GOOD | {"options": "bc"}, "options are a list"),
        (GOOD | {"options": ["b", 3]}, "texts"),
        (GOOD | {"options": ["b", "\ud800"]}, "not UTF-8"),
        ({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "E"}, "gold is 'E'"),
        ({"goal": "g", "sol1": "s", "sol2": "t"}, "gold is None"),
        ({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"}, "no gap"),
        ({"premise": "a", "choice1": "b", "choice2": "c", "question": "why", "label": 0}, "'why'"),
        ({"story": "a"}, "none of the known shapes; its keys are story"),
        ("[1, 2]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(row: Any, says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", GOOD, row)
    with pytest.raises(GroundupError) as refused:
        open_task(str(path), None, tmp_path)
    assert refused.value.code == "bad-task" and f"{path}, line 2" in refused.value.what and says in refused.value.what


def test_an_empty_file_is_no_task(tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match="holds no item") as refused:
        open_task(str(write(tmp_path / "mine.jsonl")), None, tmp_path)
    assert refused.value.code == "bad-task"


def test_choices_and_clozes_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match="some are to be guessed"):
        open_task(str(write(tmp_path / "mine.jsonl", GOOD, {"text": "a b"})), None, tmp_path)


@pytest.mark.parametrize(("given", "hint"), [("blymp", "'blimp'"), ("no-such-task-at-all", "name a jsonl file")])
def test_an_unknown_task_is_refused_with_a_hint(given: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(GroundupError) as refused:
        open_task(given, None, tmp_path)
    assert refused.value.code == "unknown-task" and hint in refused.value.fix


def test_a_task_is_another_one_when_a_byte_of_it_is_another(tmp_path: Path) -> None:
    one = open_task(str(write(tmp_path / "mine.jsonl", GOOD)), None, tmp_path)
    same = open_task(str(write(tmp_path / "mine.jsonl", GOOD)), None, tmp_path)
    other = open_task(str(write(tmp_path / "mine.jsonl", GOOD | {"gold": 1})), None, tmp_path)
    assert one.sha256 == same.sha256 != other.sha256


def test_groups_and_ids_of_our_own_shape_are_kept(tmp_path: Path) -> None:
    row = GOOD | {"id": "g-1", "suite": "grammar", "phenomenon": "agreement"}
    (item,) = open_task(str(write(tmp_path / "mine.jsonl", row)), None, tmp_path).items
    assert item.id == "g-1" and item.groups == {"suite": "grammar", "phenomenon": "agreement"}


def test_pairs_of_blimp_are_read_as_such_wherever_they_lie_and_one_of_two_like_sentences_is_a_tie(
    tmp_path: Path,
) -> None:
    rows = [{"sentence_good": "a b", "sentence_bad": bad, "field": "syntax/semantics"} for bad in ("b a", "a b")]
    task = open_task(str(write(tmp_path / "some.jsonl", *rows)), None, tmp_path)
    assert task.name == "some" and task.items[0].options == (("", " a b"), ("", " b a"))
    assert task.items[0].groups["field"] == "syntax_semantics"
    assert baselines(task.items)["constant"] == 0.5


def test_of_a_folder_only_the_jsonl_files_are_a_task(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("what this is")
    with pytest.raises(GroundupError, match="no jsonl file"):
        open_task(str(folder), None, tmp_path)
    write(folder / "a.jsonl", GOOD)
    write(folder / "b.jsonl", GOOD)
    assert [item.id for item in open_task(str(folder), None, tmp_path).items] == ["a:1", "b:1"]


def test_every_known_file_has_a_size_and_a_hash() -> None:
    assert len(known()["tasks"]["blimp"]["files"]) == 67
    for task in known()["tasks"].values():
        for size, sha in task["files"].values():
            assert isinstance(size, int) and isinstance(sha, str) and len(sha) == 64


def test_a_mirror_serves_a_task_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mosaicml/llm-foundry/scripts/eval/local_data/commonsense_reasoning/copa.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    with pytest.raises(GroundupError) as refused:
        open_task("copa", str(tmp_path), tmp_path / "downloads")
    assert refused.value.code == "wrong-hash"
    if BENCHMARKS.exists():
        path.write_bytes((BENCHMARKS / "copa.jsonl").read_bytes())
        assert len(open_task("copa", str(tmp_path), tmp_path / "downloads").items) == 100


@REAL
def test_a_published_file_is_known_by_its_hash_and_a_constant_scorer_gets_exactly_chance(tmp_path: Path) -> None:
    for name, half in (("arc_easy", 0.25), ("piqa", 0.5), ("copa", 0.5), ("winograd_wsc", 0.5)):
        task = open_task(str(BENCHMARKS / f"{name}.jsonl"), None, tmp_path)
        assert task.name == name.removesuffix("_wsc")
        assert baselines(task.items)["constant"] == half
    assert open_task(str(BENCHMARKS / "arc_easy.jsonl"), None, tmp_path).items[0].options[0][0].endswith("\nAnswer:")


@REAL
def test_the_whole_of_blimp_is_read_and_a_constant_scorer_gets_exactly_half(tmp_path: Path) -> None:
    task = open_task(f"blimp={BENCHMARKS / 'blimp'}", None, tmp_path)
    assert task.name == "blimp" and len(task.items) == 67_000
    assert len({item.groups["paradigm"] for item in task.items}) == 67
    assert len({item.groups["field"] for item in task.items}) == 4
    assert baselines(task.items)["constant"] == 0.5


def test_every_suite_of_groundups_own_can_be_read(tmp_path: Path) -> None:
    for name in names():
        task = open_task(name, None, tmp_path)
        assert task.items and baselines(task.items)["constant"] > 0


def test_a_suites_items_tell_their_phenomenon_and_its_reach(tmp_path: Path) -> None:
    task = open_task("grammar", None, tmp_path)
    assert all(set(item.groups) == {"phenomenon", "reach"} for item in task.items)
    assert {item.groups["reach"] for item in task.items} == {"local", "distant"}


@pytest.mark.parametrize("name", ["blimp", "grammar", "wikitext", "held-out", "generation"])
def test_a_file_that_is_not_a_known_task_does_not_bear_its_name(tmp_path: Path, name: str) -> None:
    row = {"sentence_good": "a b", "sentence_bad": "b a"}
    path = write(tmp_path / f"{name}.jsonl", row)
    given = [str(path), f"blimp={path}"] if name == "blimp" else [str(path)]
    for one in given:
        task = open_task(one, None, tmp_path)
        assert re.fullmatch(rf"{name}-[0-9a-f]{{8}}", task.name)
        assert task.items[0].options[0] == ("", " a b")
