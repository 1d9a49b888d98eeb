"""Whatever asks to stop, and whenever: what was done is saved, and the same command goes on to the same end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_recipe import small_recipe
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe

from groundup.cli import main
from groundup.errors import INTERRUPTED, GroundupError
from groundup.processes import stop_signals
from groundup.store.runs import Run, all_runs
from groundup.train import checkpoint
from groundup.train.interrupt import LUMP, Requests
from groundup.train.loop import train

# What a run does that is told to stop while it is at some place: a program that stops there until it is told to.
# {place} is the function that is replaced, {name} what it is called there; `slow` waits inside for the file `go`.
PROGRAM = """
import pathlib, sys, time
from groundup import cli
from groundup.evaluate import windows
from groundup.tokens import feed
from groundup.train import loop, objective, writing

folder = pathlib.Path({folder!r})
def wait(where):
    if where == {where!r} and not (folder / "reached").exists():
        (folder / "reached").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)

def slow(module, name, where, before):
    function = getattr(module, name)
    def inner(*inputs, **options):
        wait(where)
        return function(*inputs, **options)
    setattr(module, name, inner)

slow(loop.Trainer, "update", "first step", True)
slow(loop, "complete_all", "samples", True)
slow(windows, "_losses", "validation", True)
slow(writing, "write_tensors", "saving", True)
sys.exit(cli.main())
"""
PLACES = ("first step", "validation", "samples", "saving")
SAMPLES = "train.sample_every=6"
SIGNALS = ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A recipe, a lab with its shards and the run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("interrupt")
    recipe = small_recipe(folder)
    values = yaml.safe_load(recipe.read_text())
    values["train"]["background_saving"] = False  # else training would be elsewhere while a checkpoint is written
    recipe.write_text(yaml.safe_dump(values, sort_keys=False))
    assert main(["train", str(recipe), SAMPLES, "--lab", str(folder / "lab")]) == 0
    (run,) = all_runs(folder / "lab")
    return {"recipe": recipe, "lab": folder / "lab", "run": run}


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def command(recipe: Path, lab: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "groundup.cli", "train", str(recipe), *words, "--lab", str(lab)]


def lab_of(made: dict[str, Any], folder: Path) -> Path:
    """A lab with the same artifacts and no run."""
    lab = folder / "lab"
    lab.mkdir()
    (lab / "artifacts").symlink_to(made["lab"] / "artifacts")
    return lab


def reach(made: dict[str, Any], folder: Path, where: str, *words: str) -> tuple[subprocess.Popen, Path]:
    """A run that has come to a place and waits there."""
    lab = lab_of(made, folder)
    program = folder / "program.py"
    program.write_text(PROGRAM.format(folder=str(folder), where=where))
    arguments = ["train", str(made["recipe"]), *words, "--lab", str(lab)]
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    wait_for(lambda: (folder / "reached").exists(), process)
    return process, lab


def wait_for(come: Any, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 100
    while not come():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


def finish(made: dict[str, Any], lab: Path, *words: str) -> Run:
    assert main(["train", str(made["recipe"]), *words, "--lab", str(lab)]) == 0
    (run,) = all_runs(lab)
    return run


def without_time(rows: Any) -> list[dict[str, Any]]:
    keys = ("seconds", "tokens_per_s", "memory_gb", "data_wait")
    return [{key: value for key, value in row.items() if key not in keys} for row in rows]


@pytest.mark.parametrize("where", PLACES)
def test_a_signal_at_any_place_is_answered_at_once_and_the_run_ends_as_if_it_had_not_come(
    made: dict[str, Any], tmp_path: Path, where: str
) -> None:
    process, lab = reach(made, tmp_path, where, SAMPLES)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=200)
    assert process.returncode == INTERRUPTED, said
    assert "SIGTERM: finishing this step and saving" in said and "Traceback" not in said
    assert f"again: groundup train {made['recipe']} {SAMPLES} --lab {lab}" in said
    (run,) = all_runs(lab)
    scored = {row["step"] for row in run.metrics() if row["kind"] == "valid"}
    assert scored == ({4} if where == "samples" else set()), "validation is broken off, and not half written down"
    assert finish(made, lab, SAMPLES) == run
    assert_equal_bits(weights(made["run"]), weights(run))
    rows = [row for row in without_time(run.metrics()) if row["kind"] == "valid"]
    assert rows == [row for row in without_time(made["run"].metrics()) if row["kind"] == "valid"]
    assert [row["step"] for row in run.samples()] == [row["step"] for row in made["run"].samples()]


@pytest.mark.parametrize("name", SIGNALS)
def test_each_signal_that_asks_to_stop_saves_and_ends_with_4(tmp_path: Path, name: str) -> None:
    one = trainer(write_recipe(tmp_path), tmp_path / "lab")
    update = one.update

    def signalled() -> None:
        update()
        if one.step == 7:
            os.kill(os.getpid(), getattr(signal, name))

    one.update = signalled  # type: ignore[method-assign]
    before = [signal.getsignal(number) for number in stop_signals()]
    with pytest.raises(GroundupError) as stopped:
        train(one)
    assert stopped.value.exit_code == INTERRUPTED and checkpoint.select(one.run, "last").step == 7
    assert [signal.getsignal(number) for number in stop_signals()] == before


def test_a_signal_at_the_end_of_training_keeps_what_comes_after_it_from_beginning(tmp_path: Path) -> None:
    one = trainer(write_recipe(tmp_path), tmp_path / "lab", "train.steps=5")
    sample = one.sample

    def signalled() -> None:
        sample()
        os.kill(os.getpid(), signal.SIGTERM)

    one.sample = signalled  # type: ignore[method-assign]
    with pytest.raises(GroundupError) as stopped:
        train(one)
    assert stopped.value.exit_code == INTERRUPTED
    assert [row["event"] for row in one.run.events()][-2:] == ["trained", "interrupted"]
    train(trainer(write_recipe(tmp_path), tmp_path / "lab", "train.steps=5"))


def test_the_second_signal_stops_at_once_and_loses_nothing_that_was_saved(made: dict[str, Any], tmp_path: Path) -> None:
    process, lab = reach(made, tmp_path, "samples", SAMPLES, "train.steps=20")
    process.send_signal(signal.SIGINT)
    time.sleep(2 * LUMP)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=200)  # it never gets leave to go on
    assert process.returncode == INTERRUPTED and "stopped at once [interrupted]" in said and not out, said
    (run,) = all_runs(lab)
    assert [path.name for path in sorted((run.path / "checkpoints").iterdir())] == ["step-00000002", "step-00000004"]
    again = finish(made, lab, SAMPLES, "train.steps=20")
    assert [row["step"] for row in again.events() if row["event"] == "resumed"] == [4]


HANGS = """
import ctypes
from groundup.train.interrupt import interruptible
libc = ctypes.CDLL(None)
with interruptible():
    print("ready", flush=True)
    nothing = (ctypes.c_ulong * 16)()
    libc.pthread_mutex_lock(nothing)
    libc.pthread_mutex_lock(nothing)
"""


def test_a_second_signal_ends_even_what_does_not_come_back_to_python() -> None:
    """A lock that a library waits for is no place where Python could run a handler."""
    process = subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(2 * LUMP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == INTERRUPTED


@pytest.mark.parametrize(
    ("first", "second", "seconds", "stops"),
    [
        (signal.SIGINT, signal.SIGINT, 2.0, True),
        (signal.SIGINT, signal.SIGTERM, 2.0, True),
        (signal.SIGUSR1, signal.SIGUSR1, 2.0, True),
        (signal.SIGTERM, signal.SIGTERM, 0.1, False),  # a launcher hands on what the scheduler has sent to all
        (signal.SIGUSR1, signal.SIGTERM, 60.0, False),  # Slurm: the notice, then the end
        (signal.SIGHUP, signal.SIGTERM, 2.0, False),
    ],
)
def test_only_a_second_one_of_a_person_means_at_once(
    first: signal.Signals, second: signal.Signals, seconds: float, stops: bool
) -> None:
    requests = Requests()
    assert not requests.second(first, 5.0)
    assert requests.second(second, 5.0 + seconds) == stops


def test_nohup_keeps_a_closed_terminal_from_stopping_a_run() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in stop_signals()


def test_before_training_a_signal_ends_the_command_with_4(made: dict[str, Any], tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom groundup import cli\nfrom groundup.science import pipeline\n"
        "def hang(*inputs):\n    print('ready', flush=True)\n    time.sleep(600)\n"
        "pipeline.make_shards = hang\nsys.exit(cli.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "train", str(made["recipe"]), "--lab", str(tmp_path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    out, said = process.communicate(timeout=200)
    assert process.returncode == INTERRUPTED and "give the same command again: groundup train" in said, said
    assert json.loads(out)["error"]["code"] == "interrupted"


def test_a_job_of_several_processes_hears_every_signal(made: dict[str, Any], tmp_path: Path) -> None:
    lab = lab_of(made, tmp_path)
    words = ["train.steps=5000", "train.checkpoint_every=20", "train.valid_every=1000", "--processes", "2"]
    job = subprocess.Popen(
        command(made["recipe"], lab, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(job.stderr or []))
    reader.start()
    wait_for(lambda: list(lab.glob("runs/*/checkpoints/step-*")), job)
    job.send_signal(signal.SIGUSR1)
    job.wait(60)
    reader.join(60)
    assert job.returncode == INTERRUPTED, said
    assert sum("SIGUSR1: finishing" in line for line in said) == 1
    assert any("--processes 2" in line and "again: groundup train" in line for line in said)


def test_a_job_that_is_stopped_while_it_starts_counts_as_interrupted(tmp_path: Path) -> None:
    """Processes that cannot hear a signal yet die of it; nothing is lost by that."""
    program = (
        "import os, sys, time\nfrom groundup.train import launch\n"
        'child = \'import pathlib, os, time; pathlib.Path(os.environ["FOLDER"], os.environ["RANK"]).touch(); '
        "time.sleep(600)'\n"
        "sys.exit(launch.launch([sys.executable, '-c', child], 2))"
    )
    job = subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT | {"FOLDER": str(tmp_path)})
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2, job)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == INTERRUPTED
