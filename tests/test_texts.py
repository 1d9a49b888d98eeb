"""Generated texts are measured beside human text of the same number and lengths, and copies are traced to documents."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_recipe import small_recipe

from groundup.cli import main
from groundup.data.corpus import texts as corpus_texts
from groundup.errors import GroundupError
from groundup.evaluate import generation
from groundup.evaluate.estimate import Estimate
from groundup.evaluate.generation import STATISTICS, Passage, blocks, figures, meaning, rows
from groundup.evaluate.human import HeldOut, ends_within, held_out, matched
from groundup.evaluate.novelty import find_copies, training
from groundup.evaluate.opening import read_prompts
from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.science.texts import judge_texts
from groundup.store.artifacts import load
from groundup.store.runs import Run
from groundup.tokens import tokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("texts")
    found = pipeline.run(resolve(str(small_recipe(folder)), []), folder / "lab", train_only=True)
    assert found is not None
    yield found


@pytest.fixture
def own(run: Run, tmp_path: Path) -> Run:
    """A copy of the lab, to be damaged."""
    shutil.copytree(run.path.parent.parent, tmp_path / "lab")
    return Run(tmp_path / "lab" / "runs" / run.name)


PROMPTS = '{"id": "a", "kind": "animals", "prompt": "The cat"}\n\n{"id": "b", "kind": "places", "prompt": "The"}\n'


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    (tmp_path / "prompts.jsonl").write_text(PROMPTS)
    return str(tmp_path / "prompts.jsonl")


def artifact(run: Run, stage: str) -> Path:
    return next(run.path.parent.parent.glob(f"artifacts/{stage}-*"))


def test_texts_are_written_measured_and_kept(own: Run, prompts: str) -> None:
    result = judge_texts(own, "best", [prompts], 3, {"max_tokens": 12, "temperature": 1.0, "seed": 5})
    kept = json.loads((own.path / "evaluations" / f"{result['checkpoint']}.generation.json").read_text())
    assert kept == result
    lines = (own.path / "evaluations" / result["texts_file"]).read_text().splitlines()
    texts = [json.loads(line) for line in lines]
    assert [(one["id"], one["seed"]) for one in texts] == [("a", 5), ("a", 6), ("a", 7), ("b", 8), ("b", 9), ("b", 10)]
    assert all(one["text"].startswith(one["prompt"]) for one in texts)
    assert result["texts"] == 6 and result["settings"]["temperature"] == 1.0 and result["settings"]["per_prompt"] == 3
    by_name = {row["name"]: row for row in result["statistics"]}
    assert by_name["repeated_1"]["model"]["units"] == 2  # prompts, not texts
    assert by_name["longest_copy"]["human"]["value"] > 0
    assert by_name["unknown_words"]["human"]["value"] is not None
    again = judge_texts(own, "best", [prompts], 3, {"max_tokens": 12, "temperature": 1.0, "seed": 5})
    assert again | {"seconds": 0} == result | {"seconds": 0}


def test_a_copy_stands_in_the_document_that_is_named(own: Run, prompts: str) -> None:
    result = judge_texts(own, "last", [prompts], 4, {"max_tokens": 12})
    corpus, shards, encoding = load(artifact(own, "corpus")), load(artifact(own, "shards")), tokenizer.of_run(own)
    documents = {}
    for text in corpus_texts(corpus, "mine", "train"):
        documents[tuple(encoding.encode(text))] = text
    train = training(shards.path, ["mine"])
    ids = [f"{int(one):016x}" for record in train.documents for one in record["id"]]
    order = list(corpus_texts(corpus, "mine", "train"))
    assert result["copies"] and result["training_tokens"] == train.tokens
    for copy in result["copies"]:
        text = order[ids.index(copy["document"])]
        assert copy["before"][-20:] + copy["text"] + copy["behind"][:20] in text
        assert len(encoding.encode(copy["text"])) <= copy["tokens"] + 1
    assert result["longest_copy"]["model"] == result["copies"][0]["tokens"]


def test_the_copied_characters_of_a_text_are_marked(own: Run, prompts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.science.texts.MARKED", 2)
    result = judge_texts(own, "last", [prompts], 4, {"max_tokens": 12})
    whole = "\0".join(corpus_texts(load(artifact(own, "corpus")), "mine", "train"))
    lines = (own.path / "evaluations" / result["texts_file"]).read_text().splitlines()
    spans = [(one["text"], one["prompt"], span) for one in map(json.loads, lines) for span in one["copied"]]
    assert spans
    for text, prompt, (begin, end) in spans:
        assert len(prompt) <= begin < end <= len(text)
        assert text[begin:end].strip("\ufffd") in whole


def test_a_corpus_that_is_gone_is_said_to_be_missing(own: Run, prompts: str) -> None:
    shutil.rmtree(artifact(own, "corpus"))
    result = judge_texts(own, "best", [prompts], 1, {"max_tokens": 4})
    assert "unknown_words" not in {row["name"] for row in result["statistics"]}
    assert any("corpus" in note for note in result["notes"])


def test_the_command_prints_the_table_or_the_json(own: Run, prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    lab = str(own.path.parent.parent)
    command = ["texts", own.name, "--lab", lab, "--prompts", prompts, "--per-prompt", "2", "--max-tokens", "6"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "repeated words" in printed and "4 texts, beside 4 pieces of held-out human text" in printed
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 4


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--per-prompt", "0"], "usage"),
        (["--prompts", "nowhere.txt"], "no-such-file"),
        (["--max-tokens", "0"], "bad-value"),
        (["--temperature", "-1"], "bad-value"),
        (["--checkpoint", "77"], "no-checkpoint"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_a_code(
    run: Run, arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["texts", run.name, "--lab", str(run.path.parent.parent), *arguments]) in (2, 3)
    assert f"[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "bad-file"),
        (b" \n\n", "bad-file"),
        (b"\xff\xfe", "bad-file"),
        (b"no json", "bad-file"),
        (b"[1]", "bad-file"),
        (b'{"text": "a"}', "bad-file"),
        (b'{"prompt": 3}', "bad-file"),
        (json.dumps({"prompt": "The cat sat on the mat " * 9}).encode(), "bad-prompt"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(run: Run, tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(GroundupError) as refusal:
        judge_texts(run, "best", [str(tmp_path / "bad.jsonl")], 1, {})
    assert refusal.value.code == code


def test_a_run_without_checkpoint_or_shards_is_refused(own: Run, prompts: str) -> None:
    shutil.rmtree(artifact(own, "shards"))
    with pytest.raises(GroundupError) as refusal:
        judge_texts(own, "best", [prompts], 1, {})
    assert refusal.value.code == "artifact-damaged"
    shutil.rmtree(own.path / "checkpoints")
    with pytest.raises(GroundupError) as refusal:
        judge_texts(own, "best", [prompts], 1, {})
    assert refusal.value.code == "no-checkpoint"


def test_the_recipes_own_prompts_are_a_set(own: Run) -> None:
    result = judge_texts(own, "best", ["recipe"], 2, {"max_tokens": 2})
    assert (result["texts"], result["prompts"]["n"]) == (2, 1)


def test_a_file_of_lines_is_a_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("A cat\n\nA dog \n")
    assert [(one.id, one.prompt) for one in read_prompts(str(tmp_path / "mine.txt"))] == [
        ("mine-1", "A cat"),
        ("mine-3", "A dog "),
    ]


def passage(text: str, cluster: int = 0) -> Passage:
    return Passage(text, np.frombuffer(text.encode(), np.uint8).astype(np.int64), cluster)


@pytest.mark.parametrize(
    "texts", [[], [""], ["", ""], ["a"], ["a", "b"], ["one text alone, and no other."], ["\ufffd", "x. y! z?"]]
)
def test_few_short_or_empty_texts_give_what_can_be_given(texts: list[str]) -> None:
    passages = [passage(text, number) for number, text in enumerate(texts)]
    matches = find_copies([one.tokens for one in passages], training(Path("/nonexistent"), []), 256)
    unknown = [([], 0) for _ in texts]
    found = figures(passages, matches, unknown, blocks([passages, passages]), 0)
    table = rows(found, found, blocks([passages, passages]))
    assert {row["name"] for row in table} <= {one.name for one in STATISTICS}
    json.dumps(table, allow_nan=False)
    by_text = [row["model"] for row in table if row["name"].startswith(("repeated", "loops", "longest", "sentence"))]
    assert len(texts) != 1 or all(figure["standard_error"] is None for figure in by_text)


def test_a_figure_is_put_into_words_only_where_it_clearly_differs() -> None:
    one = next(row for row in STATISTICS if row.name == "loops")
    human = Estimate(0.01, 0.005, 450, 450)
    assert meaning(one, Estimate(0.12, 0.02, 450, 150), human) == one.higher
    assert meaning(one, Estimate(0.02, 0.02, 450, 150), human) == generation.UNCLEAR
    assert meaning(one, Estimate(0.12, None, 1, 1), human) == ""


documents = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=8), st.lists(documents, min_size=1, max_size=3)
)
@settings(max_examples=150, deadline=None)
def test_human_pieces_match_in_number_and_length_and_no_token_is_used_twice(
    wanted: list[tuple[int, int]], lengths: list[list[int]]
) -> None:
    counter, sources = 0, []
    for number, own in enumerate(lengths):
        kept = []
        for length in own:
            kept.append(np.arange(counter, counter + length))
            counter += length
        sources.append(HeldOut(str(number), kept))
    if not counter:
        with pytest.raises(GroundupError) as refusal:
            matched(wanted, sources, {"0": 1.0}, 1)
        assert refusal.value.code == "text-too-short"
        return
    pieces = matched(wanted, sources, {"0": 1.0}, 1)
    used = np.concatenate([np.empty(0, int), *(one.tokens for one in pieces)])
    assert len(np.unique(used)) == len(used)
    assert len(pieces) <= len(wanted)
    ordered = sorted(wanted, key=lambda both: -sum(both))
    flat = [document for source in sources for document in source.documents]
    for piece, (_, length) in zip(pieces, ordered, strict=False):
        assert len(piece.tokens) <= length
        assert np.isin(piece.tokens, flat[piece.document]).all()
        assert (np.diff(piece.tokens) == 1).all()
    if all(len(document) >= sum(map(sum, wanted)) for document in flat):
        assert [len(one.tokens) for one in pieces] == [length for _, length in ordered]


def test_human_pieces_come_from_the_sources_in_their_shares_and_behind_a_prompts_length() -> None:
    sources = [HeldOut(name, [number + np.arange(50) * 10] * 400) for number, name in enumerate("ab")]
    pieces = matched([(7, 20)] * 400, sources, {"a": 3.0, "b": 1.0}, 2)
    share = np.mean([piece.tokens[0] % 10 == 0 for piece in pieces])
    assert 0.65 < share < 0.85
    first = {piece.document: piece for piece in reversed(pieces)}
    assert {int(piece.tokens[0]) // 10 for piece in first.values()} == {7}
    again = matched([(7, 20)] * 400, sources, {"a": 3.0, "b": 1.0}, 2)
    assert [one.document for one in again] == [one.document for one in pieces]


def test_documents_that_end_within_the_limit_are_counted_by_source() -> None:
    sources = [HeldOut("a", [np.arange(5), np.arange(50)]), HeldOut("b", [np.arange(5)] * 4)]
    found = ends_within(sources, {"a": 1.0, "b": 3.0}, 10)
    assert found.value == pytest.approx(0.25 * 0.5 + 0.75 * 1)
    assert found.standard_error == pytest.approx(0.25 * (0.25 / 2) ** 0.5)
    assert ends_within([], {}, 10).value is None


def test_held_out_text_is_that_of_valid_and_test(run: Run) -> None:
    shards = load(artifact(run, "shards"))
    counts = shards.manifest["counts"]["mine"]
    (found,) = held_out(shards.path, ["mine"])
    assert len(found.documents) == counts["valid"]["documents"] + counts["test"]["documents"]
    assert sum(map(len, found.documents)) + len(found.documents) == counts["valid"]["tokens"] + counts["test"]["tokens"]
    encoding = tokenizer.of_run(run)
    corpus = load(artifact(run, "corpus"))
    expected = {text for split in ("valid", "test") for text in corpus_texts(corpus, "mine", split)}
    assert {encoding.decode(one.tolist()) for one in found.documents} == expected


def test_every_statistic_has_its_words() -> None:
    names = [one.name for one in STATISTICS]
    assert len(set(names)) == len(names)
    for one in STATISTICS:
        assert all(dataclasses.astuple(one))
