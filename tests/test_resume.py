"""A run that was stopped, anywhere and in any way, ends as one that was not; and it goes on by its own recipe."""

import filecmp
import json
import random
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_recipe import small_recipe
from tiny_runs import assert_equal_bits

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.store.files import file_record, write_json
from groundup.store.runs import Run, all_runs
from groundup.tokens import tokenizer
from groundup.train import checkpoint, loop, retention
from groundup.train.interrupt import Interrupt
from groundup.train.loop import Trainer, train
from groundup.train.precision import choose

STEPS = 14
# Nothing divides anything: logs, scores, samples and checkpoints fall on different steps.
TOY = [
    f"train.steps={STEPS}",
    "train.micro_batch=3",
    "train.log_every=4",
    "train.valid_every=5",
    "train.sample_every=6",
]
TOY += ["train.checkpoint_every=3", "model.dropout=0.1", "train.ema=0.9", "model.layers=2", "model.width=16"]
WAYS = [
    [f"model.family={family}", f"train.optimizer={optimizer}", f"train.precision={precision}"]
    for family, optimizer, precision in product(("classic", "modern"), ("adamw", "muon"), ("fp32", "bf16"))
]
TIMES = ("seconds", "tokens_per_s", "mfu", "memory_gb", "data_wait")  # of a row: they are no function of the recipe


@dataclass(frozen=True)
class Made:
    recipe: Path
    shards: Path
    tokenizer: Path
    shares: dict[str, float]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)  # what is this small only gets slower with more
    folder = tmp_path_factory.mktemp("resume")
    recipe = small_recipe(folder)
    values = resolve(str(recipe)).recipe
    inputs = pipeline.make_shards(values, folder / "lab")
    shares = pipeline.training_shares(values, inputs)
    return Made(recipe, inputs.shards.path, inputs.tokenizer.path / tokenizer.FILE, shares)


def trainer(made: Made, path: Path, options: list[str]) -> Trainer:
    values = resolve(str(made.recipe), [*TOY, *options]).recipe
    path.mkdir(parents=True, exist_ok=True)
    encoding = tokenizer.open_tokenizer(made.tokenizer)
    return Trainer(Run(path), values, made.shards, made.shares, encoding, choose("cpu", values.train.precision))


def stop(one: Trainer, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until after `step` somebody asks for the end."""

    class Asked(Interrupt):
        def __bool__(self) -> bool:
            return one.step >= step

    one.interrupt = Asked()
    with pytest.raises(GroundupError) as refused:
        train(one)
    assert refused.value.code == "interrupted"
    assert checkpoint.select(one.run, "last").step == step


def kill(one: Trainer, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until the process is gone in the middle of the update after `step`."""
    update: Callable[[], None] = one.update

    def cut() -> None:
        if one.step == step:
            raise KeyboardInterrupt
        update()

    monkeypatch.setattr(one, "update", cut)
    with pytest.raises(KeyboardInterrupt):
        train(one)


def record(run: Run) -> list[dict[str, Any]]:
    """Everything that a run has written down of its way, without what its clock said."""
    rows = [*run.metrics(), *run.samples()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def state(run: Run) -> dict[str, Any]:
    found = checkpoint.select(run, "last").state
    return found | {"seconds": None, "interval": found["interval"] | {"seconds": None}}


def assert_same_end(one: Run, other: Run) -> None:
    both = [checkpoint.select(run, "last") for run in (one, other)]
    for name in checkpoint.LARGE:  # functions of the tensors; pytest would take minutes to print how two of them differ
        assert filecmp.cmp(both[0].path / name, both[1].path / name, shallow=False), name
    assert state(one) == state(other)
    assert record(one) == record(other)


class Through:
    """The runs that were never stopped, each made once."""

    def __init__(self, made: Made, folder: Path) -> None:
        self.made, self.folder, self.runs = made, folder, dict[int, Run]()

    def run(self, way: int) -> Run:
        if way not in self.runs:
            one = trainer(self.made, self.folder / f"through-{way}", WAYS[way])
            train(one)
            self.runs[way] = one.run
        return self.runs[way]


@pytest.fixture(scope="module")
def through(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Through:
    return Through(made, tmp_path_factory.mktemp("through"))


def check(made: Made, through: Through, folder: Path, way: int, ends: list[tuple[Any, int]], patch: Any) -> None:
    """Stop a run of a way of training at each of the steps, one after the other, and let it come to its end."""
    for end, step in ends:
        one = trainer(made, folder / "broken", WAYS[way])
        end(one, step, patch)
        torch.manual_seed(999)  # another process has other random numbers
    last = trainer(made, folder / "broken", WAYS[way])
    train(last)
    assert_same_end(through.run(way), last.run)


def drawn(seed: int) -> list[tuple[Any, int]]:
    """One or two ends of a training, at random."""
    dice = random.Random(seed)
    steps = sorted(dice.sample(range(1, STEPS), dice.choice((1, 1, 2))))
    return [(dice.choice((stop, kill)), step) for step in steps]


@pytest.mark.parametrize("number", range(20))
def test_a_run_stopped_anywhere_ends_with_the_same_bits_and_the_same_rows(
    made: Made, through: Through, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(made, through, tmp_path, number % len(WAYS), drawn(number), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("way", range(len(WAYS)), ids=lambda way: " ".join(WAYS[way]))
def test_a_run_stopped_at_each_step_ends_with_the_same_bits_and_the_same_rows(
    made: Made, through: Through, tmp_path: Path, way: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, STEPS):
        check(made, through, tmp_path / str(step), way, [(stop if step % 2 else kill, step)], monkeypatch)


def test_a_checkpoint_by_the_clock_changes_no_row_and_no_weight(made: Made, through: Through, tmp_path: Path) -> None:
    one = trainer(made, tmp_path / "clock", [*WAYS[0], "train.checkpoint_minutes=1e-9"])
    train(one)
    saved = [event["step"] for event in one.run.events() if event["event"] == "checkpoint"]
    assert saved == list(range(1, STEPS + 1)), "it is always time for one"
    assert_same_end(through.run(0), one.run)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_on_a_gpu_a_run_stopped_half_way_ends_with_the_same_bits_if_it_is_deterministic(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: str
) -> None:
    options = [*WAYS[7], "train.device=cuda", "train.deterministic=true", f"train.compile={compiled}"]

    def on_gpu(path: Path) -> Trainer:
        values = resolve(str(made.recipe), [*TOY, *options]).recipe
        path.mkdir(parents=True, exist_ok=True)
        encoding = tokenizer.open_tokenizer(made.tokenizer)
        return Trainer(Run(path), values, made.shards, made.shares, encoding, pipeline.device_of(values))

    one, broken = on_gpu(tmp_path / "one"), on_gpu(tmp_path / "two")
    train(one)
    stop(broken, 7, monkeypatch)
    again = on_gpu(tmp_path / "two")
    train(again)
    assert_same_end(one.run, again.run)


# -- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stopped:
    recipe: Path
    lab: Path

    @property
    def run(self) -> Run:
        return all_runs(self.lab)[0]


def interrupt_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """Let the next training be asked for its end after a step."""
    update = Trainer.update

    class Asked(Interrupt):
        asked = False

        def __bool__(self) -> bool:
            return self.asked

    def watched(self: Trainer) -> None:
        update(self)
        Asked.asked = self.step >= step

    patch.setattr(loop, "Interrupt", Asked)
    patch.setattr(Trainer, "update", watched)


@pytest.fixture
def stopped(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """A run of eight steps that was interrupted after the third."""
    lab = tmp_path / "a lab's place"  # with what a shell would take apart
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        assert main(["run", str(tiny), "--lab", str(lab)]) == 4
    return Stopped(tiny, lab)


def test_the_command_that_an_interruption_prints_goes_on_as_it_is_printed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "a lab's place"
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        assert main(["run", str(tiny), "sample.prompts=[The dog]", "--lab", str(lab)]) == 4
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  fix:")]
    words = shlex.split(line.partition("again: ")[2])
    assert words[0] == "groundup" and main(words[1:]) == 0
    (run,) = all_runs(lab)
    assert run.finished() and "resumed from" in capsys.readouterr().err


def test_resume_goes_on_by_the_run_s_own_recipe_to_its_end(
    stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped.recipe).write_text("name: something else now")
    Path(stopped.recipe.parent / "text.txt").unlink()  # the shards are there, and are all that it needs
    assert main(["resume", "tiny", "--lab", str(stopped.lab)]) == 0
    assert stopped.run.finished() and checkpoint.select(stopped.run, "last").step == 8
    assert all_runs(stopped.lab) == [stopped.run]
    assert main(["resume", str(stopped.run.path)]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_text_that_is_no_longer_the_same_is_refused_where_it_would_be_read_again(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(stopped.lab / "artifacts")
    text = stopped.recipe.parent / "text.txt"
    before = text.read_text()
    text.write_text(before + "\n---\nSomething new was written here.")
    assert main(["resume", "last", "--lab", str(stopped.lab)]) == 2
    assert "[recipe-changed]" in capsys.readouterr().err
    text.write_text(before)
    assert main(["resume", "last", "--lab", str(stopped.lab)]) == 0


def test_a_change_that_decides_the_weights_is_refused_key_by_key(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path for path in stopped.lab.rglob("*") if path.suffix not in (".lock", ".json"))
    changes = ["train.learning_rate=0.001", "model.dropout=0.2", "train.feed=prefetch"]
    assert main(["resume", "last", *changes, "--lab", str(stopped.lab)]) == 2
    err = capsys.readouterr().err
    assert "[recipe-changed]" in err and "feed:" not in err
    assert "train.learning_rate: 0.005 -> 0.001" in err and "model.dropout: 0.0 -> 0.2" in err
    (fix,) = [line for line in err.splitlines() if line.startswith("  fix:")]
    assert sorted(path for path in stopped.lab.rglob("*") if path.suffix not in (".lock", ".json")) == before
    words = shlex.split(fix.partition("groundup ")[2])
    assert words[-1] == "--fork" and main(words) == 0, "the fix does what it says"


def test_what_decides_no_weights_may_change_and_what_rounds_is_declared(
    stopped: Stopped, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    free = ["train.feed=prefetch", "train.keep=9", "train.checkpoint_every=1", "sample.max_tokens=3"]
    assert main(["resume", "last", *free, "train.micro_batch=2", "--lab", str(stopped.lab)]) == 0
    (event,) = [event for event in stopped.run.events() if event["event"] == "resumed"]
    assert event["changes"]["train.micro_batch"] == [4, 2] and event["micro_batch"] == 2
    assert event["changes"]["torch"][1] == "2.99.0"
    assert "train.micro_batch: 4 -> 2" in capsys.readouterr().err
    assert all_runs(stopped.lab) == [stopped.run]


def test_the_same_recipe_with_another_micro_batch_is_the_same_run(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(stopped.recipe), "train.micro_batch=1", "--lab", str(stopped.lab)]) == 0
    assert "train.micro_batch: 4 -> 1" in capsys.readouterr().err
    assert all_runs(stopped.lab) == [stopped.run] and stopped.run.finished()


@pytest.mark.parametrize("where", ["", "@2", "@best"])
def test_a_fork_is_a_new_run_from_a_checkpoint_with_its_own_recipe_and_a_lineage_that_says_so(
    stopped: Stopped, where: str
) -> None:
    main(["resume", "last", "train.keep=9", "--lab", str(stopped.lab)])
    parent = stopped.run
    before = sorted(parent.path.rglob("*"))
    changed = ["train.learning_rate=0.001", "train.steps=12"]
    command = ["resume", f"{parent.name}{where}", *changed, "--fork", "--lab", str(stopped.lab)]
    assert main(command) == 0
    step = checkpoint.select(parent, where[1:] or "last").step
    fork = next(run for run in all_runs(stopped.lab) if run != parent)
    assert sorted(parent.path.rglob("*")) == before
    assert fork.lineage()["continued_from"] == f"{parent.name}@{step}"
    assert parent.name in [link["id"] for link in fork.lineage()["chain"]]
    recipe = resolve(str(fork.path / "recipe.yaml")).recipe.train
    assert (recipe.learning_rate, recipe.steps) == (0.001, 12)
    (event,) = [event for event in fork.events() if event["event"] == "continued"]
    assert event["step"] == step and checkpoint.select(fork, "last").step == 12
    assert main(command) == 0 and len(all_runs(stopped.lab)) == 2, "the same command again is the same run"


def test_a_fork_on_other_text_keeps_the_tokenizer(stopped: Stopped) -> None:
    main(["resume", "last", "--lab", str(stopped.lab)])
    parent = stopped.run
    other = stopped.recipe.parent / "other.txt"
    other.write_text("---".join(f"The hen {number} sat on a bun, and the dog saw it." for number in range(300)))
    words = [f"data.sources.other.path={other}", "data.sources.other.delimiter=---", "train.steps=10"]
    assert main(["resume", "last", *words, "--fork", "--lab", str(stopped.lab)]) == 0
    fork = next(run for run in all_runs(stopped.lab) if run != parent)
    assert (fork.path / "tokenizer.json").read_bytes() == (parent.path / "tokenizer.json").read_bytes()
    assert fork.lineage()["mix"].keys() == {"mine", "other"}


def test_a_checkpoint_without_a_fork_is_no_place_to_go_on_from(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", f"{stopped.run.name}@2", "--lab", str(stopped.lab)]) == 2
    assert "[usage]" in capsys.readouterr().err


def test_a_new_run_says_that_another_of_its_name_is_not_finished_and_how_to_go_on_with_it(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    old = stopped.run
    assert main(["train", str(stopped.recipe), "train.learning_rate=0.001", "--lab", str(stopped.lab)]) == 0
    err = capsys.readouterr().err
    (note,) = [line for line in err.splitlines() if line.startswith("note:")]
    assert old.name in note and "train.learning_rate: 0.005 -> 0.001" in note
    words = shlex.split(note.partition("groundup ")[2])
    assert main(words) == 0 and old.finished()
    assert main(["train", str(stopped.recipe), "train.learning_rate=0.002", "--lab", str(stopped.lab)]) == 0
    assert "note:" not in capsys.readouterr().err, "both are finished now"


def test_a_run_goes_on_when_the_checkpoint_that_it_began_with_is_gone(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, lab = stopped.run, str(stopped.lab)
    longer = ["run", str(stopped.recipe), "train.steps=10", f"train.continue_from={parent.name}@3", "--lab", lab]
    with monkeypatch.context() as patch:
        interrupt_after(5, patch)
        assert main(longer) == 4
    shutil.rmtree(checkpoint.directory(parent))
    assert main(longer) == 0
    fork = next(run for run in all_runs(stopped.lab) if run != parent)
    assert fork.finished() and checkpoint.select(fork, "last").step == 10


def test_the_checkpoint_that_a_run_begins_with_is_in_use_while_it_trains(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path, *_), update = checkpoint.paths(stopped.run), Trainer.update
    seen = []

    def watched(self: Trainer) -> None:
        seen.append(retention.in_use(path))
        update(self)

    monkeypatch.setattr(Trainer, "update", watched)
    name = f"{stopped.run.name}@{int(path.name[5:])}"
    assert main(["resume", name, "train.steps=6", "--fork", "--lab", str(stopped.lab)]) == 0
    assert len(seen) == 6 - int(path.name[5:]) and all(seen) and not retention.in_use(path)


# -- states that cannot be gone on from -------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a checkpoint's state and vouch for it, as another program would."""
    values = json.loads((path / "state.json").read_bytes())
    change(values)
    (path / "state.json").write_text(json.dumps(values))
    (path / "MANIFEST.json").unlink()
    write_json(path / "MANIFEST.json", {"format": 2, "files": file_record(path)})


def rewrite_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None], name: str) -> None:
    tensors = {key: value.clone() for key, value in load_file(path / name).items()}
    change(tensors)
    save_file(tensors, path / name)
    rewrite(path, lambda state: None)


def set_nan(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[0] = float("nan")


def reshape(tensors: dict[str, torch.Tensor]) -> None:
    key = next(key for key, value in tensors.items() if value.dim() == 2)
    tensors[key] = tensors[key].reshape(-1)


BAD: dict[str, Callable[[Path], None]] = {
    "a step that is a word": lambda path: rewrite(path, lambda state: state.update(step="8")),
    "a step that is true": lambda path: rewrite(path, lambda state: state.update(step=True)),
    "another step": lambda path: rewrite(path, lambda state: state.update(step=7)),
    "no seconds": lambda path: rewrite(path, lambda state: state.pop("seconds")),
    "a start of words": lambda path: rewrite(path, lambda state: state.update(start={"step": "x"})),
    "an interval without sums": lambda path: rewrite(path, lambda state: state.update(interval={})),
    "no micro-batch": lambda path: rewrite(path, lambda state: state.update(micro_batch=0)),
    "no number": lambda path: rewrite(path, lambda state: state.update(factor=None)),
    "a weight that is not finite": lambda path: rewrite_tensors(path, set_nan, "model.safetensors"),
    "a moment that is not finite": lambda path: rewrite_tensors(path, set_nan, "optimizer.safetensors"),
    "a weight of another shape": lambda path: rewrite_tensors(path, reshape, "model.safetensors"),
    "a moment of another shape": lambda path: rewrite_tensors(path, reshape, "optimizer.safetensors"),
    "no moments": lambda path: rewrite_tensors(path, dict.clear, "optimizer.safetensors"),
    "half precision": lambda path: rewrite_tensors(
        path, lambda all: all.update({key: value.half() for key, value in all.items()}), "model.safetensors"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_state_that_cannot_be_used_is_passed_over_for_the_one_before_it(
    made: Made, through: Through, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = through.run(0)
    run = Run(tmp_path / "broken")
    shutil.copytree(reference.path, run.path)
    damaged, before = checkpoint.paths(run)[-1], checkpoint.paths(run)[-2]
    BAD[kind](damaged)
    capsys.readouterr()
    train(trainer(made, run.path, WAYS[0]))
    err = capsys.readouterr().err
    assert f"warning: {damaged}" in err and "[checkpoint-damaged]" in err and f"resumed from {before}" in err
    assert_same_end(reference, run)
    for path in checkpoint.paths(run):
        BAD[kind](path) if kind != "another step" else rewrite(path, lambda state: state.update(step=state["step"] + 1))
    with pytest.raises(GroundupError) as refused:
        train(trainer(made, run.path, WAYS[0]))
    assert refused.value.code == "checkpoint-damaged"


def test_equal_runs_are_found_equal_and_others_not(through: Through) -> None:
    one, other = through.run(0), through.run(1)
    with pytest.raises(AssertionError):
        assert_same_end(one, other)
    weights = [checkpoint.load_optimizer(checkpoint.select(run, "last")) for run in (one, one)]
    assert_equal_bits(*weights)
