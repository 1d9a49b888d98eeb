"""What stands beside a trained model is what it says: the weights of step 0, and counts of the training text."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from small_recipe import small_recipe

from groundup.cli import main
from groundup.evaluate import ngram
from groundup.science import beside, evaluation
from groundup.science.evaluation_record import judge
from groundup.store.runs import find
from groundup.tokens.pack import read_documents, read_shards
from groundup.train.checkpoint import load_model, select


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beside")
    recipe = small_recipe(folder)
    values = yaml.safe_load(recipe.read_text())
    names = ("cat", "dog", "hen", "fox", "owl")
    told = [
        f"Once there was a {one}. It had a {two} for a friend. One day the {one} saw a hill. "
        f"The {two} did not want to go. Then they ran home {number} times. The {one} was very happy."
        for one in names
        for two in names
        for number in range(12)
    ]
    (folder / "text.txt").write_text("\n---\n".join(told))
    values["model"]["context"] = 64
    values["train"] |= {"tokens_per_update": 256, "steps": 4}
    values["data"] |= {"near_duplicates": None, "valid_fraction": 0.3}
    recipe.write_text(yaml.safe_dump(values))
    assert main(["train", str(recipe), "--lab", str(folder / "lab")]) == 0
    return folder / "lab"


def result(lab: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["eval", "last", "--lab", str(lab), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_untrained_model_has_the_weights_of_step_0(lab: Path, tmp_path: Path) -> None:
    recipe = find(lab, "last").path / "recipe.yaml"
    values = yaml.safe_load(recipe.read_text())
    values["train"] |= {"steps": 1, "learning_rate": 1e-30, "weight_decay": 0.0, "warmup": 0}
    (tmp_path / "still.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", str(tmp_path / "still.yaml"), "--lab", str(tmp_path / "lab")]) == 0
    still = find(tmp_path / "lab", "last")
    one = judge(still, "last", "cpu")
    theirs = load_model(select(still, "last"), one.device.device).state_dict()
    for name, weight in beside.untrained(one).model.state_dict().items():
        assert np.allclose(weight, theirs[name], rtol=0, atol=1e-12), name


def test_the_trigram_is_counted_from_the_training_shards_alone(lab: Path) -> None:
    judged = judge(find(lab, "last"), "last", "cpu")
    shards = judged.run.shards().path
    documents = []
    for tokens, records in zip(
        read_shards(shards, "mine", "train"), read_documents(shards, "mine", "train"), strict=True
    ):
        for start in records["start"].tolist():
            rest = np.asarray(tokens[start:], dtype=np.int64)
            documents.append(rest[: int(np.argmax(rest == judged.encoding.end))])
    expected = ngram.fit(documents, judged.encoding.vocab_size, judged.encoding.end)
    found = beside.trigram(judged)
    assert np.array_equal(found.unigram, expected.unigram) and len(found.levels) == len(expected.levels) == 2
    for one, other in zip(found.levels, expected.levels, strict=True):
        assert np.array_equal(one.keys, other.keys) and np.array_equal(one.shares, other.shares)


def test_baselines_stand_beside_splits_and_items_made_of_the_runs_own_held_out_text(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--baseline", "untrained", "--baseline", "trigram")
    found = result(lab, capsys, "--split", "valid", "--task", "held-out", *both)
    row = next(row for row in found["scores"] if row["source"] == "mine")
    assert row["trigram_bpb"] < row["bpb"] < row["untrained_bpb"], "four updates are few, and this text is regular"
    (task,) = found["evaluations"]
    assert task["task"]["name"] == "mine-valid" and task["results"][0]["n"] >= 20
    assert task["baselines"]["constant"] == 0.5 and 0 <= task["baselines"]["untrained"] <= 1
    assert task["baselines"]["trigram"] > 0.5


@pytest.mark.parametrize(
    ("words", "code"), [(["--baseline", "nobody"], "usage"), (["--task", "held-out=theirs"], "unknown-task")]
)
def test_a_baseline_or_source_that_is_none_is_refused(
    lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    assert main(["eval", "last", "--lab", str(lab), *words]) == 2
    assert f"[{code}]" in capsys.readouterr().err


def test_the_first_tokens_of_one_long_document_are_counted(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "TRIGRAM_TOKENS", 5)
    shards = find(lab, "last").shards().path
    assert [len(ids) for ids in beside._first(shards, "mine")] == [5]


def test_baselines_are_judged_as_the_model_is_by_bytes_windows_and_sources(lab: Path) -> None:
    judged = judge(find(lab, "last"), "last", "cpu")
    shards = judged.run.shards().path
    size = sum(int(records["bytes"].sum()) for records in read_documents(shards, "mine", "valid"))
    both = beside.Baselines(judged, ["untrained", "trigram"])
    plain, sliding = both.bits("valid", False, None), both.bits("valid", False, 16)
    assert plain["trigram"] == sliding["trigram"] and plain["trigram"]["all"] == plain["trigram"]["mine"]
    documents = list(beside._documents(shards, "mine", "valid"))
    nats = -sum(float(ngram.log_probabilities(both.trigram, ids).sum()) for ids in documents)
    assert plain["trigram"]["mine"] == pytest.approx(nats / size / np.log(2))
    assert plain["untrained"] != sliding["untrained"]


def test_baselines_are_in_the_table_also_when_they_are_read_again(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        capsys.readouterr()
        assert main(["eval", "last", "--lab", str(lab), "--split", "valid", "--baseline", "trigram"]) == 0
        head = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("split"))
        assert head.split()[:5] == ["split", "source", "bpb", "±", "trigram"]


def test_items_of_held_out_text_that_do_not_fit_are_left_out_with_their_twins(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = judge(find(lab, "last"), "last", "cpu")
    whole = evaluation._held_out(judged, "")
    lengths = [max(len(judged.encoding.encode(scored)) for _, scored in item.options) for item in whole.items]
    kinds = sorted(set(lengths))
    context = kinds[len(kinds) // 2] - 1
    short = replace(judged, model=SimpleNamespace(config=SimpleNamespace(context=context)))  # type: ignore[arg-type]
    part = evaluation._fitting(short, whole)
    units = {item.unit for item in part.items}
    assert 0 < len(part.items) < len(whole.items) and part.sha256 != whole.sha256
    assert all((item.unit in units) == (item in part.items) for item in whole.items)
    assert "longer than the model's context" in capsys.readouterr().err
