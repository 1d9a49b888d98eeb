"""What is seen of training is true, and looking changes nothing; what looks on cannot stop it."""

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe

from groundup.recipe.load import resolve
from groundup.store.runs import Run
from groundup.train import mirror, peak
from groundup.train.loop import train
from groundup.train.optimizer import kind
from groundup.train.precision import Device


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


def train_rows(run: Run) -> list[dict[str, Any]]:
    return [row for row in run.metrics() if row["kind"] == "train"]


def test_the_update_ratio_is_the_change_of_the_weights_by_the_weights(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "model.family=classic", "train.log_every=3")
    for _ in range(3):
        assert not one.ratios, "between log lines nothing is measured"
        before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
        one.update()
    squares: dict[str, list[float]] = {}
    for name, weight in one.model.named_parameters():
        sums = squares.setdefault(kind(name, weight, one.model.config), [0.0, 0.0])
        sums[0] += float((weight.detach() - before[name]).double().square().sum())
        sums[1] += float(before[name].double().square().sum())
    assert {"matrix", "head", "embedding", "vector"} == squares.keys() == one.ratios.keys()
    for which, (change, size) in squares.items():
        assert float(one.ratios[which]) == pytest.approx((change / size) ** 0.5, rel=1e-5)


def test_a_row_says_what_was_measured_and_on_what_it_counts(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "train.steps=20", "train.measure_peak=true")
    train(one)
    row = train_rows(one.run)[-1]
    assert one.peak and "measured" in row["mfu_of"]
    flops = 6 * (12 * 2 * 32**2 + one.encoding.vocab_size * 32) + 12 * 2 * 32 * 32
    assert row["mfu"] == pytest.approx(row["tokens_per_s"] * flops / one.peak.flops)
    assert row["overflows"] == 0 and row["memory_gb"] > 0 and row["micro_batch"] == 4
    assert set(row["update_ratio"]) == {"matrix", "head", "vector"}
    plain = trainer(recipe, tmp_path / "other", "train.steps=20")
    train(plain)
    assert train_rows(plain.run)[-1]["mfu"] is None, "a CPU's peak is not known without measuring it"
    assert_equal_bits(weights(one.run), weights(plain.run))


def test_overflows_of_fp16_are_counted_and_change_no_weight(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab")
    one.scaler = one.gradients.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1000)
    before = [weight.detach().clone() for weight in one.model.parameters()]
    one.update()
    assert all(torch.equal(a, b) for a, b in zip(before, one.model.parameters(), strict=True))
    assert int(one.interval.left_out) == 1
    for _ in range(7):
        one.update()
    overflows, steps = int(one.interval.left_out), one.interval.steps
    assert overflows < steps == 8, "a smaller scale fits"
    one.log(1.0)
    (row,) = train_rows(one.run)
    assert row["overflows"] == overflows and 0 < row["grad_norm"] * (steps - overflows) < float("inf")


@pytest.mark.parametrize(
    ("name", "precision", "tf32", "tflops"),
    [
        ("NVIDIA H200", "bf16", True, 989.4),
        ("NVIDIA H100 80GB HBM3", "fp16", True, 989.4),
        ("NVIDIA H100 80GB HBM3", "fp32", True, 494.7),
        ("NVIDIA H100 80GB HBM3", "fp32", False, 66.9),
        ("NVIDIA H100 PCIe", "bf16", True, 756),
        ("NVIDIA A100-SXM4-80GB", "bf16", True, 312),
        ("NVIDIA L4", "bf16", True, 121),
        ("NVIDIA L40S", "bf16", True, 362),
        ("Tesla T4", "fp32", True, 8.1),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", True, None),
        ("NVIDIA GH200 480GB", "bf16", True, None),
        ("Some other GPU", "bf16", True, None),
    ],
)
def test_a_peak_is_that_of_the_device_and_the_number_format_or_not_known(
    monkeypatch: pytest.MonkeyPatch, name: str, precision: str, tf32: bool, tflops: float | None
) -> None:
    monkeypatch.setattr(Device, "name", name)
    found = peak.known(Device(torch.device("cuda"), precision, True, tf32))
    assert (found.flops / 1e12 if found else None) == (pytest.approx(tflops) if tflops else None)


# -- mirrors -------------------------------------------------------------------------------------------------------


@contextmanager
def fakes(monkeypatch: pytest.MonkeyPatch, **init: Any) -> Iterator[dict[str, list[Any]]]:
    """Stand-ins for trackio and wandb, whose `init` may be given, and for TensorBoard; what they were told."""
    told: dict[str, list[Any]] = {"trackio": [], "wandb": [], "tensorboard": []}
    for name in ("trackio", "wandb"):
        module: Any = ModuleType(name)
        module.log = lambda values, step, name=name: told[name].append((step, values))
        module.finish = lambda name=name: told[name].append("finished")
        module.init = init.get(name, lambda module=module, **options: module)
        monkeypatch.setitem(sys.modules, name, module)
    board: Any = ModuleType("torch.utils.tensorboard")

    class SummaryWriter:
        def __init__(self, folder: str) -> None: ...

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told["tensorboard"].append((step, name, value))

        def close(self) -> None:
            told["tensorboard"].append("finished")

    board.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    yield told


ALL = "train.track=[tensorboard, trackio, wandb]"


def test_mirrors_are_told_what_metrics_say(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fakes(monkeypatch) as told:
        one = trainer(recipe, tmp_path / "lab", ALL, "train.steps=20")
        train(one)
    rows = list(one.run.metrics())
    assert told["wandb"] == told["trackio"] == [*((row["step"], mirror.flat(row)) for row in rows), "finished"]
    last = told["wandb"][-2][1]
    assert last.keys() == {f"valid/all/{key}" for key in ("loss", "ppl", "bpb", "tokens", "bytes", "seconds")}
    first = told["wandb"][0][1]
    assert first["train/loss"] == rows[0]["loss"]
    assert first["train/update_ratio/matrix"] == rows[0]["update_ratio"]["matrix"]
    assert (10, "train/loss", rows[0]["loss"]) in told["tensorboard"] and told["tensorboard"][-1] == "finished"


def test_a_mirror_that_fails_or_hangs_stops_nothing_and_is_warned_of_once(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = threading.Event()

    def fails(**options: Any) -> None:
        raise SystemExit("no network")

    def hangs(**options: Any) -> None:
        release.wait(60)

    monkeypatch.setattr(mirror, "PATIENCE", 0.2)
    start = time.monotonic()
    with fakes(monkeypatch, trackio=fails, wandb=hangs) as told:
        one = trainer(recipe, tmp_path / "one", ALL, "train.log_every=1")
        train(one)
    assert time.monotonic() - start < 60, "nobody waited for it"
    release.set()
    err = capsys.readouterr().err
    assert err.count("trackio gets no more metrics: SystemExit: no network") == 1
    assert err.count("wandb gets no more metrics") == 1
    assert told["tensorboard"][-1] == "finished" and told["trackio"] == []
    plain = trainer(recipe, tmp_path / "two", "train.log_every=1")
    train(plain)
    assert_equal_bits(weights(one.run), weights(plain.run))


def test_a_mirror_whose_library_is_missing_is_warned_of(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    train(trainer(recipe, tmp_path / "lab", "train.track=[wandb]", "train.steps=2"))
    assert "wandb gets no more metrics: ModuleNotFoundError" in capsys.readouterr().err


def test_a_full_queue_drops_a_mirror_and_never_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    release = threading.Event()
    monkeypatch.setattr(mirror, "WAITING", 2)
    monkeypatch.setitem(mirror.OPEN, "wandb", lambda run, recipe: release.wait(60))
    one = mirror.Mirror("wandb", Run(tmp_path), {})
    for step in range(5):
        one.put({"kind": "train", "step": step})
    assert one.warned
    release.set()


# -- profile -------------------------------------------------------------------------------------------------------


def test_a_profile_holds_a_trace_and_the_ten_most_expensive_operations(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = trainer(recipe, tmp_path / "one", "train.profile=2", "train.steps=10")
    train(one)
    folder = one.run.path / "profile"
    trace = json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes()))
    steps = {event["name"] for event in trace["traceEvents"] if event.get("name", "").startswith("ProfilerStep")}
    assert len(steps) == 2
    _, *rows = (folder / "table.txt").read_text().splitlines()
    assert len(rows) == 10 and any("aten::" in row for row in rows)
    shares = [float(row.split()[1].removesuffix("%")) for row in rows]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 100.1
    assert f"profile of 2 steps in {folder}" in capsys.readouterr().err
    plain = trainer(recipe, tmp_path / "two", "train.steps=10")
    train(plain)
    assert_equal_bits(weights(one.run), weights(plain.run))


def test_a_training_too_short_for_a_profile_says_so(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(trainer(recipe, tmp_path / "lab", "train.profile=2", "train.steps=3"))
    assert "nothing was profiled" in capsys.readouterr().err


def test_what_only_looks_on_makes_no_other_run(recipe: Path) -> None:
    from groundup.science.changes import LOOKS

    known = resolve(str(recipe)).recipe.train.model_dump()
    assert set(LOOKS) <= known.keys()
