"""What is on the disk is whole or not there, is made once, and damage never goes unnoticed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.store import artifacts, files
from groundup.store.artifacts import Artifact, identify, load, make
from groundup.store.files import (
    append_lines,
    canonical,
    damage,
    digest,
    file_record,
    read_lines,
    write_atomic,
    write_json,
)
from groundup.store.runs import Run, all_runs, find

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def turned(value: Any) -> Any:
    """The same value with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(one) for one in value] if isinstance(value, list) else value


def fill(directory: Path) -> dict[str, Any]:
    (directory / "a.txt").write_text("hello, world")
    (directory / "below").mkdir()
    (directory / "below" / "b.bin").write_bytes(bytes(range(256)) * 40)
    return {"counts": {"bytes": 12345}}


def never(directory: Path) -> dict[str, Any]:
    raise AssertionError("made again")


def refusal(action: Callable[[], Any]) -> GroundupError:
    with pytest.raises(GroundupError) as caught:
        action()
    return caught.value


# -- hashes and files --------------------------------------------------------------------------------------------------


@given(JSON)
def test_equal_values_have_equal_digests_however_their_keys_are_ordered(value: Any) -> None:
    assert canonical(turned(value)) == canonical(value) and digest(turned(value)) == digest(value)
    assert json.loads(canonical(value)) == value


@given(JSON, JSON)
def test_values_that_differ_in_json_have_different_digests(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_is_no_number_has_no_digest(value: Any) -> None:
    with pytest.raises(ValueError):
        digest(value)


def test_an_atomic_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("first, the longer one", "second", ""):
        write_atomic(path, text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_in_the_middle_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    path = tmp_path / "x.txt"
    write_atomic(path, "old")

    def fail(*_: Any) -> None:
        raise failure

    owner: Any = os if step == "fsync" else Path
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(type(failure)):
        write_atomic(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_a_part_of_an_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_atomic(path, "a" * 100_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for letter in "abc":
                write_atomic(path, letter * 100_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            text = path.read_text()
            assert len(text) == 100_000 and len(set(text)) == 1
    finally:
        stop.set()
        writer.join()


def test_json_that_has_no_numbers_for_it_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


# -- JSON lines --------------------------------------------------------------------------------------------------------


def test_reading_passes_over_a_half_written_last_line_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": step, "text": "naïve 😀\u2028"} for step in range(3)]
    append_lines(path, rows)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_lines(path)) == rows[:2]
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_a_row_appended_after_a_half_written_line_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_lines(path, [{"event": "started"}, {"event": "checkpoint"}])
    os.truncate(path, path.stat().st_size - 5)  # killed, or the disk was full, in the middle of a line
    append_lines(path, [{"event": "resumed"}])
    assert [row["event"] for row in read_lines(path)] == ["started", "resumed"]


def test_a_damaged_line_is_reported_as_damage_of_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log_metrics({"kind": "train", "step": 1}, {"kind": "train", "step": 2})
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"step": 1}', b'"st\x00p: 1}'))
    error = refusal(lambda: list(run.metrics()))
    assert error.code == "run-damaged" and "metrics.jsonl" in error.what


@given(st.lists(st.integers(0, 20), max_size=20), st.integers(0, 20))
@settings(deadline=None)
def test_rewinding_drops_the_rows_after_a_step_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], step: int
) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    for name in ("metrics.jsonl", "samples.jsonl"):
        append_lines(run.path / name, [{"step": one, "text": "é"} for one in steps])
        with (run.path / name).open("ab") as file:
            file.write(b'{"step": ')  # killed in the middle of a row
    run.log_event("started")
    run.rewind(step)
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert [row["step"] for row in read_lines(run.path / name)] == [one for one in steps if one <= step]
        assert (run.path / name).read_bytes()[-1:] in (b"", b"\n")
    assert [event["event"] for event in run.events()] == ["started"]  # history is not rewritten


# -- artifacts: reuse --------------------------------------------------------------------------------------------------


def test_the_same_part_is_made_once_and_then_reused(tmp_path: Path) -> None:
    made = make(tmp_path, "corpus", 1, {"a": 1, "b": [2]}, [], fill)
    again = make(tmp_path, "corpus", 1, {"b": [2], "a": 1}, [], never)
    assert again.path == made.path and again.manifest == made.manifest
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == [made.id]


def test_a_manifest_tells_inputs_sizes_hashes_versions_and_time(tmp_path: Path) -> None:
    corpus = make(tmp_path, "corpus", 3, {"a": 1}, [], fill)
    shards = make(tmp_path, "shards", 1, {}, [corpus], fill)
    manifest = json.loads((shards.path / "manifest.json").read_bytes())
    assert manifest["files"].keys() == {"a.txt", "below/b.bin"} and manifest["files"]["a.txt"]["bytes"] == 12
    assert manifest["inputs"] == [corpus.reference()] and manifest["inputs"][0]["id"] == corpus.id
    assert manifest["counts"] == {"bytes": 12345} and manifest["stage"] == "shards" and manifest["stage_version"] == 1
    assert manifest["seconds"] >= 0 and "groundup" in manifest["versions"]


def test_another_part_input_version_or_stage_makes_another_artifact(tmp_path: Path) -> None:
    one, two = (make(tmp_path, "corpus", 1, {"number": number}, [], fill) for number in (1, 2))
    names = [
        identify("shards", 1, {"a": 1}, [one]),
        identify("shards", 1, {"a": 2}, [one]),
        identify("shards", 1, {"a": "1"}, [one]),
        identify("shards", 2, {"a": 1}, [one]),
        identify("shards", 1, {"a": 1}, [two]),
        identify("shards", 1, {"a": 1}, [one, two]),
        identify("shards", 1, {"a": 1}, [two, one]),
        identify("shards", 1, {"a": 1}, []),
        identify("tokenizer", 1, {"a": 1}, [one]),
    ]
    assert len(set(names)) == len(names)


# -- artifacts: failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [ValueError("broken"), OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(1)]
)
def test_a_build_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path, failure: BaseException) -> None:
    def fail(directory: Path) -> dict[str, Any]:
        fill(directory)
        raise failure

    with pytest.raises(type(failure)):
        make(tmp_path, "corpus", 1, {}, [], fail)
    assert list((tmp_path / "artifacts").iterdir()) == []
    assert make(tmp_path, "corpus", 1, {}, [], fill).manifest["counts"] == {"bytes": 12345}


def test_a_disk_that_fills_while_the_manifest_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "write_json", fail)
    with pytest.raises(OSError):
        make(tmp_path, "corpus", 1, {}, [], fill)
    assert list((tmp_path / "artifacts").iterdir()) == []


def script(body: str) -> list[str]:
    """A Python process that has the store at hand and, as `lab`, its first argument."""
    head = "import os, sys, time, signal\nfrom pathlib import Path\nfrom groundup.store.artifacts import make\n"
    return [sys.executable, "-c", head + "from groundup.store.runs import Run\nlab = Path(sys.argv[1])\n" + body]


def test_what_a_killed_process_left_is_cleared_away_and_made_anew(tmp_path: Path) -> None:
    body = """
def build(directory):
    (directory / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
make(lab, "corpus", 1, {}, [], build)
"""
    assert subprocess.run([*script(body), str(tmp_path)]).returncode == -signal.SIGKILL
    left = list((tmp_path / "artifacts").iterdir())
    assert len(left) == 1 and left[0].name.startswith(".")  # hidden: nobody takes it for an artifact
    made = make(tmp_path, "corpus", 1, {}, [], fill)
    assert list((tmp_path / "artifacts").iterdir()) == [made.path]
    assert not (made.path / "half.txt").exists() and load(made.path)


def test_two_processes_that_want_the_same_artifact_make_it_once(tmp_path: Path) -> None:
    body = """
def build(directory):
    with (lab / "built").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    (directory / "a.txt").write_text("hello")
    return {}
print(make(lab, "corpus", 1, {}, [], build).path)
"""
    processes = [subprocess.Popen([*script(body), str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(paths) == 1 and (tmp_path / "built").read_text() == "x"


# -- artifacts: damage -------------------------------------------------------------------------------------------------


def flip(path: Path, at: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a manifest as somebody would who knows nothing of hashes."""
    manifest = json.loads((path / "manifest.json").read_bytes())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest, indent=1))


def outside(manifest: dict[str, Any]) -> None:
    secret = {"bytes": 0, "sha256": files.hashlib.sha256(b"").hexdigest()}
    manifest["files"]["../../secret"] = secret


def directory_for_file(path: Path) -> None:
    (path / "a.txt").unlink()
    (path / "a.txt").mkdir()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a flipped bit": lambda path: flip(path / "below" / "b.bin", 5000),
    "a flipped first bit": lambda path: flip(path / "a.txt", 0),
    "a truncated file": lambda path: os.truncate(path / "a.txt", 11),
    "an emptied file": lambda path: os.truncate(path / "a.txt", 0),
    "a longer file": lambda path: (path / "a.txt").write_text("hello, world!"),
    "a deleted file": lambda path: (path / "below" / "b.bin").unlink(),
    "a directory for a file": lambda path: directory_for_file(path),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "an empty manifest": lambda path: os.truncate(path / "manifest.json", 0),
    "half a manifest": lambda path: os.truncate(path / "manifest.json", 200),
    "a manifest of noise": lambda path: (path / "manifest.json").write_bytes(b"\x00\xff" * 100),
    "a manifest of brackets": lambda path: (path / "manifest.json").write_text("[" * 100_000),
    "a manifest that is a list": lambda path: (path / "manifest.json").write_text("[]"),
    "a manifest that is null": lambda path: (path / "manifest.json").write_text("null"),
    "a manifest without files": lambda path: edit(path, lambda manifest: manifest.pop("files")),
    "a manifest with no file": lambda path: edit(path, lambda manifest: manifest["files"].clear()),
    "a manifest that lacks a file": lambda path: edit(path, lambda manifest: manifest["files"].pop("a.txt")),
    "files that are a list": lambda path: edit(path, lambda manifest: manifest.update(files=["a.txt"])),
    "a file that is a number": lambda path: edit(path, lambda manifest: manifest["files"].update({"a.txt": 5})),
    "a file without a hash": lambda path: edit(path, lambda manifest: manifest["files"]["a.txt"].pop("sha256")),
    "another artifact's id": lambda path: edit(path, lambda manifest: manifest.update(id="corpus-0000000000000000")),
    "a changed count": lambda path: edit(path, lambda manifest: manifest["counts"].update(bytes=12344)),
    "a path outside": lambda path: edit(path, outside),
    "an absolute path": lambda path: edit(
        path, lambda manifest: manifest["files"].update({"/etc/passwd": {"bytes": 1, "sha256": ""}})
    ),
    "a path with a zero byte": lambda path: edit(
        path, lambda manifest: manifest["files"].update({"a\0": {"bytes": 1, "sha256": ""}})
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_kind_of_damage_is_found_before_the_artifact_is_used(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_bytes(b"")
    made = make(tmp_path, "corpus", 1, {}, [], fill)
    DAMAGE[kind](made.path)
    for action in (lambda: load(made.path), lambda: make(tmp_path, "corpus", 1, {}, [], never)):
        error = refusal(action)
        assert error.code == "artifact-damaged" and str(made.path) in error.what + error.fix
    assert made.path.exists()  # left for a look; nothing is deleted behind the user's back


def test_a_link_that_leads_out_of_the_artifact_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("hello, world")
    made = make(tmp_path, "corpus", 1, {}, [], fill)
    (made.path / "a.txt").unlink()
    (made.path / "a.txt").symlink_to(tmp_path / "outside.txt")
    assert refusal(lambda: load(made.path)).code == "artifact-damaged"


def test_the_fix_for_a_damaged_artifact_works(tmp_path: Path) -> None:
    import shutil

    made = make(tmp_path, "corpus", 1, {}, [], fill)
    flip(made.path / "a.txt")
    assert f"delete {made.path}" in refusal(lambda: load(made.path)).fix
    shutil.rmtree(made.path)
    assert load(make(tmp_path, "corpus", 1, {}, [], fill).path)


@given(st.integers(0, 255), st.integers(0, 7))
def test_any_flipped_bit_of_any_file_is_found(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    directory = tmp_path_factory.mktemp("files")
    (directory / "b.bin").write_bytes(bytes(range(256)))
    record = file_record(directory)
    assert damage(directory, record) is None
    raw = bytearray(range(256))
    raw[at] ^= 1 << bit
    (directory / "b.bin").write_bytes(raw)
    assert damage(directory, record)


# -- runs --------------------------------------------------------------------------------------------------------------

HOLD = 'with Run(lab / "runs" / "one").lock():\n    print("held", flush=True)\n    time.sleep(60)\n'


def test_a_second_process_finds_the_run_busy_until_the_first_is_gone_however_it_went(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "one")
    for end in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen([*script(HOLD), str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            start = time.monotonic()
            with pytest.raises(GroundupError) as busy, run.lock():
                pass
            assert busy.value.code == "run-busy" and time.monotonic() - start < 5  # refused, not waited for
            holder.send_signal(end)
            holder.wait(timeout=30)
        with run.lock():
            pass


def test_a_lock_ends_with_what_it_was_held_for_and_other_runs_are_free(tmp_path: Path) -> None:
    one, other = Run(tmp_path / "runs" / "one"), Run(tmp_path / "runs" / "other")
    with pytest.raises(ValueError), one.lock(), other.lock():
        raise ValueError
    with one.lock(), other.lock():
        pass


def lay_out(lab: Path, *names: str) -> list[Run]:
    for age, name in enumerate(names):
        path = lab / "runs" / name
        path.mkdir(parents=True)
        write_json(path / "lineage.json", {"run": name, "chain": []})
        os.utime(path / "lineage.json", (1000 + age, 1000 + age))
    return [Run(lab / "runs" / name) for name in names]


def test_a_run_is_found_by_name_beginning_path_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = lay_out(tmp_path, "beta-1", "alpha-1", "alpha-12")
    (tmp_path / "runs" / "half-made").mkdir()  # no lineage: not a run
    assert all_runs(tmp_path) == runs
    assert find(tmp_path, "last") == runs[-1] and find(tmp_path, "be") == runs[0]
    assert find(tmp_path, "alpha-1") == runs[1]  # the whole name wins over longer ones that begin with it
    assert find(tmp_path, str(runs[0].path)) == runs[0]
    for name in ("alpha", "gamma", "half-made", ""):
        assert refusal(partial(find, tmp_path, name)).code == "no-such-run"
    assert "alpha-12" in refusal(lambda: find(tmp_path, "alpha")).what


def test_a_run_found_by_a_relative_path_knows_its_name_and_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, "one")
    for place, name in ((".", "runs/one"), ("runs", "one"), ("runs/one", "."), ("runs", "../runs/one/")):
        monkeypatch.chdir(tmp_path / place)
        found = find(tmp_path / "elsewhere", name)
        assert found.name == "one" and found.path.parent.parent.resolve() == tmp_path


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"chain": {}}', "\x00", "[" * 100_000, '{"chain": []}', '{"chain": [5]}']
)
def test_a_damaged_lineage_is_damage_of_the_run(tmp_path: Path, text: str) -> None:
    (run,) = lay_out(tmp_path, "one")
    (run.path / "lineage.json").write_text(text)
    assert refusal(run.shards).code == "run-damaged"


def test_an_artifact_is_opened_by_its_directory_alone(tmp_path: Path) -> None:
    made = make(tmp_path / "lab", "corpus", 1, {}, [], fill)
    (tmp_path / "lab").rename(tmp_path / "moved")  # a lab can be moved
    moved = load(tmp_path / "moved" / "artifacts" / made.id)
    assert isinstance(moved, Artifact) and moved.id == made.id
