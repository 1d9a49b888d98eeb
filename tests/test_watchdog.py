"""What makes no progress is found, shown and ended; what takes long, but goes on, is left alone."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_recipe import small_recipe
from tiny_runs import assert_equal_bits, weights

from groundup.cli import main
from groundup.errors import ENVIRONMENT
from groundup.store.runs import all_runs
from groundup.train import checkpoint, watchdog
from groundup.train.watchdog import Watchdog

# A run in which something waits for ever, from its fifth step on. The limit is lowered only then: a step on a busy
# machine may take longer than a test wants to wait.
PROGRAM = """
import sys, threading
from groundup import cli
from groundup.tokens import stream
from groundup.train import loop

def never_answers():
    threading.Event().wait()

if {where!r} == "feed":
    batch = stream.Stream.batch
    def read(self, step):
        return never_answers() if step >= 6 else batch(self, step)
    stream.Stream.batch = read
else:
    batch = loop.complete_all
    loop.complete_all = lambda *inputs: never_answers()
    loop.LONG = 0.0

update = loop.Trainer.update
def lowered(self):
    if self.step >= 6 or {where!r} != "feed":
        self.watchdog.limit = 1.0
        self.watchdog.feed()
    update(self)
loop.Trainer.update = lowered
sys.exit(cli.main())
"""


@pytest.mark.parametrize(("where", "feed"), [("feed", "prefetch"), ("samples", "memory")], ids=lambda value: value)
def test_what_hangs_is_shown_and_ended_and_the_run_goes_on_from_its_checkpoint(
    tmp_path: Path, where: str, feed: str
) -> None:
    recipe, lab, through = small_recipe(tmp_path), tmp_path / "lab", tmp_path / "through"
    words = [str(recipe), "train.hang_minutes=10", "train.sample_every=6"]
    assert main(["train", *words, "--lab", str(through)]) == 0
    lab.mkdir()
    (lab / "artifacts").symlink_to(through / "artifacts")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(where=where), "train", *words, f"train.feed={feed}", "--lab", str(lab)],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == ENVIRONMENT, done.stderr
    assert "[hung]" in done.stderr and "groundup explain hung" in done.stderr and "never_answers" in done.stderr
    (run,) = all_runs(lab)
    stacks = (run.path / "stacks.txt").read_text()
    assert "never_answers" in stacks and "in train" in stacks, "all threads, the main one too"
    found, problems = checkpoint.whole(run)
    assert found and not problems
    assert main(["train", *words, "--lab", str(lab)]) == 0
    assert_equal_bits(weights(run), weights(all_runs(through)[0]))


@pytest.fixture
def barks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the watchdog would have ended the process."""
    found: list[float] = []
    monkeypatch.setattr(Watchdog, "_bark", lambda self: found.append(time.monotonic()))
    monkeypatch.setattr(watchdog, "LOOK", 0.01)
    return found


def wait_for(come: Any) -> None:
    deadline = time.monotonic() + 60
    while not come() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert come()


def test_it_waits_for_its_limit_and_what_was_allowed_besides(tmp_path: Path, barks: list[float]) -> None:
    dog = Watchdog(tmp_path, 0.2 / 60)
    with dog.watching():
        dog.feed(1000.0)
        time.sleep(0.5)
        assert not barks
        begin = time.monotonic()
        dog.feed()
        wait_for(lambda: barks)
    assert barks[0] - begin >= 0.2


@pytest.mark.parametrize("how", ["paused", "no limit", "over"])
def test_it_leaves_alone_what_is_not_its_own(tmp_path: Path, barks: list[float], how: str) -> None:
    dog = Watchdog(tmp_path, None if how == "no limit" else 0.1 / 60)
    with dog.watching():
        if how == "paused":
            with dog.paused():
                time.sleep(0.4)
                assert not barks
            dog.feed(1000.0)
        elif how == "over":
            dog.feed(1000.0)
    if how == "over":
        dog.until = 0.0
    time.sleep(0.2)
    assert not barks


def test_a_process_that_was_stopped_for_hours_has_not_hung(
    tmp_path: Path, barks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z, a laptop's lid, Slurm's suspension: time passes, and nobody looks."""
    dog, shift = Watchdog(tmp_path, 0.5), 0.0
    clock = time.monotonic
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: clock() + shift)
    with dog.watching():
        time.sleep(0.1)
        shift = 7200.0
        time.sleep(0.3)
        assert not barks
        dog.until = clock() + shift
        wait_for(lambda: barks)


def test_no_clock_that_can_be_set_decides_anything() -> None:
    """time.time and datetime.now jump with the system's clock: they are for labels, ages and a
    warning alone, in these places."""
    package = Path(watchdog.__file__).parents[1]
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "datetime.now", "datetime.today"):
                found.add(path.relative_to(package).as_posix())
    assert found <= {
        *("store/runs.py", "store/artifacts.py", "store/locks.py", "train/preflight.py"),
        *("science/checkpoints.py", "science/evaluation_record.py"),
    }
