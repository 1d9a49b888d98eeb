"""Training does what it says: it learns, it is exact, and nothing that happens to the process changes the weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe

from groundup.cli import main
from groundup.store.runs import all_runs
from groundup.train import checkpoint
from groundup.train.keeping import save
from groundup.train.loop import train


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


@pytest.mark.parametrize("family", ["classic", "modern"])
def test_a_model_can_learn_one_batch_by_heart(recipe: Path, tmp_path: Path, family: str) -> None:
    one = trainer(recipe, tmp_path / "lab", f"model.family={family}", "model.dropout=0", "train.learning_rate=0.01")
    batch = one.feed.batch(0)
    one.feed.batch = lambda step: batch  # type: ignore[method-assign]
    for _ in range(150):
        one.recipe = one.recipe.model_copy(update={"train": one.recipe.train.model_copy(update={"steps": 150})})
        one.interval.nats = 0.0
        one.update()
    assert float(one.interval.nats) / batch[:, 1:].numel() < 0.1


def test_micro_batches_add_up_to_the_same_update(recipe: Path, tmp_path: Path) -> None:
    whole, parts = (
        trainer(recipe, tmp_path / "lab", "model.dropout=0", f"train.micro_batch={size}") for size in (4, 1)
    )
    for one in (whole, parts):
        for _ in range(3):
            one.update()
    for mine, theirs in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["classic", "modern"])
@pytest.mark.parametrize("saving", ["train.loss_chunk=50", "train.activation_checkpointing=full"])
def test_saving_memory_changes_no_update(recipe: Path, tmp_path: Path, saving: str, family: str) -> None:
    plain, saved = (trainer(recipe, tmp_path / "lab", f"model.family={family}", *more) for more in ([], [saving]))
    for one in (plain, saved):  # dropout is on
        for _ in range(3):
            one.update()
    assert float(plain.interval.text_nats) == pytest.approx(float(saved.interval.text_nats), rel=1e-6)
    for mine, theirs in zip(plain.model.parameters(), saved.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        ["model.family=classic", "train.precision=fp32"],
        ["model.family=classic", "train.precision=bf16"],
        ["model.family=modern", "train.precision=fp32"],
        ["model.family=modern", "train.precision=bf16"],
        ["train.optimizer=muon", "train.ema=0.9", "train.schedule=wsd"],
    ],
    ids=" ".join,
)
def test_a_resumed_run_ends_with_the_same_bits(recipe: Path, tmp_path: Path, options: list[str]) -> None:
    through = trainer(recipe, tmp_path / "one", *options)
    train(through)
    broken = trainer(recipe, tmp_path / "two", *options)
    for _ in range(13):
        broken.update()
    save(broken)
    again = trainer(recipe, tmp_path / "two", *options)  # a new process: other memory, other random state
    torch.manual_seed(999)
    train(again)
    assert_equal_bits(weights(through.run), weights(again.run))
    assert_equal_bits(*(checkpoint.load_optimizer(checkpoint.select(one.run, "last")) for one in (through, again)))


def test_the_average_is_scored_beside_the_weights_and_changes_no_run(recipe: Path, tmp_path: Path) -> None:
    without, averaged = trainer(recipe, tmp_path / "one"), trainer(recipe, tmp_path / "two", "train.ema=0.9")
    for one in (without, averaged):
        train(one)
    assert_equal_bits(weights(without.run), weights(averaged.run))
    scores = {
        kind: [row for row in averaged.run.metrics() if row["kind"] == kind] for kind in ("valid", "valid_average")
    }
    assert [row["bpb"] for row in scores["valid"]] == [
        row["bpb"] for row in without.run.metrics() if row["kind"] == "valid"
    ]
    steps = [(row["step"], row["source"]) for row in scores["valid"]]
    assert steps and steps == [(row["step"], row["source"]) for row in scores["valid_average"]]
    saved = checkpoint.load_optimizer(checkpoint.select(averaged.run, "last"))
    for name, value in weights(averaged.run).items():  # the last score is that of the average that was saved
        averaged.model.get_parameter(name).data = saved[f"{name}/average"]
        assert saved[f"{name}/average"].shape == value.shape
    assert averaged._score("again") == scores["valid_average"][-1]["bpb"]


def start(recipe: Path, lab: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "groundup.cli", "run", str(recipe), "--lab", str(lab)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_a_run_killed_half_way_and_started_again_ends_with_the_same_bits(recipe: Path, tmp_path: Path) -> None:
    through, killed = tmp_path / "one", tmp_path / "two"
    assert start(recipe, through).wait(120) == 0
    process = start(recipe, killed)
    deadline = time.monotonic() + 120
    while not list(killed.glob("runs/*/checkpoints/step-00000020")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (run,) = all_runs(killed)
    assert not run.finished()
    assert start(recipe, killed).wait(120) == 0
    (expected,) = all_runs(through)
    assert_equal_bits(weights(expected), weights(run))
    steps = [row["step"] for row in run.metrics() if row["kind"] == "train"]
    assert steps == sorted(set(steps)) and steps[-1] == 40, "metrics have neither gaps nor doubles"


def test_the_same_recipe_again_does_nothing(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", str(recipe), "--lab", str(tmp_path / "lab")]
    assert main(command) == 0
    files = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "lab").rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
    capsys.readouterr()
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().err
    for path, modified in files.items():
        assert path.stat().st_mtime_ns == modified, path


def test_another_mix_with_the_tokenizer_kept_redoes_training_alone(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("---".join(f"Number {n} is {n * 7} over seven." for n in range(100)))
    lab = tmp_path / "lab"
    both = [f"data.sources.other.path={tmp_path / 'other.txt'}", "data.sources.other.delimiter=---", "train.steps=2"]
    mixed = ["data.mix.mine=0.7", "data.mix.other=0.3"]
    assert main(["run", str(recipe), *both, *mixed, "--lab", str(lab)]) == 0
    (trained,) = lab.glob("artifacts/tokenizer-*")
    capsys.readouterr()
    even = ["data.mix.mine=0.5", "data.mix.other=0.5", f"tokenizer.use={trained.name}"]
    assert main(["run", str(recipe), *both, *even, "--lab", str(lab)]) == 0
    err = capsys.readouterr().err
    assert "made" not in err and "corpus: reused" in err and "shards: reused" in err
    assert len(all_runs(lab)) == 2
    assert {run.lineage()["mix"]["mine"] for run in all_runs(lab)} == {0.7, 0.5}


def test_a_diverging_run_stops_with_its_code_and_saves_nothing_broken(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    code = main(
        ["run", str(recipe), "train.learning_rate=1e30", "train.warmup=0", "train.precision=bf16", "--lab", str(lab)]
    )
    assert code == 5
    assert "[diverged]" in capsys.readouterr().err
    for path in lab.glob("runs/*/checkpoints/step-*/model.safetensors"):
        assert all(value.isfinite().all() for value in load_file(path).values())


def test_a_run_explains_itself_without_groundup(recipe: Path, tmp_path: Path) -> None:
    assert main(["run", str(recipe), "--lab", str(tmp_path / "lab")]) == 0
    (run,) = all_runs(tmp_path / "lab")
    expected = {
        "recipe.yaml",
        "lineage.json",
        "tokenizer.json",
        "corpus.json",
        "shards.json",
        "metrics.jsonl",
        "samples.jsonl",
        "events.jsonl",
        "report.html",
        "checkpoints",
        "evaluations",
    }
    assert expected <= {path.name for path in run.path.iterdir()}
    chain = run.lineage()["chain"]
    assert [link["stage"] for link in chain] == ["corpus", "tokenizer", "shards", "run"]
    for before, after in ((0, 1), (0, 2), (1, 2), (2, 3)):  # each link names the hashes of what it was made from
        assert {"id": chain[before]["id"], "sha256": chain[before]["sha256"]} in chain[after]["inputs"]
    assert chain[0]["inputs"][0]["sha256"], "raw bytes are the chain's beginning"


def test_retention_keeps_the_newest_and_the_best(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "train.keep=2")
    for step, bpb in ((1, 3.0), (2, 1.0), (3, 2.0), (4, None), (5, 2.5)):
        one.step, one.valid_bpb = step, bpb
        if step == 1:
            one.update()
            one.step = 1
        save(one)
    found, problems = checkpoint.whole(one.run)
    assert ([each.step for each in found], problems) == ([2, 4, 5], [])
    assert checkpoint.select(one.run, "best").step == 2


def test_a_prompt_that_does_not_fit_is_refused_before_the_first_step(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    command = ["run", str(tiny), "--lab", str(lab), f"sample.prompts=[{'the cat sat ' * 40!r}]"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "[bad-prompt]" in said and "step 1" not in said
