"""Several processes train what one does; they write once, and none outlives another's end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import endings, together
from safetensors.torch import load_file
from small_recipe import small_recipe

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.processes import Place, here
from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.store.runs import Run, all_runs
from groundup.tokens import tokenizer
from groundup.train import checkpoint, launch, parallel
from groundup.train.continuation import Origin
from groundup.train.keeping import resume, save
from groundup.train.loop import Trainer, train
from groundup.train.precision import choose

# Twelve sequences an update, so that 1, 2, 3 and 4 processes share it evenly; each takes it in several micro-batches.
BATCH = ["train.tokens_per_update=192", "train.micro_batch=2", "model.layers=2"]
RARELY = ["train.sample_every=100", "train.checkpoint_every=100", "train.valid_every=6", "train.steps=6"]
# float32 sums in another order differ by some 1e-7 of their size; six updates and Adam's division make more of it.
NOISE = {"rtol": 1e-3, "atol": 2e-5}
Variants = dict[str, list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The recipe's file and what is trained on, in words that can be given to other processes."""
    folder = tmp_path_factory.mktemp("parallel")
    recipe = small_recipe(folder)
    values = resolve(str(recipe), BATCH).recipe
    inputs = pipeline.make_shards(values, folder / "lab")
    shares = pipeline.training_shares(values, inputs)
    return {
        "recipe": str(recipe),
        "shards": str(inputs.shards.path),
        "tokenizer": str(inputs.tokenizer.path / tokenizer.FILE),
        "shares": shares,
        "lab": str(folder / "lab"),
    }


def trainer(made: dict[str, Any], path: Path, options: list[str]) -> Trainer:
    values = resolve(made["recipe"], [*BATCH, *RARELY, *options]).recipe
    encoding = tokenizer.open_tokenizer(Path(made["tokenizer"]))
    run = Run(path) if parallel.leads() else parallel.Unwritten(path)
    path.mkdir(parents=True, exist_ok=True)
    return Trainer(run, values, Path(made["shards"]), made["shares"], encoding, choose("cpu", values.train.precision))


def train_all(made: dict[str, Any], folder: Path, variants: Variants, stop: int | None = None) -> None:
    """Train each variant in FOLDER/ITS-NAME, from where it is; to step `stop`, and save, or to the end."""
    for name, options in variants.items():
        one = trainer(made, folder / name, options)
        if stop is None:
            train(one)
            continue
        resume(one)
        while one.step < stop:
            one.update()
        one.log(1.0)
        save(one)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    last = checkpoint.select(Run(path), "last").path
    weights = {f"{name}/weight": value for name, value in load_file(last / "model.safetensors").items()}
    return weights | load_file(last / "optimizer.safetensors")


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for row in Run(path).metrics() if row["kind"] == "train"]


def losses(path: Path) -> list[float]:
    return [row["loss"] for row in rows(path)]


def assert_equal(one: Path, other: Path) -> None:
    assert losses(one) == pytest.approx(losses(other), rel=1e-5) and losses(one)
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name], **NOISE, msg=lambda text, name=name: f"{name}: {text}")


KINDS = {
    f"{family}-{optimizer}": [f"model.family={family}", f"train.optimizer={optimizer}"]
    for family in ("classic", "modern")
    for optimizer in ("adamw", "muon")
}


def test_one_two_and_four_processes_learn_the_same(made: dict[str, Any], tmp_path: Path) -> None:
    train_all(made, tmp_path / "1", KINDS)
    for world, names in ((2, KINDS), (4, ("modern-muon",))):
        together(world, train_all, made, tmp_path / str(world), {name: KINDS[name] for name in names})
        for name in names:
            assert_equal(tmp_path / str(world) / name, tmp_path / "1" / name)


def test_weights_that_are_shared_out_learn_the_same(made: dict[str, Any], tmp_path: Path) -> None:
    kinds = {name: [*options, "train.ema=0.9", "train.clip=0.5"] for name, options in KINDS.items()}
    kinds["saving"] = ["train.activation_checkpointing=full", "train.loss_chunk=7", "model.tied=false"]
    train_all(made, tmp_path / "1", kinds)
    shared = {name: [*options, "train.parallel=fsdp"] for name, options in kinds.items()}
    together(2, train_all, made, tmp_path / "2", shared)
    for name in kinds:
        assert_equal(tmp_path / "2" / name, tmp_path / "1" / name)
        scores = [
            {(row["kind"], row["step"]): row["bpb"] for row in Run(path / name).metrics() if "valid" in row["kind"]}
            for path in (tmp_path / "1", tmp_path / "2")
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5) and scores[0]
        for mine, theirs in zip(rows(tmp_path / "2" / name), rows(tmp_path / "1" / name), strict=True):
            assert mine["update_ratio"] == pytest.approx(theirs["update_ratio"], rel=1e-3)
            assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)


def test_a_run_goes_on_with_any_number_of_processes(made: dict[str, Any], tmp_path: Path) -> None:
    options = ["train.optimizer=muon", "train.ema=0.9"]
    ways = {"whole": options, "shared": [*options, "train.parallel=fsdp"]}
    train_all(made, tmp_path / "through", {"one": options})
    train_all(made, tmp_path / "1", ways, 3)
    together(2, train_all, made, tmp_path / "2", ways, 3)
    changes = [(before, after, name) for before, after in ((1, 3), (2, 1)) for name in ways]
    for before, after, name in changes:
        shutil.copytree(tmp_path / str(before) / name, tmp_path / f"{before}-{after}-{name}")
    train_all(made, tmp_path, {f"2-1-{name}": options for name, options in ways.items()})
    together(3, train_all, made, tmp_path, {f"{b}-{a}-{name}": ways[name] for b, a, name in changes if a == 3})
    for before, after, name in changes:
        path = tmp_path / f"{before}-{after}-{name}"
        # The break at step 3 cuts what is logged of steps 3 and 4, so the last two steps are compared.
        assert losses(path)[-1:] == pytest.approx(losses(tmp_path / "through" / "one")[-1:], rel=1e-5)
        mine, theirs = tensors(path), tensors(tmp_path / "through" / "one")
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            torch.testing.assert_close(value, theirs[key], **NOISE)
        (event,) = [row for row in Run(path).events() if row["event"] == "resumed"]
        assert (event["processes_before"], event["processes"], event["step"]) == (before, after, 3)


def go_on(made: dict[str, Any], path: Path, short: Path) -> None:
    """Train a run that continues another, which the leading process alone knows."""
    origin = Origin(Run(short), checkpoint.select(Run(short), "last"), "short@3") if parallel.leads() else None
    train(trainer(made, path, ["train.ema=0.9"]), origin)


def test_a_run_that_continues_another_may_have_several_processes(made: dict[str, Any], tmp_path: Path) -> None:
    train_all(made, tmp_path, {"short": ["train.ema=0.9"]}, 3)
    go_on(made, tmp_path / "1", tmp_path / "short")
    together(2, go_on, made, tmp_path / "2", tmp_path / "short")
    assert_equal(tmp_path / "2", tmp_path / "1")
    (event,) = [row for row in Run(tmp_path / "2").events() if row["event"] == "continued"]
    assert (event["origin"], event["step"]) == ("short@3", 3)


def stop_early(made: dict[str, Any], folder: Path) -> None:
    """A clock that only a follower has on the way to its end, and a score that only the leading process finds worse."""
    late = trainer(made, folder / "minutes", ["train.track=[tensorboard]"])
    assert bool(late.mirrors.all) == parallel.leads(), "one process passes the metrics on"
    late.late = lambda seconds: not parallel.leads() and late.step >= 3
    worse = trainer(made, folder / "patience", ["train.patience=1", "train.valid_every=1"])
    worse._write_scores = lambda model, kind: float(worse.step)
    for one in (late, worse):
        train(one)
    (folder / str(parallel.rank())).write_text(f"{late.step} {worse.step}")


def test_what_stops_one_process_stops_all_at_the_same_step(made: dict[str, Any], tmp_path: Path) -> None:
    together(2, stop_early, made, tmp_path)
    assert [(tmp_path / rank).read_text() for rank in ("0", "1")] == ["3 2"] * 2
    for why in ("minutes", "patience"):
        (event,) = [row for row in Run(tmp_path / why).events() if row["event"] == "trained"]
        assert event["because"] == why


def save_by_the_clock(made: dict[str, Any], folder: Path) -> None:
    """It is time for a checkpoint by one process's clock alone, that of a follower."""
    for name, options in {"whole": [], "shared": ["train.parallel=fsdp"]}.items():
        one = trainer(made, folder / name, ["train.background_saving=true", "train.keep=9", *options])
        one.due = lambda one=one: not parallel.leads() and one.step == 3
        train(one)


def test_a_checkpoint_by_one_process_s_clock_is_saved_by_all_in_the_background_once(
    made: dict[str, Any], tmp_path: Path
) -> None:
    together(2, save_by_the_clock, made, tmp_path)
    for name in ("whole", "shared"):
        run = Run(tmp_path / name)
        assert [row["step"] for row in run.events() if row["event"] == "checkpoint"] == [3, 6]
        assert [one.step for one in checkpoint.whole(run)[0]] == [3, 6]
    weights = [
        load_file(tmp_path / name / "checkpoints/step-00000003/model.safetensors") for name in ("whole", "shared")
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], **NOISE)


def dropout_seeds(made: dict[str, Any], folder: Path) -> None:
    one = trainer(made, folder / "run", ["model.dropout=0.1"])
    one.update()
    (folder / f"{parallel.world()}-{parallel.rank()}").write_text(str(torch.initial_seed()))


def test_other_sequences_have_other_dropout(made: dict[str, Any], tmp_path: Path) -> None:
    dropout_seeds(made, tmp_path)
    together(2, dropout_seeds, made, tmp_path)
    alone, first, second = ((tmp_path / name).read_text() for name in ("1-0", "2-0", "2-1"))
    assert first == alone and second != first


# -- ends -------------------------------------------------------------------------------------------------------------


def fail(who: str) -> None:
    parallel.PATIENCE = 30.0
    if who == "all":
        raise GroundupError("diverged", "the loss is not finite", "")
    if parallel.leads():
        raise GroundupError("out-of-memory", "too little", "")
    parallel.hear()


def fail_after_all() -> None:
    parallel.leave()
    if here().rank == 0:
        raise GroundupError("out-of-memory", "too little", "")


def test_what_fails_after_the_work_together_is_said_and_ends_nobody_else() -> None:
    assert endings(2, fail_after_all) == ([3, 0], ["process 0: too little [out-of-memory]"])


def run_out(made: dict[str, Any], path: Path) -> None:
    """Train, with too little memory in the process that does not lead."""
    parallel.PATIENCE = 0.3

    def limited(*inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        raise torch.OutOfMemoryError("made up")

    one = trainer(made, path, [])
    if not parallel.leads():
        one.gradients.objective = limited
    train(one)


@pytest.mark.parametrize(
    ("who", "code", "words"),
    [("all", 5, "the loss is not finite [diverged]"), ("leader", 3, "too little [out-of-memory]")],
    ids=["all", "leader"],
)
def test_all_end_with_the_leaders_error_which_it_alone_says(who: str, code: int, words: str) -> None:
    assert endings(3, fail, who) == ([code] * 3, [f"process 0: {words}"])


def test_a_follower_says_its_own_error_and_the_leader_that_it_is_gone(made: dict[str, Any], tmp_path: Path) -> None:
    codes, errors = endings(2, run_out, made, tmp_path / "run")
    assert codes == [3, 3]
    assert errors[0].startswith("process 1: ") and errors[0].endswith("for 2 sequences [out-of-memory]")
    assert errors[1].startswith("process 0: ") and "[process-lost]" in errors[1]


def test_a_job_whose_processes_do_not_meet_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(GroundupError) as error, parallel.job("cpu"):
        pass
    assert error.value.code == "no-rendezvous" and "MASTER_ADDR" in error.value.what


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, Place(0, 1, 0)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Place(5, 8, 1)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}, Place(5, 8, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, Place(0, 1, 0)),  # the job's script itself
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"},
         Place(9, 16, 1)),  # torchrun under srun
    ],
)  # fmt: skip
def test_a_process_knows_its_place(environment: dict[str, str], place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", *(name for name in os.environ if name.startswith("SLURM_"))):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert here() == place


def test_the_launcher_ends_all_and_gives_the_code_of_the_first_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.2)
    program = "import os, sys, time; sys.exit(5) if os.environ['RANK'] == '1' else time.sleep(600)"
    start = time.monotonic()
    assert launch.launch([sys.executable, "-c", program], 3) == 5
    assert time.monotonic() - start < 60


def test_a_process_that_memory_ran_out_for_is_an_error_of_the_environment() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL) if os.environ['RANK'] == '0' else None"
    assert launch.launch([sys.executable, "-c", program], 2) == 3


def test_the_place_to_meet_is_taken_before_any_process_begins() -> None:
    program = (
        "import os, socket, time\n"
        "place = ('127.0.0.1', int(os.environ['MASTER_PORT']))\n"
        "if os.environ['RANK'] == '0':\n"
        "    listener = socket.socket(fileno=int(os.environ['GROUNDUP_LISTENER']))\n"
        "    assert listener.getsockname() == place\n"
        "    assert listener.accept()[0].recv(5) == b'hello'\n"
        "else:\n"
        "    assert 'GROUNDUP_LISTENER' not in os.environ\n"
        "    socket.create_connection(place).send(b'hello')\n"
    )
    assert launch.launch([sys.executable, "-c", program], 2) == 0


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_wrong_number_of_processes_is_refused(tiny: Path, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tiny), "--processes", count]) == 2
    assert "[usage]" in capsys.readouterr().err


# -- whole jobs -------------------------------------------------------------------------------------------------------

RARE = ["train.log_every=1000", "train.valid_every=1000", "train.checkpoint_every=20"]


@pytest.fixture
def lab(made: dict[str, Any], tmp_path: Path) -> Path:
    """A lab that has the shards, so that training begins at once."""
    return shutil.copytree(made["lab"], tmp_path / "lab")


def start(launcher: list[str], recipe: str, lab: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", *launcher, "train", recipe, *BATCH, *RARE, *words, "--lab", str(lab)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_checkpoint(process: subprocess.Popen, lab: Path) -> None:
    deadline = time.monotonic() + 100
    while not list(lab.glob("runs/*/checkpoints/step-*")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


def follower_of(launcher: int) -> int:
    """The process of rank 1 below a launcher."""
    for name in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if b"\0RANK=1\0" in Path(f"/proc/{name}/environ").read_bytes():
            return int(name)
    raise AssertionError("there is no process of rank 1")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes in /proc")
def test_a_killed_process_ends_the_job_and_the_run_goes_on_with_another_number(made: dict[str, Any], lab: Path) -> None:
    length = "train.epochs=7"  # which the leading process turns into steps, and tells the others
    job = start(["groundup.cli"], made["recipe"], lab, length, "--processes", "2")
    wait_for_checkpoint(job, lab)
    os.kill(follower_of(job.pid), signal.SIGKILL)
    _, words = job.communicate(timeout=200)
    assert job.returncode == 3 and "[process-lost]" in words and "Traceback" not in words
    (run,) = all_runs(lab)
    assert main(["train", made["recipe"], *BATCH, *RARE, length, "--lab", str(lab)]) == 0
    assert all_runs(lab) == [run], "the number of processes makes no other run"
    (resumed,) = [row for row in run.events() if row["event"] == "resumed"]
    assert (resumed["processes_before"], resumed["processes"]) == (2, 1) and resumed["step"] >= 20
    assert checkpoint.select(run, "last").step == resolve(str(run.path / "recipe.yaml")).recipe.train.steps > 100


@pytest.mark.parametrize(
    ("launcher", "words", "code"),
    [
        (["groundup.cli"], ["--processes", "2"], 4),
        (["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "groundup.cli"], [], 1),
    ],
    ids=["processes", "torchrun"],
)
def test_a_signal_to_the_job_saves_once(
    launcher: list[str], words: list[str], code: int, made: dict[str, Any], lab: Path
) -> None:
    job = start(launcher, made["recipe"], lab, "train.steps=5000", *words)
    wait_for_checkpoint(job, lab)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=200)
    assert job.returncode == code, said
    (run,) = all_runs(lab)
    events = run.events()
    assert [row["event"] for row in events].count("started") == 1
    (interrupted,) = [row for row in events if row["event"] == "interrupted"]
    saved = [row["step"] for row in events if row["event"] == "checkpoint"]
    assert saved == sorted(set(saved)) and saved[-1] == interrupted["step"]
    assert said.count("[interrupted]") == 1
    steps = [row["step"] for row in run.metrics() if row["kind"] == "train"]
    assert steps == sorted(set(steps)), "only one process writes"


# -- broken batches ---------------------------------------------------------------------------------------------------


def train_broken(made: dict[str, Any], folder: Path, variants: Variants) -> None:
    """Train each variant; in the last process a loss of the 5th and of the 9th to 11th update is not a number."""
    for name, options in variants.items():
        one = trainer(made, folder / name, [*options, "train.steps=14", "train.checkpoint_every=4"])
        before: Any = one.gradients.objective

        def objective(*inputs: Any, one: Trainer = one, before: Any = before) -> tuple[torch.Tensor, torch.Tensor]:
            total, nats = before(*inputs)
            bad = parallel.rank() == parallel.world() - 1 and one.step in (4, 8, 9, 10)
            return (total * float("nan"), nats) if bad else (total, nats)

        one.gradients.objective = objective
        train(one)


def test_a_batch_that_is_broken_in_one_process_is_left_out_by_all(made: dict[str, Any], tmp_path: Path) -> None:
    """With micro-batches there is a pass without an exchange, too; fsdp replaces the module that exchanges."""
    kinds = {"ddp": ["train.optimizer=muon", "train.ema=0.9"], "fsdp": ["train.optimizer=muon", "train.ema=0.9"]}
    train_broken(made, tmp_path / "1", kinds)
    kinds["fsdp"] = [*kinds["fsdp"], "train.parallel=fsdp"]
    together(2, train_broken, made, tmp_path / "2", kinds)
    for name in kinds:
        found = Run(tmp_path / "2" / name).events()
        (back,) = [row for row in found if row["event"] == "rolled-back"]
        assert (back["to"], back["left_out"]) == (8, [9, 11])
        assert [row["step"] for row in found if row["event"] == "left-out"] == [5, 9, 10, 11]
        mine, theirs = tensors(tmp_path / "2" / name), tensors(tmp_path / "1" / name)
        for key, value in mine.items():
            torch.testing.assert_close(value, theirs[key], **NOISE, msg=lambda text, key=key: f"{key}: {text}")
