"""The micro-batch fits: it is chosen so, and where memory runs out all the same, nothing but speed changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import assert_equal_bits, trainer, weights, write_recipe

from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.memory import memory
from groundup.recipe.schema import Train
from groundup.train import memory as chosen
from groundup.train.keeping import resume
from groundup.train.loop import Trainer, train
from groundup.train.precision import Device

CPU = Device(torch.device("cpu"), "fp32", False)
GPU = Device(torch.device("cuda"), "bf16", True)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


def run_out(one: Trainer, fits: int, where: str) -> list[int]:
    """Let a trainer's passes of more than `fits` sequences run out of memory, from their second micro-batch on, so
    that an attempt leaves gradients and sums behind; returns the sizes of the passes that did."""
    forward, failed = one.gradients.objective, []
    passes = 0

    def limited(x: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal passes
        passes += 1
        total, nats = forward(x, *rest)
        if len(x) > fits and passes % 2 == 0:
            failed.append(len(x))
            error = torch.OutOfMemoryError("made up")
            if where == "forward":
                raise error

            def hook(gradient: torch.Tensor) -> None:
                raise error

            total.register_hook(hook)
        return total, nats

    one.gradients.objective = limited
    return failed


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("options", [[], ["train.optimizer=muon", "train.loss_chunk=16"]], ids=["adamw", "muon"])
def test_a_run_that_ran_out_of_memory_is_the_run_that_had_the_smaller_micro_batch_from_the_start(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, options: list[str]
) -> None:
    options = [*options, "train.tokens_per_update=256", "train.steps=6", "train.log_every=1", "train.valid_every=6"]
    small = trainer(recipe, tmp_path / "small", *options, "train.micro_batch=1")
    train(small)
    large = trainer(recipe, tmp_path / "large", *options, "train.micro_batch=4")
    failed = run_out(large, 1, where)
    forward: Callable[..., Any] = large.gradients.objective
    monkeypatch.setattr("groundup.train.gradients.objective", lambda *about: forward)
    train(large)
    assert failed == [4, 2]
    assert_equal_bits(weights(small.run), weights(large.run))
    mine, theirs = (
        [{key: row.get(key) for key in ("kind", "step", "loss", "bpb", "grad_norm", "lr")} for row in one.run.metrics()]
        for one in (large, small)
    )
    assert mine == theirs
    halved = [(event["before"], event["micro_batch"]) for event in large.run.events() if event["event"] == "halved"]
    assert halved == [(4, 2), (2, 1)]
    again = trainer(recipe, tmp_path / "large", *options, "train.micro_batch=4")
    resume(again)
    assert again.gradients.micro_batch == 1, "the checkpoint knows what fitted"


def test_a_sequence_that_does_not_fit_by_itself_is_an_error_with_a_code(recipe: Path, tmp_path: Path) -> None:
    one = trainer(recipe, tmp_path / "lab", "train.micro_batch=1")
    run_out(one, 0, "forward")
    with pytest.raises(GroundupError) as refused:
        train(one)
    assert refused.value.code == "out-of-memory"
    assert not any(parameter.grad is not None for parameter in one.model.parameters())


def test_memory_that_runs_out_after_the_gradients_is_an_error_with_a_code(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(*inputs: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("made up")

    one = trainer(recipe, tmp_path / "lab")
    monkeypatch.setattr(torch.nn.utils, "clip_grads_with_norm_", limited)
    with pytest.raises(GroundupError) as refused:
        one.update()
    assert refused.value.code == "out-of-memory"


@given(st.integers(1, 600), st.data())
def test_halving_divides_the_global_batch_and_comes_down_to_one(sequences: int, data: st.DataObject) -> None:
    size: int | None = data.draw(st.integers(1, sequences))
    while size is not None and size > 1:
        before, size = size, chosen.smaller(size, sequences)
        assert size is not None and size <= before // 2 and sequences % size == 0
    assert size == 1 and chosen.smaller(1, sequences) is None


CONFIG = ModelConfig("modern", 8192, 10, 384, 6, 6, 1024, 512)


@given(
    sequences=st.integers(1, 512),
    gib=st.floats(0.5, 80),
    chunk=st.none() | st.integers(64, 65_536),
    saving=st.sampled_from(["none", "selective", "full"]),
    device=st.sampled_from([CPU, GPU]),
)
@settings(deadline=None)
def test_the_micro_batch_that_is_found_is_the_largest_that_fits_and_pays(
    sequences: int, gib: float, chunk: int | None, saving: str, device: Device
) -> None:
    free = int(gib * (1 << 30))
    plan = Train(loss_chunk=chunk, activation_checkpointing=saving)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chosen, "free", lambda limit, device: free)
        size = chosen.micro_batch(plan, CONFIG, sequences, device)
    assert sequences % size == 0

    def takes(size: int) -> int:
        by_part = memory(CONFIG, size, device.precision, device.compile, "adamw", saving, chunk)
        of_micro_batch = by_part["activations"] + by_part["logits"]
        return of_micro_batch if device is CPU else of_micro_batch + by_part["gradients"] + by_part["optimizer"]

    most = chosen.CPU_BUDGET if device is CPU else 0.8 * free
    assert size == 1 or (takes(size) <= most and size * CONFIG.context <= 65_536)
    larger = [other for other in range(size + 1, sequences + 1) if sequences % other == 0]
    assert not larger or takes(larger[0]) > most or larger[0] * CONFIG.context > 65_536


def test_a_micro_batch_of_the_recipe_is_taken_as_it_is_but_never_larger_than_the_batch() -> None:
    assert [chosen.micro_batch(Train(micro_batch=size), CONFIG, 8, CPU) for size in (3, 8, 100)] == [3, 8, 8]


def test_weights_that_are_shared_out_leave_room_for_more_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = memory(CONFIG, 1, GPU.precision, GPU.compile)
    monkeypatch.setattr(chosen, "free", lambda limit, device: int(1.3 * (fixed["gradients"] + fixed["optimizer"])))
    monkeypatch.setattr("groundup.train.parallel.world", lambda: 4)
    alone, shared = (chosen.micro_batch(Train(parallel=how), CONFIG, 64, GPU) for how in ("ddp", "fsdp"))
    assert alone < shared
