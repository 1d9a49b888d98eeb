"""A sweep compares tokenizers at equal parameters, equal text and equal updates, in one unit."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.cli import main
from groundup.data.world import tell
from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.size import parameters
from groundup.recipe.load import resolve
from groundup.science.sweep import parse, same_size, sweep

MODEL = resolve("20m", []).recipe.model
TARGET = sum(parameters(configure(MODEL, 8192)).values())


@given(vocabulary=st.integers(258, 40_000), family=st.sampled_from(["classic", "modern"]), tied=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_model_of_any_vocabulary_has_the_parameters_asked_for(vocabulary: int, family: str, tied: bool) -> None:
    model = resolve("20m", [f"model.family={family}", f"model.tied={str(tied).lower()}"]).recipe.model
    target = sum(parameters(configure(model, 8192)).values())
    try:
        shape = same_size(model, vocabulary, target)
    except GroundupError as error:
        assert error.code == "recipe-conflict" and vocabulary * 384 * (1 if tied else 2) > 0.9 * target
        return
    size = sum(parameters(configure(model.model_copy(update=shape), vocabulary)).values())
    assert abs(size / target - 1) < 0.005
    assert shape["feed_forward"] % 8 == 0


def test_the_recipe_s_own_vocabulary_gives_the_recipe_s_own_shape() -> None:
    assert same_size(MODEL, 8192, TARGET) == {"layers": MODEL.layers, "feed_forward": MODEL.feed_forward}


def test_the_command_line_is_a_recipe_values_to_try_and_overrides() -> None:
    assert parse(["vocab=1k,2000", "kind=bpe,bytes"]) == ("20m", [], {"vocab": [1024, 2000], "kind": ["bpe", "bytes"]})
    assert parse(["mine.yaml", "train.steps=5", "digits=1,3", "seed=1,2"]) == (
        "mine.yaml", ["train.steps=5"], {"digits": [1, 3], "seed": [1, 2]}
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["mine.yaml"], ["seed=1,2"], ["vocab=many"], ["vocab="], ["vocab=1,,2"]])
def test_a_sweep_of_nothing_or_of_nonsense_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(GroundupError) as refusal:
        parse(words)
    assert refusal.value.code == "usage"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for name, register in (("stories", "stories"), ("facts", "encyclopedia")):
        texts = [tell(register, number).text for number in range(200)]
        (tmp_path / f"{name}.txt").write_text("\n---\n".join(texts))
    source = {"delimiter": "---"}
    values = {
        "name": "tiny",
        "data": {
            "sources": {name: {"path": str(tmp_path / f"{name}.txt"), **source} for name in ("stories", "facts")},
            "mix": {"stories": 0.7, "facts": 0.3},
            "valid_fraction": 0.1,
            "test_fraction": 0,
            "near_duplicates": None,
        },
        "tokenizer": {"vocab_size": 400},
        "model": {"layers": 3, "width": 32, "heads": 2, "context": 32},
        "train": {"steps": 6, "tokens_per_update": 1024, "warmup": 0, "valid_bytes": 5000, "device": "cpu"},
        "evaluate": {"splits": ["valid"]},
        "sample": {"prompts": ["The"], "max_tokens": 4},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "tiny.yaml"


def test_every_tokenizer_s_model_sees_the_same_text_and_is_judged_by_the_same_text(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tokenizer", "sweep", str(recipe), "vocab=300,600", "kind=bpe,bytes,characters", "--train", "--json"]
    assert main([*command, "seed=1,2", "--lab", str(tmp_path / "lab")]) == 0
    facts = json.loads(capsys.readouterr().out)
    rows = facts["rows"]
    assert len(rows) == 6 and [row["bpb"] for row in rows] == sorted(row["bpb"] for row in rows)
    assert {row["kind"]: row["vocabulary"] for row in rows if "300" in row["tokenizer"]} == {
        "bpe": 300, "bytes": 258, "characters": next(r["vocabulary"] for r in rows if r["kind"] == "characters")
    }  # fmt: skip
    seen = [row["MB seen"] for row in rows]
    assert max(seen) / min(seen) < 1.03
    sizes = [row["model"] for row in rows]
    assert max(sizes) / min(sizes) < 1.06  # a step of the feed-forward width is 5 % of so small a model
    held_out = set()
    for row in rows:
        assert len(row["runs"]) == 2 and row["bpb stderr"] > 0
        run = tmp_path / "lab" / "runs" / row["runs"][0]
        (scores,) = (run / "evaluations").glob("*.json")
        held_out.add(tuple((s["source"], s["bytes"]) for s in json.loads(scores.read_text())["scores"]))
        for line in (run / "metrics.jsonl").read_text().splitlines():
            if json.loads(line)["kind"] == "valid" and json.loads(line)["source"] != "all":
                held_out.add(json.loads(line)["bytes"])
    assert len(held_out) == 1 + 2, "one text for the final score, and one a source for scores while training"
    assert main([*command, "seed=1,2", "--lab", str(tmp_path / "lab")]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out)["rows"] == rows and "is finished" not in again.err


def test_without_training_a_sweep_says_what_each_vocabulary_would_cost(recipe: Path, tmp_path: Path) -> None:
    facts = sweep(resolve(str(recipe), []), {"vocab": [300, 600]}, tmp_path / "lab", train=False)
    small, large = facts["rows"]
    assert large["bytes/token"] > small["bytes/token"] and large["embedding"] == 2 * small["embedding"]
    assert "bpb" not in large and not (tmp_path / "lab" / "runs").exists()


def test_a_vocabulary_that_takes_all_parameters_is_refused_before_anything_is_trained(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tokenizer", "sweep", str(recipe), "vocab=300,1000", "model.layers=1", "model.feed_forward=8", "--train"]
    assert main([*command, "--lab", str(tmp_path / "lab")]) == 2
    assert "leaves nothing of" in capsys.readouterr().err
    assert not (tmp_path / "lab" / "runs").exists()
