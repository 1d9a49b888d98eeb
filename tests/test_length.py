"""How long a run trains, why it stops, and how another one goes on from where it stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.recipe.length import steps_of_epochs, steps_of_tokens
from groundup.recipe.load import resolve
from groundup.store.runs import Run, all_runs
from groundup.train import checkpoint
from groundup.train.continuation import find_origin
from groundup.train.keeping import resume, save
from groundup.train.loop import train


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


def run(recipe: Path, lab: Path, *overrides: str) -> Run:
    """A run made by the command line; the newest of the lab."""
    assert main(["train", str(recipe), *overrides, "--lab", str(lab)]) == 0
    return all_runs(lab)[-1]


def event(found: Run, name: str) -> dict[str, Any]:
    return next(event for event in found.events() if event["event"] == name)


# -- lengths -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**12), st.integers(1, 10**6))
def test_steps_of_tokens_are_the_fewest_that_reach_them(tokens: int, per_update: int) -> None:
    steps = steps_of_tokens(tokens, per_update)
    assert steps * per_update >= tokens and (steps == 1 or (steps - 1) * per_update < tokens)


@given(st.floats(0.01, 100), st.lists(st.tuples(st.floats(0.01, 1), st.integers(1000, 10**9)), min_size=1, max_size=4))
def test_steps_of_epochs_are_the_fewest_that_show_the_source_seen_most_so_often(
    epochs: float, sources: list[tuple[float, int]]
) -> None:
    share = {str(number): part for number, (part, _) in enumerate(sources)}
    tokens = {str(number): size for number, (_, size) in enumerate(sources)}
    steps = steps_of_epochs(epochs, 100, share, tokens)

    def seen(steps: int) -> float:
        return max(steps * 100 * share[name] / tokens[name] for name in share)

    assert seen(steps) >= epochs * (1 - 1e-9) and (steps == 1 or seen(steps - 1) < epochs * (1 + 1e-9))


def test_the_length_of_the_strongest_layer_decides(recipe: Path) -> None:
    train = resolve(str(recipe), ["train.tokens=1000"]).recipe.train
    assert (train.steps, train.tokens) == (8, 1000)  # 128 in an update; the file says 40 steps
    assert resolve(str(recipe), ["train.steps=7"]).recipe.train.steps == 7
    assert resolve(str(recipe), ["train.epochs=2"]).recipe.train.epochs == 2


@pytest.mark.parametrize(
    "two",
    [
        ["train.steps=5", "train.tokens=128"],
        ["train.tokens=128", "train.epochs=1"],
        ["train.steps=5", "train.epochs=1"],
    ],
)
def test_two_lengths_that_differ_are_a_conflict(recipe: Path, two: list[str]) -> None:
    with pytest.raises(GroundupError) as refused:
        resolve(str(recipe), two)
    assert refused.value.code == "recipe-conflict"


@pytest.mark.parametrize("length", ["steps=7", "tokens=1000", "epochs=2"])
def test_a_recipe_that_was_shown_can_be_read_back(
    recipe: Path, tmp_path: Path, length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(recipe), f"train.{length}", "--json"]) == 0
    shown = tmp_path / "shown.yaml"
    shown.write_text(yaml.safe_dump(json.loads(capsys.readouterr().out)["recipe"]))
    assert resolve(str(shown)).recipe == resolve(str(recipe), [f"train.{length}"]).recipe


def test_the_same_length_said_in_three_ways_is_one_run(recipe: Path, tmp_path: Path) -> None:
    first = run(recipe, tmp_path / "lab", "train.epochs=0.5", "train.warmup=0")
    steps = event(first, "trained")["step"]
    share = first.lineage()["epochs"]["mine"]
    tokens = first.read_json("shards.json")["counts"]["mine"]["train"]["tokens"]
    assert share == steps * 128 / tokens and share - 128 / tokens < 0.5 <= share
    assert resolve(str(first.path / "recipe.yaml")).recipe.train.steps == steps
    run(recipe, tmp_path / "lab", f"train.steps={steps}", "train.warmup=0")
    run(recipe, tmp_path / "lab", f"train.tokens={steps * 128}", "train.warmup=0")
    assert len(all_runs(tmp_path / "lab")) == 1


# -- stopping ------------------------------------------------------------------------------------------------------


def test_patience_stops_after_so_many_scorings_that_are_not_better_and_survives_an_interruption(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["train.patience=3", "train.valid_every=1", "train.checkpoint_every=1", "train.sample_every=100"]
    scores = {1: 3.0, 2: 2.0, 3: 2.5, 4: 2.0, 5: 2.1, 6: 1.0}

    def patched(one: Any) -> Any:
        monkeypatch.setattr(one, "_score", lambda kind: scores[one.step])
        return one

    one = patched(trainer(recipe, tmp_path / "lab", *options))
    resume(one)
    for _ in range(3):
        one.update()
        one.validate()
        save(one)
    again = patched(trainer(recipe, tmp_path / "lab", *options))
    train(again)
    assert event(again.run, "trained")["step"] == 5
    assert event(again.run, "trained")["because"] == "patience"
    after = patched(trainer(recipe, tmp_path / "lab", *options))
    train(after)
    assert after.step == 5, "what was stopped stays stopped"


def test_a_run_stopped_by_the_clock_is_saved_scored_and_finished(recipe: Path, tmp_path: Path) -> None:
    lab, options = tmp_path / "lab", ["train.minutes=1e-9", "train.checkpoint_every=1000"]
    assert main(["run", str(recipe), *options, "--lab", str(lab)]) == 0
    (found,) = all_runs(lab)
    assert {key: event(found, "finished")[key] for key in ("step", "because")} == {"step": 1, "because": "minutes"}
    assert checkpoint.select(found, "last").valid_bpb is not None
    assert found.finished()


# -- training longer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["train.optimizer=muon", "train.ema=0.9"]], ids=["adamw", "muon, average"])
def test_a_run_that_continues_another_ends_with_the_bits_of_one_that_went_straight_through(
    recipe: Path, tmp_path: Path, options: list[str]
) -> None:
    lab = tmp_path / "lab"
    options = [*options, "train.schedule=constant", "train.warmup=2"]
    through = run(recipe, lab, *options, "train.steps=8")
    short = run(recipe, lab, *options, "train.steps=4")
    longer = run(recipe, lab, *options, "train.steps=8", f"train.continue_from={short.name}")
    assert len({through.name, short.name, longer.name}) == 3
    assert_equal_bits(weights(through), weights(longer))
    assert_equal_bits(*(checkpoint.load_optimizer(checkpoint.select(one, "last")) for one in (through, longer)))


def test_a_continued_run_names_its_origin_and_resumes_from_its_own_checkpoints(recipe: Path, tmp_path: Path) -> None:
    lab, options = tmp_path / "lab", ["train.schedule=linear", "train.warmup=0", "train.checkpoint_every=2"]
    short = run(recipe, lab, *options, "train.steps=4", "train.keep=9")
    longer = [*options, "train.steps=8", f"train.continue_from={short.name}@2"]
    found = run(recipe, lab, *longer, "train.log_every=1")
    assert found.lineage()["continued_from"] == f"{short.name}@2"
    chain = found.lineage()["chain"]
    assert [link["stage"] for link in chain] == ["corpus", "tokenizer", "shards", "run", "run"]
    assert chain[-1]["inputs"][-1]["id"] == f"{short.name}@2" and chain[-2]["id"] == short.name
    assert resolve(str(found.path / "recipe.yaml")).recipe.train.continue_from == f"{short.name}@2"
    rates = [row["lr"] for row in found.metrics() if row["kind"] == "train"]
    before = checkpoint.select(short, "2").state["factor"] * 5e-3
    assert len(rates) == 6 and before == pytest.approx(rates[0]) and rates[-1] == pytest.approx(5e-4)

    origin = find_origin(lab, f"{short.name}@2")
    part = [one for one in longer if "continue" not in one]
    broken = trainer(recipe, tmp_path / "two", *part, "train.log_every=1")
    resume(broken, origin)
    for _ in range(3):
        broken.update()
    save(broken)
    again = trainer(recipe, tmp_path / "two", *part, "train.log_every=1")
    train(again, origin)
    assert_equal_bits(weights(found), weights(again.run))


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (["model.width=48"], "width"),
        (["tokenizer.vocab_size=290"], "vocab_size"),
        (["train.optimizer=muon"], "optimizer"),
        (["train.tokens_per_update=256"], "tokens_per_update"),
        (["train.steps=4"], "4 steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_that_cannot_be_continued_is_refused_with_the_reason(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], other: list[str], word: str
) -> None:
    lab = tmp_path / "lab"
    short = run(recipe, lab, "train.steps=4", "train.warmup=0")
    command = ["train", str(recipe), f"train.continue_from={short.name}", "train.warmup=0", *other, "--lab", str(lab)]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "[cannot-continue]" in err and word in err
    assert all_runs(lab) == [short]


def test_the_last_run_cannot_be_what_is_continued(recipe: Path, tmp_path: Path) -> None:
    short = run(recipe, tmp_path / "lab", "train.steps=2", "train.warmup=0")
    with pytest.raises(GroundupError) as refused:
        find_origin(tmp_path / "lab", "last@2")
    assert refused.value.code == "cannot-continue" and short.name in refused.value.fix
