"""The prompts are pinned, fifty of a kind, and unfinished where something is to be finished."""

import hashlib
from pathlib import Path

import pytest

from groundup.errors import GroundupError
from groundup.evaluate import prompts
from groundup.evaluate.opening import read_prompts

FOLDER = Path(prompts.__file__).parent


@pytest.mark.parametrize("kind", ["grammar", "facts", "stories"])
def test_a_prompt_files_hash_and_number_are_those_of_the_manifest(kind: str) -> None:
    found, known = prompts.load(kind), prompts.manifest()["prompts"][kind]
    assert hashlib.sha256((FOLDER / known["file"]).read_bytes()).hexdigest() == known["sha256"] == found.sha256
    assert len(found.prompts) == known["count"] == 50
    assert len({prompt.id for prompt in found.prompts}) == len({prompt.prompt for prompt in found.prompts}) == 50
    assert {prompt.kind for prompt in found.prompts} == {kind}


def test_the_manifest_names_every_file_of_prompts() -> None:
    files = {path.name for path in FOLDER.glob("*.jsonl")}
    assert files == {known["file"] for known in prompts.manifest()["prompts"].values()}
    assert prompts.kinds() == ["grammar", "facts", "stories"]


def test_prompts_for_grammar_and_facts_stop_in_a_sentence_and_those_for_stories_behind_one() -> None:
    for kind in prompts.kinds():
        for prompt in prompts.load(kind).prompts:
            assert prompt.prompt == prompt.prompt.strip() and len(prompt.prompt.split()) < 20
            assert (prompt.prompt[-1] in '.?!"') == (kind == "stories"), prompt


def test_an_unknown_kind_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(GroundupError, match="unknown-task") as caught:
        prompts.load("poems")
    assert "stories" in caught.value.fix


def test_a_line_separator_inside_a_text_ends_no_line_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes('{"prompt": "A\u2028cat"}\r\n{"prompt": "B"}\r\n'.encode("utf-8-sig"))
    assert [one.prompt for one in read_prompts(str(tmp_path / "mine.jsonl"))] == ["A\u2028cat", "B"]
    (tmp_path / "mine.txt").write_bytes("A cat\nA dog\n".encode("utf-8-sig"))
    assert [one.prompt for one in read_prompts(str(tmp_path / "mine.txt"))] == ["A cat", "A dog"]
