"""`groundup eval` says what its numbers depend on, does nothing twice, and tells when a model knew the text."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_recipe import small_recipe

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.science.evaluation import Wanted, evaluate
from groundup.store.runs import Run, find


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a run, whose recipe asks for a task at the end."""
    folder = tmp_path_factory.mktemp("evaluated")
    recipe = small_recipe(folder)
    items(folder / "task.jsonl")
    values = yaml.safe_load(recipe.read_text())
    values["evaluate"] = {"splits": ["valid"], "tasks": [str(folder / "task.jsonl")]}
    recipe.write_text(yaml.safe_dump(values))
    assert main(["run", str(recipe), "--lab", str(folder / "lab")]) == 0
    return folder / "lab"


def items(path: Path) -> Path:
    rows = [
        {"context": "The cat", "options": ["sat on the mat.", "on mat sat the."], "gold": 0, "phenomenon": "order"},
        {"context": "The dog", "options": ["ate a fig.", "fig a ate.", "a ate fig."], "gold": 0, "phenomenon": "order"},
        {"context": "", "options": ["A hen.", "Hen a."], "gold": 0, "phenomenon": "short"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_of(lab: Path) -> Run:
    return find(lab, "last")


def eval_json(lab: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert main(["eval", "last", "--lab", str(lab), "--json", *words]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_a_recipe_lists_tasks_that_are_done_at_the_end(lab: Path) -> None:
    record = run_of(lab).read_json("evaluations/step-00000008.task-task.json")
    assert record["results"][0]["n"] == 3 and record["task"]["kind"] == "choice"


def test_a_split_has_an_error_and_its_documents_add_up(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = eval_json(lab, capsys)
    row = next(row for row in result["scores"] if row["split"] == "valid" and row["source"] == "mine")
    values = pq.read_table(run_of(lab).path / "evaluations/step-00000008.values.parquet").to_pylist()
    mine = [value for value in values if value["split"] == "valid"]
    assert len(mine) == row["documents"] > 1 and row["bpb_se"] > 0
    assert sum(value["bytes"] for value in mine) == row["bytes"]
    assert sum(value["tokens"] for value in mine) == row["tokens"]
    assert sum(value["nats"] for value in mine) / row["tokens"] == pytest.approx(row["loss"])
    assert result["settings"] == {"context": 16, "stride": 16, "windows": "side by side", "document_mask": False}


def test_what_depends_on_the_same_is_not_done_again_and_what_does_not_is(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task = items(tmp_path / "again.jsonl")
    _, first = eval_json(lab, capsys, "--task", str(task))
    result, second = eval_json(lab, capsys, "--task", str(task))
    assert "reused" not in first and "reused" in second
    _, other = eval_json(lab, capsys, "--task", str(task), "--checkpoint", "4")
    assert "reused" not in other
    (run_of(lab).path / "evaluations" / result["evaluations"][0]["values"]["file"]).write_bytes(b"damaged")
    _, third = eval_json(lab, capsys, "--task", str(task))
    assert "reused" not in third
    task.write_text(task.read_text().replace('"gold": 0', '"gold": 1', 1))
    changed, fourth = eval_json(lab, capsys, "--task", str(task))
    assert "reused" not in fourth
    assert changed["evaluations"][0]["task"]["sha256"] != result["evaluations"][0]["task"]["sha256"]


def test_an_accuracy_stands_beside_chance_error_and_scorers_without_a_model(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    result, _ = eval_json(lab, capsys, "--task", str(items(tmp_path / "mine.jsonl")))
    (record,) = result["evaluations"]
    whole, *parts = record["results"]
    assert whole["n"] == 3 and whole["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    assert record["baselines"]["constant"] == pytest.approx(whole["chance"])
    assert {part["name"] for part in parts} == {"order", "short"}
    assert set(record["readings"]) == {"none", "token", "byte"} and record["trained_on"] is False
    assert set(record["depends_on"]) >= {"checkpoint_sha256", "tokenizer_sha256", "task", "versions", "precision"}
    assert result["scores"] == []  # only what was asked for


def test_a_corpus_scored_as_text_has_the_scores_of_the_runs_own_splits(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = next((lab / "artifacts").glob("corpus-*")).name
    for stride in ([], ["--stride", "5"]):
        result, _ = eval_json(lab, capsys, "--text", corpus, "--split", "valid", *stride)
        own = next(row for row in result["scores"] if row["source"] == "mine")
        (record,) = result["evaluations"]
        (row,) = record["results"]
        assert (row["tokens"], row["bytes"], row["documents"]) == (own["tokens"], own["bytes"], own["documents"])
        assert row["bpb"] == pytest.approx(own["bpb"], rel=1e-9) and row["trained_on"] is False
    assert record["settings"]["stride"] == 5 and "11 tokens of context or more" in record["settings"]["windows"]


def test_text_that_the_model_was_trained_on_is_flagged(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = lab.parent / "text.txt"
    result, said = eval_json(lab, capsys, "--text", str(source), "--delimiter=---")
    (row,) = result["evaluations"][0]["results"]
    assert row["trained_on"] is True and row["overlap"]["files_read"] == ["text.txt"]
    train = json.loads((run_of(lab).path / "corpus.json").read_text())["counts"]["mine"]["train"]["documents"]
    assert row["overlap"]["texts_in_train"] == train < row["overlap"]["texts"]
    assert "the model was trained on this text" in said
    first = source.read_text().split("---")[0]
    (tmp_path / "copy.txt").write_text(f"{first}\n\n---\nAn owl flew over a lake.")  # a text of it in another file
    (row,) = eval_json(lab, capsys, "--text", str(tmp_path / "copy.txt"), "--delimiter=---")[0]["evaluations"][0][
        "results"
    ]
    assert row["overlap"] == {"flag": True, "texts": 2, "files_read": [], "texts_in_train": 1}
    (tmp_path / "new.txt").write_text("An owl flew over a lake.")
    (row,) = eval_json(lab, capsys, "--text", str(tmp_path / "new.txt"))[0]["evaluations"][0]["results"]
    assert row["trained_on"] is False
    result, said = eval_json(lab, capsys, "--split", "train")
    assert all(row["trained_on"] for row in result["scores"]) and "trained on the train split" in said


def test_files_of_one_name_in_two_folders_are_two_texts(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"An owl flew over lake {folder}.")
    rows = eval_json(lab, capsys, "--text", str(tmp_path))[0]["evaluations"][0]["results"]
    assert [row["documents"] for row in rows] == [1, 1, 2] and rows[-1]["source"] == "all"


def test_wikitext_is_scored_from_a_raw_file(lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "wiki.raw").write_text(" \n = Title = \n \n The cat sat on a mat @-@ like thing . \n")
    (record,) = eval_json(lab, capsys, "--task", f"wikitext={tmp_path / 'wiki.raw'}")[0]["evaluations"]
    assert record["results"][0]["pages"] == 1 and record["results"][0]["word_perplexity"] > 1
    assert "tokenised" in record["settings"]["convention"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--task", "grammer-of-the-world"], "unknown-task"),
        (["--task", "missing/task.jsonl"], "no-such-file"),
        (["--text", "missing.txt"], "no-such-file"),
        (["--stride", "17"], "usage"),
        (["--stride", "0"], "usage"),
        (["--checkpoint", "5"], "no-checkpoint"),
        (["--split", "dev"], "usage"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    assert main(["eval", "last", "--lab", str(lab), *words]) in (2, 3)
    assert f"[{code}]" in capsys.readouterr().err


def test_an_option_longer_than_the_context_is_refused_by_the_items_name(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    long = {"id": "too-long", "context": "a", "options": ["mat " * 50, "hill " * 50], "gold": 0}
    (tmp_path / "long.jsonl").write_text(json.dumps(long))
    assert main(["eval", "last", "--lab", str(lab), "--task", str(tmp_path / "long.jsonl")]) == 3
    assert "too-long" in (err := capsys.readouterr().err) and "[bad-task]" in err


def test_a_run_without_its_shards_says_that_it_does_not_know(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shards = next((lab / "artifacts").glob("shards-*"))
    shards.rename(tmp_path / shards.name)
    try:
        (record,) = eval_json(lab, capsys, "--task", str(items(tmp_path / "unknown.jsonl")))[0]["evaluations"]
    finally:
        (tmp_path / shards.name).rename(shards)
    assert record["trained_on"] is None


def test_lm_eval_that_is_not_installed_is_an_error_that_names_the_extra(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(GroundupError, match="lm-eval cannot be loaded") as refused:
        evaluate(run_of(lab), "best", Wanted(lm_eval=["blimp"]))
    assert refused.value.code == "missing-extra" and "groundup[eval]" in refused.value.fix


def test_only_the_file_of_a_folder_that_was_read_is_flagged(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "both").mkdir()
    shutil.copy(lab.parent / "text.txt", tmp_path / "both")
    (tmp_path / "both" / "other.txt").write_text("A new sentence that nobody has read before.")
    result, _ = eval_json(lab, capsys, "--text", str(tmp_path / "both"))
    rows = {row["source"]: row["trained_on"] for row in result["evaluations"][0]["results"]}
    assert rows == {"text.txt": True, "other.txt": False, "all": True}


def test_a_perplexity_that_no_float_holds_is_null(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    context = run_of(lab).path / "recipe.yaml"
    assert yaml.safe_load(context.read_text())["model"]["context"] == 16
    (tmp_path / "one.txt").write_text(" = A = \n" + "日本語" * 400)
    result, _ = eval_json(lab, capsys, "--task", f"wikitext={tmp_path / 'one.txt'}")
    (scores,) = result["evaluations"][0]["results"]
    assert scores["word_perplexity"] is None and scores["bits_per_byte"] > 0
    assert main(["eval", "last", "--lab", str(lab), "--task", f"wikitext={tmp_path / 'one.txt'}"]) == 0


@pytest.mark.parametrize("columns", [None, {"words": ["a"]}])
def test_a_table_that_is_none_of_wikitext_is_refused(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, columns: dict[str, list[str]] | None
) -> None:
    path = tmp_path / "bad.parquet"
    if columns is None:
        path.write_bytes(b"no table")
    else:
        pq.write_table(pa.table(columns), path)
    assert main(["eval", "last", "--lab", str(lab), "--task", f"wikitext={path}"]) == 3
    assert "[bad-task]" in capsys.readouterr().err


def test_a_split_without_text_is_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small_recipe(tmp_path)
    values = yaml.safe_load(recipe.read_text())
    values["evaluate"] = {"splits": ["test"]}
    values["data"] |= {"test_fraction": 0.0}
    recipe.write_text(yaml.safe_dump(values))
    assert main(["run", str(recipe), "--lab", str(tmp_path / "lab")]) == 0
    capsys.readouterr()
    assert main(["eval", "last", "--lab", str(tmp_path / "lab"), "--split", "test"]) == 0
    assert "no text in these splits" in capsys.readouterr().out
