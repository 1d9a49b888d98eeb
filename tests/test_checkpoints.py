"""Checkpoints are whole or not there, in whatever way they are written, replaced, deleted and read."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_runs import trainer, write_recipe

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.store.files import sha256
from groundup.store.runs import Run
from groundup.train import checkpoint, retention, saver, writing
from groundup.train.keeping import resume, save, saver_of
from groundup.train.loop import train
from groundup.train.saver import Saver
from groundup.train.writing import Contents

CONFIG = ModelConfig("modern", 300, 1, 32, 2, 2, 64, 16)
KINDS = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8]


def contents(step: int, bpb: float | None = None, fill: float = 0.0) -> Contents:
    """A checkpoint that holds little, but all that must be there."""
    state: dict[str, Any] = {"step": step, "valid_bpb": bpb, "best": bpb, "since_best": 0, "stopped": None}
    state |= {"seconds": 1.0, "factor": 1.0, "start": {"step": 0, "factor": 0.0, "seconds": 0.0}, "interval": {}}
    state |= {"micro_batch": 1, "processes": 1, "optimizer": "adamw", "tokens_per_update": 16, "scaler": {}}
    tensor = torch.full((4, 3), fill + step)
    return Contents({"weight": tensor}, {"weight/momentum": -tensor}, CONFIG, state | {"made_with": {}})


def written(run: Run, *all: Contents) -> list[Path]:
    return [writing.write(run, one).path for one in all]


def steps(run: Run) -> list[int]:
    found, problems = checkpoint.whole(run)
    assert not problems
    return [one.step for one in found]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


# -- writing ----------------------------------------------------------------------------------------------------------


@given(
    shapes=st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 5), max_size=3)), max_size=6),
    transposed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_file_of_tensors_is_read_by_safetensors_and_has_the_hash_that_was_made_on_the_way(
    shapes: list[tuple[torch.dtype, list[int]]], transposed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "tensors.safetensors"
    tensors = {f"é{n}": (100 * torch.rand(shape)).to(kind) for n, (kind, shape) in enumerate(shapes)}
    given_ = {name: value.mT if transposed and value.dim() > 1 else value for name, value in tensors.items()}
    record = writing.write_tensors(path, given_)
    assert record == {"bytes": path.stat().st_size, "sha256": sha256(path)}
    read = load_file(path)
    assert read.keys() == given_.keys()
    for name, value in given_.items():
        assert read[name].dtype == value.dtype and torch.equal(read[name], value), name


def test_pieces_of_a_large_tensor_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PIECE", 1000)
    tensors = {"a": torch.rand(3333), "b": torch.rand(7, 11)}
    record = writing.write_tensors(tmp_path / "mine", tensors)
    assert record["sha256"] == sha256(tmp_path / "mine")
    save_file(tensors, tmp_path / "theirs")
    theirs, mine = load_file(tmp_path / "theirs"), load_file(tmp_path / "mine")
    assert all(torch.equal(mine[name], theirs[name]) for name in tensors)


def test_a_manifest_names_every_file_with_its_size_and_hash(run: Run) -> None:
    (path,) = written(run, contents(3))
    files = json.loads((path / "MANIFEST.json").read_bytes())["files"]
    assert files.keys() == {entry.name for entry in path.iterdir()} - {"MANIFEST.json"}
    for name, entry in files.items():
        assert entry == {"bytes": (path / name).stat().st_size, "sha256": sha256(path / name)}
    assert checkpoint.problem(path) is None


class Cut(BaseException):
    """The process is gone: nothing that comes after runs, except what a test says."""


def cut_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end before its `number`-th rename or removal: Path.rename, shutil.rmtree."""
    count = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= number:  # and all that comes after it, in `except` and `finally`, does not happen either
                raise Cut
            return real(*inputs, **options)

        return call

    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))


def test_a_kill_while_a_checkpoint_is_replaced_loses_neither_it_nor_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where training went back behind a checkpoint, it is written again; wherever that is cut off, one of both is
    there afterwards, whole."""
    number, done = 0, False
    while not done:
        number += 1
        shutil.rmtree(checkpoint.directory(run), ignore_errors=True)
        written(run, contents(1), contents(2, fill=0.0))
        with monkeypatch.context() as patch:
            cut_at(number, patch)
            try:
                written(run, contents(2, fill=0.5))
                done = True
            except Cut:
                pass
        writing.tidy(run)
        assert steps(run) == [1, 2], number
        value = float(load_file(checkpoint.directory(run) / "step-00000002" / "model.safetensors")["weight"][0, 0])
        assert value in (2.0, 2.5)
        assert not list(checkpoint.directory(run).glob(".*")), number
    assert number > 4 and value == 2.5


def test_a_replacement_that_cannot_take_its_place_leaves_the_old_one_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(run, contents(2))
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(writing.SAVING):
            raise OSError(errno.EIO, "Input/output error", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError):
        written(run, contents(2, fill=0.5))
    assert steps(run) == [2] and not list(checkpoint.directory(run).glob(".*"))


# -- in the background ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_recipe(tmp_path_factory.mktemp("checkpoints"))


def test_what_is_written_in_the_background_is_what_would_have_been_written_at_once(
    recipe: Path, tmp_path: Path
) -> None:
    found = []
    for background in (False, True):
        options = [
            "train.ema=0.9",
            "train.steps=20",
            "train.keep=9",
            f"train.background_saving={str(background).lower()}",
        ]
        one = trainer(recipe, tmp_path / str(background), *options)
        train(one)
        found.append({path.relative_to(one.run.path): path for path in one.run.path.glob("checkpoints/step-*/*")})
    assert found[0].keys() == found[1].keys() and len(found[0]) == 2 * 5
    for name, path in found[0].items():
        if name.suffix == ".safetensors":
            assert path.read_bytes() == found[1][name].read_bytes(), name


def hold_back(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let writing wait until the event is set."""
    go, real = threading.Event(), saver.write

    def slow(*inputs: Any) -> Any:
        assert go.wait(60)
        return real(*inputs)

    monkeypatch.setattr(saver, "write", slow)
    return go


def test_a_save_in_the_background_keeps_the_weights_of_its_step_while_training_goes_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(recipe, tmp_path, "train.ema=0.9", "train.background_saving=true")
    one.update()
    expected = {name: value.detach().clone() for name, value in one.model.state_dict().items()}
    go = hold_back(monkeypatch)
    save(one, wait=False)
    for _ in range(2):
        one.update()
        one.saver.poll()
    assert not checkpoint.paths(one.run), "it is still to be written"
    assert any(not torch.equal(value, expected[name]) for name, value in one.model.state_dict().items())
    go.set()
    one.saver.finish()
    (path,) = checkpoint.paths(one.run)
    read = load_file(path / "model.safetensors")
    assert all(torch.equal(read[name], value) for name, value in expected.items())
    assert checkpoint.load_optimizer(checkpoint.select(one.run, "1"))["blocks.0.attention.qkv.weight/step"] == 1


def test_at_most_one_save_is_pending_and_the_next_waits_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    go = hold_back(monkeypatch)
    with Saver(run, 3, background=True) as one:
        one.save(contents(1), wait=False)
        first = one.pending
        threading.Timer(0.05, go.set).start()
        one.save(contents(2), wait=False)
        assert first and not first.thread.is_alive() and one.pending is not first
    assert steps(run) == [1, 2]
    assert [event["step"] for event in run.events()] == [1, 2]


def fail_to_write(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> None:
    def fail(*inputs: Any) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr(writing, "write_tensors", fail)


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "disk-full"), (errno.EIO, "disk-error")])
def test_a_write_that_fails_in_the_background_ends_training_with_the_error_of_one_that_was_waited_for(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: str,
) -> None:
    command = ["train", str(recipe), "train.steps=14", "--lab", str(tmp_path / "lab")]
    errors = []
    for background in ("true", "false"):
        with monkeypatch.context() as patch:
            fail_to_write(patch, number)
            capsys.readouterr()
            assert main([*command, f"train.background_saving={background}"]) == 3
        errors.append(next(line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")))
    assert errors[0] == errors[1] and f"[{code}]" in errors[0] and "somewhere" in errors[0]
    assert main(command) == 0


@pytest.mark.parametrize("call", ["poll", "save", "finish", "exit"])
def test_a_failure_in_the_background_is_raised_once_by_whatever_comes_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fail_to_write(monkeypatch)
    one = Saver(run, 3, background=True)
    one.save(contents(1), wait=False)
    assert one.pending
    one.pending.thread.join()
    with pytest.raises(OSError) as failed:
        inputs = {"save": (contents(2), False), "exit": (None, None, None)}.get(call, ())
        getattr(one, "__exit__" if call == "exit" else call)(*inputs)
    assert failed.value.errno == errno.ENOSPC
    one.finish()
    assert not list(checkpoint.directory(run).iterdir())


def test_an_error_that_ends_training_waits_for_the_pending_save_and_is_not_hidden_by_its_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go = hold_back(monkeypatch)
    with pytest.raises(GroundupError) as ended, Saver(run, 3, background=True) as one:
        one.save(contents(1), wait=False)
        threading.Timer(0.05, go.set).start()
        raise GroundupError("diverged", "the loss is not finite", "")
    assert ended.value.code == "diverged" and steps(run) == [1]
    fail_to_write(monkeypatch)
    with pytest.raises(GroundupError) as ended, Saver(run, 3, background=True) as one:
        one.save(contents(2), wait=False)
        raise GroundupError("diverged", "the loss is not finite", "")
    assert ended.value.code == "diverged" and "No space left" in capsys.readouterr().err


def test_saving_in_the_background_is_left_alone_where_memory_has_no_room_for_the_copy(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   1000 kB\n")
    monkeypatch.setattr(saver, "MEMORY", tmp_path / "meminfo")
    assert saver.affordable(1000 * 1024 // 3) and not saver.affordable(1000 * 1024 // 2)
    one = trainer(recipe, tmp_path / "lab", "model.width=128", "model.layers=4")
    assert not saver_of(one).background
    monkeypatch.setattr(saver, "MEMORY", tmp_path / "nowhere")
    assert saver_of(one).background


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_from_a_gpu_the_copy_is_of_the_step_and_in_pinned_memory(run: Run) -> None:
    weights = torch.zeros(1 << 24, device="cuda")
    one = Saver(run, 3, background=True)
    for step in (1, 2):
        weights.fill_(step)
        part = contents(step)
        one.save(Contents({"weight": weights}, {"weight/momentum": weights}, CONFIG, part.state), wait=False)
        weights.fill_(-1)  # in line behind the copy
        one.finish()
        assert bool((load_file(checkpoint.paths(run)[-1] / "model.safetensors")["weight"] == step).all())
    assert all(copy.is_pinned() for copy in one.copies.values())


# -- keeping and deleting ---------------------------------------------------------------------------------------------


def test_retention_keeps_the_newest_the_best_and_what_is_read(run: Run) -> None:
    paths = written(run, *(contents(step, bpb) for step, bpb in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 2.5), (5, None))))
    with retention.held(paths[0]) as there:
        assert there and retention.in_use(paths[0]) and not retention.in_use(paths[1])
        retention.retire(run, 2)
        assert steps(run) == [1, 2, 4, 5]
    retention.retire(run, 2)
    assert steps(run) == [2, 4, 5]
    with retention.held(paths[0]) as there:
        assert not there, "what is gone cannot be held"


READER = """
import sys, time
from pathlib import Path
from groundup.train.retention import held
with held(Path(sys.argv[1])) as there:
    print(there, flush=True)
    time.sleep(600)
"""


def test_a_reader_that_is_killed_holds_nothing_any_more(run: Run) -> None:
    (path, *_) = written(run, contents(1), contents(2))
    with subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout and reader.stdout.readline() == "True\n"
        retention.retire(run, 1)
        assert steps(run) == [1, 2]
        reader.send_signal(signal.SIGKILL)
        reader.wait()
    retention.retire(run, 1)
    assert steps(run) == [2]


def test_a_reader_whose_checkpoint_is_deleted_before_it_is_held_takes_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(run, contents(1), contents(2))
    select, calls = retention.select, []

    def late(*inputs: Any) -> Any:
        found = select(*inputs)
        if not calls:
            calls.append(found.step)
            shutil.rmtree(found.path)
        return found

    monkeypatch.setattr(retention, "select", late)
    with retention.reading(run, "last") as found:
        assert (calls, found.step) == ([2], 1) and retention.in_use(found.path)


def test_a_checkpoint_that_somebody_deletes_meanwhile_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(run, *(contents(step) for step in (1, 2, 3)))
    real = retention.look

    def late(path: Path) -> Any:
        found = real(path)
        if path == paths[0]:
            shutil.rmtree(path)
        return found

    monkeypatch.setattr(retention, "look", late)
    retention.retire(run, 1)
    assert steps(run) == [3]


def test_a_damaged_checkpoint_is_left_for_a_person_to_look_at(run: Run) -> None:
    paths = written(run, *(contents(step) for step in (1, 2, 3)))
    (paths[0] / "model.json").unlink()
    retention.retire(run, 1)
    assert [path.name for path in checkpoint.paths(run)] == ["step-00000001", "step-00000003"]


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "read"), [("last", [4]), ("best", [2]), ("3", [3])])
def test_of_many_checkpoints_only_those_in_question_are_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, which: str, read: list[int]
) -> None:
    written(run, *(contents(step, bpb) for step, bpb in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 2.5))))
    opened: list[int] = []
    real = checkpoint.problem

    def counted(path: Path) -> str | None:
        opened.append(int(path.name[5:]))
        return real(path)

    monkeypatch.setattr(checkpoint, "problem", counted)
    assert checkpoint.select(run, which).step == read[-1] and opened == read


@pytest.mark.parametrize(("which", "step"), [("last", 3), ("best", 3)])
def test_latest_and_best_are_found_by_what_is_whole_not_by_name(
    run: Run, which: str, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = written(run, *(contents(step, bpb) for step, bpb in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 0.5))))
    for path in (paths[1], paths[3]):
        flip(path / "model.safetensors")
    assert checkpoint.select(run, which).step == step
    assert str(paths[3]) in capsys.readouterr().err


def test_a_resumed_run_reads_the_newest_whole_checkpoint_and_none_before_it(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(recipe, tmp_path, "train.keep=9")
    for _ in range(4):
        one.update()
        save(one)
    flip(checkpoint.paths(one.run)[-1] / "optimizer.safetensors")
    opened: list[str] = []
    real = checkpoint.problem
    monkeypatch.setattr(checkpoint, "problem", lambda path: opened.append(path.name) or real(path))
    again = trainer(recipe, tmp_path, "train.keep=9")
    resume(again)
    assert again.step == 3 and opened == ["step-00000004", "step-00000003"]


def test_what_a_killed_save_left_behind_is_gone_when_training_goes_on(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path)
    one.update()
    save(one)
    folder = checkpoint.directory(one.run)
    shutil.copytree(folder / "step-00000001", folder / f"{writing.SAVING}step-00000002")
    shutil.copytree(folder / "step-00000001", folder / f"{writing.DELETING}step-00000000")
    resume(trainer(recipe, tmp_path))
    assert [path.name for path in folder.iterdir()] == ["step-00000001"]


def test_the_clock_of_checkpoints_begins_again_with_each(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(recipe, tmp_path, "train.checkpoint_minutes=2")
    now = one.saved_at
    monkeypatch.setattr("groundup.train.loop.time.monotonic", lambda: now)
    now += 119
    assert not one.due()
    now += 1
    assert one.due()
    assert not trainer(recipe, tmp_path, "train.checkpoint_minutes=null").due()


# -- groundup checkpoints ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = tmp_path_factory.mktemp("lab")
    assert main(["train", str(recipe), "train.keep=9", "--lab", str(lab)]) == 0
    return lab


def listed(lab: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    code = main(["checkpoints", "last", *words, "--json", "--lab", str(lab)])
    return code, json.loads(capsys.readouterr().out)["checkpoints"]


def test_checkpoints_lists_step_size_score_age_and_state(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = listed(trained, capsys)
    assert code == 0 and [row["step"] for row in rows] == [10, 20, 30, 40]
    for row in rows:
        files = [path.stat().st_size for path in Path(row["path"]).iterdir()]
        assert row["bytes"] == sum(files) and row["age_s"] >= 0 and row["state"] == "present" and not row["in_use"]
    assert [row["last"] for row in rows] == [False, False, False, True]
    (best,) = [row for row in rows if row["best"]]
    assert best["valid_bpb"] == min(row["valid_bpb"] for row in rows if row["valid_bpb"] is not None)
    with retention.held(Path(rows[1]["path"])):
        assert [row["in_use"] for row in listed(trained, capsys)[1]] == [False, True, False, False]
        main(["checkpoints", "last", "--lab", str(trained)])
        lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["step", "MB"] and "in use" in lines[2] and "last" in lines[4]


def test_verify_finds_a_changed_byte_with_exit_code_1(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    shutil.copytree(trained, lab)
    code, rows = listed(lab, capsys, "--verify")
    assert code == 0 and {row["state"] for row in rows} == {"whole"}
    flip(Path(rows[-1]["path"]) / "optimizer.safetensors")
    assert listed(lab, capsys)[0] == 0, "who does not read all cannot tell"
    code, rows = listed(lab, capsys, "--verify")
    assert code == 1 and [row["state"] for row in rows] == ["whole", "whole", "whole", "damaged"]
    assert "optimizer.safetensors" in rows[-1]["problem"] and rows[2]["last"] and not rows[3]["last"]
    (Path(rows[0]["path"]) / "model.json").unlink()
    code, rows = listed(lab, capsys)
    assert code == 0 and rows[0]["state"] == "damaged"


def test_the_readme_s_way_to_load_weights_without_groundup_works(trained: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (block,) = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "load_file" in found]
    path = checkpoint.paths(next(Run(one) for one in trained.glob("runs/*")))[-1]
    code = block.replace("lab/runs/NAME/checkpoints/step-00005000", str(path))
    assert str(path) in code
    blocker = "import sys; sys.modules['groundup'] = None\n"
    done = subprocess.run([sys.executable, "-c", blocker + code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = load_file(path / "model.safetensors")
    assert done.stdout.split() == [str(sum(value.numel() for value in expected.values())), "32"]
