"""One process at a time, whatever becomes of the others, and whoever is refused is told whom to wait for."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import GroundupError
from groundup.store import locks
from groundup.store.locks import Holder, busy, hold, holder, side_file, this_process
from groundup.store.runs import Run

HEAD = "import os, sys, time, signal\nfrom pathlib import Path\nfrom groundup.store import locks\n"
HEAD += "path = Path(sys.argv[1])\n"
HOLD = 'with locks.hold(path, "training x"):\n    print("held", flush=True)\n    time.sleep(600)\n'


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "run.lock"


@contextmanager
def holding(path: Path, body: str = HOLD, word: str = "held\n") -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock."""
    with subprocess.Popen([sys.executable, "-c", HEAD + body, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == word
            yield process
        finally:
            process.kill()


def refused(path: Path) -> GroundupError:
    with pytest.raises(GroundupError) as caught, hold(path, "training x"):
        raise AssertionError("two hold one lock")
    assert caught.value.code == "run-busy"
    return caught.value


def name_holder(path: Path, other: Holder, age: float = 0.0) -> None:
    """Leave a side file behind, as a holder that could not say that it was over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side_file(path).write_text(json.dumps(asdict(other)))
    then = time.time() - age
    os.utime(side_file(path), (then, then))


def no_locks(*_: Any) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_who_is_refused_is_told_process_host_and_time_of_the_holder(lock: Path) -> None:
    with holding(lock) as process:
        what = refused(lock).what
        known = holder(lock)
        assert known and known.pid == process.pid
        assert f"process {process.pid} on {socket.gethostname()}, since {known.since}" in what
        assert busy(lock)
    assert not busy(lock)


def test_a_killed_holder_leaves_nothing_that_is_in_the_way(lock: Path) -> None:
    with holding(lock) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert side_file(lock).exists() and not busy(lock)
        with hold(lock, "training x"):
            known = holder(lock)
            assert known and known.pid == os.getpid()
    assert holder(lock) is None


def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(lock: Path) -> None:
    body = """
with locks.hold(path, "training x"):
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", HEAD + body, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        try:
            process.wait()
            os.kill(child, 0)  # it lives
            with hold(lock, "training x"):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def sleep() -> None:
    time.sleep(600)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_neither_do_workers_of_any_kind(lock: Path, method: Any) -> None:
    context = multiprocessing.get_context(method)
    with hold(lock, "training x"):
        worker = context.Process(target=sleep, daemon=True)
        worker.start()
    try:
        assert worker.is_alive()
        with holding(lock):
            refused(lock)
    finally:
        worker.kill()
        worker.join()


def test_a_forked_child_that_leaves_by_the_same_door_takes_no_lock_away(lock: Path) -> None:
    with hold(lock, "training x"):
        child = os.fork()
        if child == 0:
            try:
                with hold(lock, "training x"):  # it is its parent's
                    os._exit(1)
            except GroundupError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        body = 'try:\n    with locks.hold(path, "x"): print("had")\nexcept Exception as error: print(error.code)\n'
        with holding(lock, body, "run-busy\n"):
            assert holder(lock)


def test_asking_whether_a_run_is_busy_never_makes_it_so(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: Any) -> None:
        raise AssertionError("a reader took a lock")

    monkeypatch.setattr(fcntl, "flock", taken)
    assert not busy(lock)
    name_holder(lock, this_process())
    assert busy(lock)


def test_a_lock_left_by_a_reboot_is_taken_over_at_once(lock: Path) -> None:
    name_holder(lock, replace(this_process(), boot="another-boot", token="theirs"), age=locks.STALE + 1)
    assert not busy(lock)
    with hold(lock, "training x"):
        pass


@pytest.mark.parametrize("change", [{"born": 1}, {"pid": 2**22 + 1}])
def test_another_process_with_the_same_number_is_not_taken_for_the_holder(
    lock: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(locks, "SETTLE", 0.0)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    name_holder(lock, replace(this_process(), token="theirs", **change))
    assert not busy(lock)
    with hold(lock, "training x"):
        pass


def test_where_the_file_system_has_no_locks_the_side_file_is_one(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE", 0.0)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    body = "import errno, fcntl\ndef none(*_): raise OSError(errno.ENOSYS, 'no')\nfcntl.flock = none\n" + HOLD
    with holding(lock, body) as process:
        assert str(process.pid) in refused(lock).what
        process.send_signal(signal.SIGKILL)
        process.wait()
        with hold(lock, "training x"):
            refused(lock)
    assert not side_file(lock).exists()


ELSEWHERE = Holder("other-host", 4711, "2026-01-01T00:00:00+00:00", "their-boot", "pid:[1]", 5, "theirs")


def test_a_lock_that_does_not_reach_another_host_is_not_had_while_that_host_gives_signs(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_holder(lock, ELSEWHERE)
    monkeypatch.setattr(time, "sleep", lambda _: os.utime(side_file(lock), (1e9, 1e9)))  # a sign of life
    error = refused(lock)
    assert "process 4711 on other-host" in error.what and str(side_file(lock)) in error.fix
    assert holder(lock) == ELSEWHERE


def test_a_host_that_gives_no_sign_has_lost_the_lock(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_holder(lock, ELSEWHERE, age=locks.STALE + 1)
    with hold(lock, "training x"):
        pass
    monkeypatch.setattr(locks, "STALE", 0.5)
    name_holder(lock, ELSEWHERE)
    with hold(lock, "training x"):
        pass


BEATING = "locks.BEAT = 0.02\n" + HOLD


def wait_for(condition: Callable[[], Any]) -> None:
    while not condition():
        time.sleep(0.02)


def test_a_holder_gives_signs_of_life_and_names_itself_again_where_somebody_cleared_away(lock: Path) -> None:
    with holding(lock, BEATING) as process:
        before = side_file(lock).stat().st_mtime_ns
        wait_for(lambda: side_file(lock).stat().st_mtime_ns != before)
        side_file(lock).unlink()
        wait_for(lambda: (known := holder(lock)) and known.pid == process.pid)


def test_a_holder_that_was_taken_for_dead_ends_when_it_finds_out(lock: Path) -> None:
    with holding(lock, BEATING) as process:
        temporary = lock.with_name("theirs")
        temporary.write_text(json.dumps(asdict(ELSEWHERE)))
        temporary.replace(side_file(lock))
        assert process.wait() == 3
    assert holder(lock) == ELSEWHERE  # and takes nothing away


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', "[" * 10_000, "\x00", json.dumps({"pid": 1})])
def test_a_damaged_side_file_names_nobody_and_is_in_nobodys_way(lock: Path, text: str) -> None:
    lock.parent.mkdir()
    side_file(lock).write_text(text)
    assert holder(lock) is None and not busy(lock)
    with hold(lock, "training x"):
        assert busy(lock)


def test_an_error_while_a_lock_is_held_frees_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "one")
    with pytest.raises(ValueError), run.lock():
        assert run.busy()
        raise ValueError
    assert not run.busy()
    with run.lock():
        pass
