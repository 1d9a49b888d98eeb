"""What would stop a run later stops it before its first step, with a code and its fix."""

import json
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig, configure
from groundup.recipe.load import resolve
from groundup.recipe.schema import Recipe
from groundup.store.runs import all_runs
from groundup.train import checkpoint, preflight
from groundup.train.precision import Device

CPU = Device(torch.device("cpu"), "fp32", False)
Usage = namedtuple("Usage", "total used free")


def recipe_of(tiny: Path, *overrides: str) -> tuple[Recipe, ModelConfig]:
    recipe = resolve(str(tiny), list(overrides)).recipe
    return recipe, configure(recipe.model, recipe.tokenizer.vocab_size)


def refused(tiny: Path, lab: Path, *overrides: str, world: int = 1) -> GroundupError:
    with pytest.raises(GroundupError) as caught:
        preflight.check(lab / "runs" / "x", lab, *recipe_of(tiny, *overrides), CPU, world)
    return caught.value


def disk_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(size, 0, size))


@pytest.mark.parametrize("overrides", [[], ["train.optimizer=muon"], ["train.ema=0.99"]])
def test_a_checkpoint_takes_the_bytes_that_were_reckoned(tiny: Path, tmp_path: Path, overrides: list[str]) -> None:
    assert main(["train", str(tiny), *overrides, "--lab", str(tmp_path / "lab")]) == 0
    run = all_runs(tmp_path / "lab")[0]
    path = checkpoint.select(run, "last").path
    recipe, _ = recipe_of(tiny, *overrides)
    vocabulary = json.loads((run.path / "lineage.json").read_bytes())["model"]["vocab_size"]
    reckoned = preflight.checkpoint_bytes(configure(recipe.model, vocabulary), recipe.train)
    taken = sum((path / name).stat().st_size for name in ("model.safetensors", "optimizer.safetensors"))
    headers = sum(int.from_bytes((path / name).open("rb").read(8), "little") + 8 for name in
                  ("model.safetensors", "optimizer.safetensors"))  # fmt: skip
    assert taken - headers == pytest.approx(reckoned, rel=0.01)


def test_a_disk_that_will_not_do_stops_the_run_before_its_first_step(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk_of(monkeypatch, 100_000)
    assert main(["train", str(tiny), "--lab", str(tmp_path / "lab")]) == 3
    said = capsys.readouterr().err
    assert "[disk-too-small]" in said and "checkpoints" in said and "step 2/" not in said
    assert not all_runs(tmp_path / "lab")


def test_the_room_that_is_needed_is_that_of_the_checkpoints_kept_and_one_more(tiny: Path, tmp_path: Path) -> None:
    recipe, config = recipe_of(tiny, "train.keep=2")
    size = preflight.checkpoint_bytes(config, recipe.train)
    path = tmp_path / "run"
    assert preflight.disk_needed(recipe, config, path)["checkpoints"] == 4 * size  # two, the best, the next
    for step in ("step-00000002", "step-00000004"):
        (path / "checkpoints" / step).mkdir(parents=True)
        (path / "checkpoints" / step / "model.safetensors").write_bytes(b"x" * size)
    assert preflight.disk_needed(recipe, config, path)["checkpoints"] == 2 * size  # of a run that goes on
    more, _ = recipe_of(tiny, "train.keep=9")
    assert preflight.disk_needed(more, config, path)["checkpoints"] == 9 * size


def test_a_model_that_memory_cannot_hold_is_refused_before_it_is_built(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_of(monkeypatch, 1 << 60)
    monkeypatch.setattr(preflight, "host_free", lambda: 1 << 30)
    error = refused(tiny, tmp_path, "model.layers=50", "model.width=2048", "model.heads=16")
    assert error.code == "memory-too-small" and "1.0 GiB are free" in error.what


def test_of_memory_that_will_only_just_do_there_is_a_warning(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, config = recipe_of(tiny)
    needed = preflight.host_memory(recipe, config, CPU)[0]
    monkeypatch.setattr(preflight, "host_free", lambda: needed + 1)
    needs = preflight.check(tmp_path / "run", tmp_path, recipe, config, CPU)
    assert len(needs.warnings) == 1 and "main memory" in capsys.readouterr().err
    for there in (None, 10 * needed):
        monkeypatch.setattr(preflight, "host_free", lambda there=there: there)
        assert preflight.check(tmp_path / "run", tmp_path, recipe, config, CPU).warnings == []


def test_a_container_s_limit_counts_where_it_is_less_than_the_machine_s_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"meminfo": "MemTotal: 9 kB\nMemAvailable:    4000 kB\n", "memory.max": "3000000\n"}
    files |= {"memory.current": "2000000\n", "memory.stat": "anon 5\ninactive_file 500000\n"}
    monkeypatch.setattr(preflight, "_text", lambda path: files.get(path.name, ""))
    assert preflight.host_free() == 1_500_000
    files["memory.max"] = "max\n"
    assert preflight.host_free() == 4_096_000
    files.clear()
    assert preflight.host_free() is None


def test_a_place_that_cannot_be_written_to_is_found_by_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preflight.writable(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(GroundupError) as caught:
        preflight.writable(tmp_path / "run")
    assert caught.value.code == "not-writable" and list((tmp_path / "run").iterdir()) == []


def test_a_clock_that_was_never_set_or_went_back_is_a_warning_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preflight.clock(tmp_path) == []
    path = tmp_path / "runs" / "one" / "lineage.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert preflight.clock(tmp_path) == []
    os.utime(path, (time.time() + 86400,) * 2)
    assert "the lab holds files of" in preflight.clock(tmp_path)[0]
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert "1970-01-01" in preflight.clock(tmp_path)[0]


def test_sequences_that_do_not_divide_are_told(tiny: Path, tmp_path: Path) -> None:
    """An update of the tiny recipe is 4 sequences."""
    assert refused(tiny, tmp_path, world=3).code == "recipe-conflict"
    for size, warned in ((1, False), (2, False), (3, True), (4, False), (100, False)):
        recipe, config = recipe_of(tiny, f"train.micro_batch={size}")
        warnings = preflight.sequences_of(recipe.train, config, 1)
        assert bool(warnings) == warned, size
    assert "2 does" in preflight.sequences_of(recipe_of(tiny, "train.micro_batch=3")[0].train, config, 1)[0]


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((7, 0), ["sm_75", "sm_80", "sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((12, 0), ["sm_90"], False),
        ((10, 3), ["sm_100"], True),
        ((9, 0), ["sm_90a"], True),
        ((6, 1), [], True),
    ],
)
def test_a_gpu_without_kernels_is_known_from_what_torch_was_built_for(
    capability: tuple[int, int], built_for: list[str], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preflight.has_kernels(capability, built_for) == runs
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)
    if runs:
        preflight.refuse_gpu(Device(torch.device("cuda"), "bf16", True))
    else:
        with pytest.raises(GroundupError) as caught:
            preflight.refuse_gpu(Device(torch.device("cuda"), "bf16", True))
        assert caught.value.code == "no-device"


# -- before anything is made -------------------------------------------------------------------------------------------


def test_a_dry_run_downloads_and_makes_nothing_and_counts_what_is_to_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GROUNDUP_MIRROR", raising=False)
    disk_of(monkeypatch, 1 << 40)
    assert main(["run", "phase0", "train.device=cpu", "--dry-run", "--lab", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["disk"]["downloads"] > 2e9 and facts["disk"]["corpus"] > facts["sources"]["stories"]["text"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    disk_of(monkeypatch, 1 << 30)  # known before the download
    assert main(["run", "phase0", "train.device=cpu", "--dry-run", "--lab", str(tmp_path)]) == 3
    assert "[disk-too-small]" in capsys.readouterr().err


def test_a_dry_run_needs_at_least_what_the_run_then_takes(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    assert main(["run", str(tiny), "--dry-run", "--lab", str(lab)]) == 0
    assert "nothing was downloaded or made" in capsys.readouterr().out
    assert main(["run", str(tiny), "--dry-run", "--lab", str(lab), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert main(["run", str(tiny), "--lab", str(lab)]) == 0
    taken = sum(path.stat().st_size for path in (lab / "runs").rglob("*") if path.is_file())
    assert taken < sum(facts["disk"][part] for part in ("checkpoints", "logs", "pages"))


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("data.sources.mine.path=nowhere.txt", "no-such-file"),
        ("data.sources.mine.corpus=nothing", "unknown-corpus"),
        ("train.device=mps", "no-device"),
    ],
)
def test_a_dry_run_finds_what_would_stop_the_run(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, code: str
) -> None:
    overrides = [override, "data.sources.mine.path=null"] if "corpus" in override else [override]
    assert main(["run", str(tiny), *overrides, "--dry-run", "--lab", str(tmp_path / "lab")]) != 0
    assert f"[{code}]" in capsys.readouterr().err
