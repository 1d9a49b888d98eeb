"""No update that is not finite reaches the weights; what goes on is answered by going back, and all of it is exact."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe
from torch import Tensor

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.store.runs import Run, all_runs
from groundup.train import checkpoint, guard, optimizer, spikes
from groundup.train.keeping import save
from groundup.train.loop import Trainer, train
from groundup.train.spikes import LASTING, LEAST, Recent


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


def everything(one: Trainer) -> dict[str, Tensor]:
    """Weights, optimizer and average, as copies."""
    found = {name: value.detach().clone() for name, value in one.model.named_parameters()}
    found |= {name: value.clone() for name, value in optimizer.state_tensors(one.model, one.optimizer).items()}
    return found | ({name: value.clone() for name, value in one.average.state_tensors().items()} if one.average else {})


def poison_loss(one: Trainer, steps: Iterable[int], value: float = math.nan) -> None:
    """Make the loss of these steps, counted from 0, so."""
    before: Any = one.gradients.objective

    def objective(*inputs: Any) -> tuple[Tensor, Tensor]:
        total, nats = before(*inputs)
        return (total * value, nats * value) if one.step in steps else (total, nats)

    one.gradients.objective = objective


def poison_gradient(one: Trainer, steps: Iterable[int], value: float = math.inf) -> None:
    """Make one number of one parameter's gradient so, in the second block, whatever the loss is."""
    parameter = one.model.get_parameter("blocks.1.attention.output.weight")

    def hook(weight: Tensor) -> None:
        if one.step in steps and weight.grad is not None:
            weight.grad.view(-1)[3] = value

    parameter.register_post_accumulate_grad_hook(hook)


def poison_batch(one: Trainer, steps: Iterable[int]) -> None:
    """Text of these steps in which every token is a random one: what a broken shard would give."""
    before = one.feed.batch

    def batch(step: int) -> Tensor:
        found = before(step)
        if step not in steps:
            return found
        generator = torch.Generator().manual_seed(step)
        return torch.randint(0, one.encoding.vocab_size, found.shape, generator=generator)

    one.feed.batch = batch  # type: ignore[method-assign]


Poison = Callable[..., None]
POISONS: dict[str, tuple[Poison, float, str]] = {
    "nan loss": (poison_loss, math.nan, "loss"),
    "inf loss": (poison_loss, math.inf, "loss"),
    "nan gradient": (poison_gradient, math.nan, "gradient"),
    "inf gradient": (poison_gradient, math.inf, "gradient"),
}


def events(run: Run, name: str) -> list[dict[str, Any]]:
    return [row for row in run.events() if row["event"] == name]


@pytest.mark.parametrize("which", ["adamw", "muon"])
@pytest.mark.parametrize("poison", POISONS)
def test_what_is_not_finite_changes_neither_weights_nor_optimizer_nor_average(
    recipe: Path, tmp_path: Path, poison: str, which: str
) -> None:
    inject, value, _ = POISONS[poison]
    one = trainer(recipe, tmp_path / "lab", f"train.optimizer={which}", "train.ema=0.9", "train.micro_batch=2")
    inject(one, {0, 3}, value)
    for bad in (True, False, False, True, False):
        before = everything(one)
        one.update()
        after = everything(one)
        if bad and one.step > 1:
            assert_equal_bits(before, after)
        elif bad:  # AdamW's state is made in the first step
            assert all(torch.equal(before[name], after[name]) for name in before)
            assert not any(after[name].any() for name in after if name.endswith(("exp_avg", "step", "momentum")))
        else:
            assert any(not torch.equal(before.get(name, after[name]), value) for name, value in after.items())
        assert all(value.isfinite().all() for value in after.values())


@pytest.mark.parametrize("which", ["adamw", "muon"])
def test_a_step_that_is_left_out_is_as_if_it_had_not_been(recipe: Path, tmp_path: Path, which: str) -> None:
    options = [f"train.optimizer={which}", "train.schedule=constant", "train.warmup=0", "model.dropout=0"]
    poisoned, clean = (trainer(recipe, tmp_path / "lab", *options) for _ in range(2))
    poison_loss(poisoned, {2})
    for step in (0, 1, 2, 3):
        poisoned.update()
        if step != 2:
            clean.step = step
            clean.update()
    assert_equal_bits(everything(poisoned), everything(clean))


def test_updates_are_those_of_clipping_and_stepping_as_torch_does(recipe: Path, tmp_path: Path) -> None:
    """The normal path, bit for bit, as it would be without a guard."""
    one, other = (trainer(recipe, tmp_path / "lab", "train.clip=0.3", "train.optimizer=muon") for _ in range(2))
    for step in range(4):
        one.update()
        optimizer.set_factor(other.optimizer, other.factor(step))
        other.gradients.of(other.feed.batch(step), step, other.run)
        torch.nn.utils.clip_grad_norm_(other.model.parameters(), 0.3)
        other.optimizer.step()
        other.optimizer.zero_grad(set_to_none=True)
    assert_equal_bits(everything(one), everything(other))


@pytest.mark.parametrize("poison", POISONS)
def test_what_was_left_out_is_written_down_with_its_place_in_the_text(
    recipe: Path, tmp_path: Path, poison: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inject, value, what = POISONS[poison]
    one = trainer(recipe, tmp_path / "lab", "train.steps=10", "train.log_every=5")
    inject(one, {6}, value)
    train(one)
    (event,) = events(one.run, "left-out")
    assert (event["step"], event["what"]) == (7, what)
    assert ("blocks.1.attention.output.weight" in event["parameters"]) and (
        len(event["parameters"]) == 1 or what == "loss"
    )
    rows = event["sequences"]["mine"]
    _, starts = one.feed.stream.places(6)
    assert [row["token"] for row in rows] == starts.tolist() and all(len(row["document"]) == 16 for row in rows)
    json.dumps(event, allow_nan=False)
    assert f"the {what} of step 7 is not finite: the update is left out" in capsys.readouterr().err
    first, second = [row for row in one.run.metrics() if row["kind"] == "train"]
    assert (first["left_out"], second["left_out"]) == (0, 1)
    assert abs(second["loss"] - first["loss"]) < 1 and second["overflows"] == 0, "it is not in the mean"


def test_a_run_with_a_step_left_out_resumes_to_the_same_bits(recipe: Path, tmp_path: Path) -> None:
    runs = []
    for name, stops in (("through", ()), ("broken", (6, 7))):
        for stop in (*stops, None):  # before the step that is left out, and behind it
            one = trainer(recipe, tmp_path / name, "train.steps=12", "train.ema=0.9")
            poison_gradient(one, {6})
            if stop is None:
                train(one)
            else:
                stop_at(one, stop)
        runs.append(one.run)
    assert_equal_bits(*(weights(run) for run in runs))
    assert_equal_bits(*(checkpoint.load_optimizer(checkpoint.select(run, "last")) for run in runs))


def stop_at(one: Trainer, step: int) -> None:
    """Train until a signal comes in this step."""
    before = one.update

    def update() -> None:
        before()
        if one.step == step:
            one.interrupt.requests.second(15, 0.0)

    one.update = update  # type: ignore[method-assign]
    with pytest.raises(GroundupError) as stopped:
        train(one)
    assert stopped.value.code == "interrupted"


def test_three_in_a_row_go_back_to_the_last_checkpoint_and_leave_the_steps_between_out(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["train.steps=30", "train.checkpoint_every=5", "train.keep=10", "train.log_every=1"]
    one = trainer(recipe, tmp_path / "lab", *options)
    poison_loss(one, {12, 13, 14})  # a checkpoint is written after the second and third of them would be
    train(one)
    (event,) = events(one.run, "rolled-back")
    assert (event["to"], event["left_out"], event["step"]) == (10, [11, 15], 15)
    (row,) = [row for row in one.run.metrics() if row["kind"] == "rollback"]
    assert row["left_out"] == [11, 15]
    after = load_file(checkpoint.select(one.run, "15").path / "model.safetensors")
    assert_equal_bits(after, load_file(checkpoint.select(one.run, "10").path / "model.safetensors"))
    saved = checkpoint.select(one.run, "last")
    assert saved.step == 30 and saved.state["guard"]["left_out"] == [[11, 15]]
    steps = [row["step"] for row in one.run.metrics() if row["kind"] == "train"]
    assert steps == sorted(set(steps)) and steps[-1] == 30
    assert "back to the weights of step 10; steps 11 to 15 are left out" in capsys.readouterr().err


def test_two_in_a_row_are_only_left_out(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "train.steps=12", "train.checkpoint_every=5")
    poison_loss(one, {6, 7, 9, 10})
    train(one)
    assert [row["step"] for row in events(one.run, "left-out")] == [7, 8, 10, 11] and not events(one.run, "rolled-back")


@pytest.mark.parametrize("stop", [13, 14, 15, 16, 19])
def test_a_run_that_went_back_resumes_to_the_same_bits(recipe: Path, tmp_path: Path, stop: int) -> None:
    options = ["train.steps=22", "train.checkpoint_every=5", "train.optimizer=muon", "train.ema=0.9"]
    bad = {12, 13, 14}
    through, broken, again = (trainer(recipe, tmp_path / name, *options) for name in ("one", "two", "two"))
    for one in (through, broken, again):
        poison_loss(one, bad)
    train(through)
    stop_at(broken, stop)
    train(again)
    assert again.guard.windows == through.guard.windows == [[11, 15]]
    assert_equal_bits(weights(through.run), weights(again.run))
    assert_equal_bits(*(checkpoint.load_optimizer(checkpoint.select(one.run, "last")) for one in (through, again)))


def test_a_run_killed_after_it_went_back_ends_with_the_same_bits(recipe: Path, tmp_path: Path) -> None:
    """Killed, so that nothing is saved when it ends."""
    options = ["train.steps=22", "train.checkpoint_every=5"]
    through, killed, again = (trainer(recipe, tmp_path / name, *options) for name in ("one", "two", "two"))
    for one in (through, killed, again):
        poison_loss(one, {12, 13, 14})
    train(through)
    update = killed.update

    def dying() -> None:
        if killed.step == 18:
            raise MemoryError("killed")
        update()

    killed.update = dying  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        train(killed)
    train(again)
    assert events(again.run, "resumed")[0]["step"] == 15
    assert_equal_bits(weights(through.run), weights(again.run))
    assert again.guard.state() == through.guard.state()


def test_when_going_back_does_not_help_it_goes_further_back_and_then_gives_up(recipe: Path, tmp_path: Path) -> None:
    options = ["train.checkpoint_every=3", "train.keep=10", "train.rollbacks=2", "train.valid_every=100"]
    one = trainer(recipe, tmp_path / "lab", *options)
    poison_loss(one, range(10, 1000))
    with pytest.raises(GroundupError) as refused:
        train(one)
    assert refused.value.code == "diverged" and refused.value.exit_code == 5
    assert [row["to"] for row in events(one.run, "rolled-back")] == [9, 6]
    for words in ("3 updates in a row were not finite", "after 2 roll-backs", "before, the loss was", "gradient norm"):
        assert words in refused.value.what
    for words in ("; learning rate 0.00", "precision fp32", "not finite first: ", "(head, matrix, vector)"):
        assert words in refused.value.what
    assert "train.learning_rate" in refused.value.fix
    (event,) = events(one.run, "diverged")
    assert event["step"] == 19
    again = trainer(recipe, tmp_path / "lab", *options)
    poison_loss(again, range(10, 1000))
    with pytest.raises(GroundupError):  # and the same command comes to the same end, without going back once more
        train(again)
    assert len(events(again.run, "rolled-back")) == 2
    for saved in checkpoint.whole(one.run)[0]:
        assert all(value.isfinite().all() for value in load_file(saved.path / "model.safetensors").values())


@pytest.mark.parametrize(("options", "words"), [([], "no checkpoint from before"), (["train.rollbacks=0"], "0 roll-b")])
def test_where_there_is_nothing_to_go_back_to_the_run_has_diverged(
    recipe: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    one = trainer(recipe, tmp_path / "lab", *options)
    poison_gradient(one, range(4, 1000), math.nan)
    with pytest.raises(GroundupError) as refused:
        train(one)
    assert refused.value.code == "diverged" and words in refused.value.what
    assert "1 of 18 gradients (matrix), e.g. blocks.1.attention.output.weight" in refused.value.what


def test_weights_that_are_not_finite_themselves_are_never_saved(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab")
    one.update()
    with torch.no_grad():
        one.model.get_parameter("blocks.0.attention.output.weight")[0, 0] = math.inf
    with pytest.raises(GroundupError) as refused:
        save(one)
    assert refused.value.code == "diverged" and checkpoint.whole(one.run) == ([], [])


def test_overflows_of_fp16_are_no_trouble_until_they_never_end(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "train.steps=100", "train.checkpoint_every=5")
    one.scaler = one.gradients.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1000)
    for _ in range(guard.ROW_FP16):
        one.update()
        assert one.guard.look(at_all=True) is None
    assert 0 < int(one.interval.left_out) < one.step and not events(one.run, "left-out")
    poison_gradient(one, range(one.step, 1000))
    begin = one.step
    with pytest.raises(GroundupError) as refused:
        train(one)
    assert refused.value.code == "diverged" and "fp16's scale" in refused.value.what
    assert one.step - begin <= guard.ROW_FP16 + 1


def test_the_command_line_ends_with_5_and_says_what_to_change(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    assert main(["train", str(recipe), "train.learning_rate=1e30", "train.warmup=0", "--lab", str(lab)]) == 5
    said = capsys.readouterr().err
    assert "[diverged]" in said and "train.learning_rate (3.3e+29), a longer train.warmup (100)" in said
    (run,) = all_runs(lab)
    assert events(run, "diverged")


# -- spikes -----------------------------------------------------------------------------------------------------------


def steady(count: int = LEAST) -> Recent:
    recent = Recent()
    for number in range(count):
        assert recent.judge(3.0 + 0.02 * math.sin(number), 0.5 + 0.05 * math.cos(3 * number)) is None
    return recent


def test_a_spike_is_what_stands_far_above_the_steps_before_and_does_not_count_among_them() -> None:
    recent = steady()
    assert recent.judge(3.1, 0.6) is None
    for _ in range(3):
        spike = recent.judge(4.5, 0.5)
        assert spike and spike.of_loss() and spike.usual_loss == pytest.approx(3.0, rel=0.01)
    spike = recent.judge(3.0, 5.0)
    assert spike and not spike.of_loss()
    assert recent.judge(1.0, 0.01) is None, "a drop is none"


def test_nothing_is_a_spike_before_there_is_enough_to_compare_with() -> None:
    recent = steady(LEAST - 1)
    assert recent.judge(100.0, 100.0) is None


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are compared with few others, since this small a model learns much in 100 steps."""
    monkeypatch.setattr(spikes, "WINDOW", 32)
    monkeypatch.setattr(spikes, "LEAST", 16)


SPIKY = ["train.steps=120", "train.checkpoint_every=20", "train.keep=20", "train.valid_every=1000", "model.dropout=0"]


@pytest.mark.usefixtures("short")
def test_a_poisoned_batch_is_reported_and_changes_nothing_in_what_follows(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent, told = (trainer(recipe, tmp_path / how, *SPIKY, f"train.spikes={how}") for how in ("off", "report"))
    for one in (silent, told):
        poison_batch(one, {100})
        train(one)
    (event,) = events(told.run, "spike")
    assert event["step"] == 101 and event["loss"] > 1.5 * event["usual_loss"] and event["loss_sigmas"] > 7
    assert "spike at step 101: loss" in capsys.readouterr().err
    assert not events(silent.run, "spike") and not events(told.run, "rolled-back")
    assert_equal_bits(weights(silent.run), weights(told.run))


@pytest.mark.usefixtures("short")
def test_warm_up_is_not_looked_at(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", *SPIKY, "train.warmup=105")
    poison_batch(one, {100})
    train(one)
    assert not events(one.run, "spike")


@pytest.mark.usefixtures("short")
def test_a_loss_that_stays_high_is_answered_by_going_back_where_the_recipe_says_so(
    recipe: Path, tmp_path: Path
) -> None:
    found = {}
    for how in ("report", "skip"):
        one = trainer(recipe, tmp_path / how, *SPIKY, f"train.spikes={how}")
        poison_batch(one, range(90, 90 + LASTING))
        train(one)
        found[how] = one
    assert [row["since"] for row in events(found["report"].run, "spike-lasts")] == [91]
    assert not events(found["report"].run, "rolled-back")
    (event,) = events(found["skip"].run, "rolled-back")
    assert (event["to"], event["left_out"]) == (80, [81, 90 + LASTING])


@pytest.mark.usefixtures("short")
def test_a_run_resumes_with_what_it_compares_steps_with(recipe: Path, tmp_path: Path) -> None:
    options = [*SPIKY, "train.spikes=skip"]
    bad = range(90, 90 + LASTING)
    through, broken, again = (trainer(recipe, tmp_path / name, *options) for name in ("one", "two", "two"))
    for one in (through, broken, again):
        poison_batch(one, bad)
    train(through)
    stop_at(broken, 85)
    train(again)
    assert again.guard.rollbacks == through.guard.rollbacks == 1
    assert again.guard.windows == [[86, 98]] and through.guard.windows == [[81, 98]], "the stop had left a checkpoint"


def test_off_is_a_word_for_spikes(recipe: Path, tmp_path: Path) -> None:
    assert trainer(recipe, tmp_path / "lab", "train.spikes=off").recipe.train.spikes == "off"
