"""Losses are -ln softmax at the target, in nats, however they are computed, and so are their gradients."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from groundup.model.chunked_loss import chunked_losses
from groundup.model.loss import bits_per_byte, token_losses

# -- the formulas by hand ----------------------------------------------------------------------------------------------


def test_softmax_by_hand() -> None:
    """e^z / sum e^z of ln 1, ln 2, ln 3 is 1/6, 2/6, 3/6; adding a number to all of them changes nothing."""
    z = torch.tensor([1.0, 2.0, 3.0]).log()
    for logits in (z, z + 100):
        torch.testing.assert_close(torch.softmax(logits, -1), torch.tensor([1 / 6, 2 / 6, 3 / 6]))


def test_cross_entropy_by_hand() -> None:
    """-ln of what the softmax gives the target: ln 6, ln 3, ln 2 for the three of them, ln V where all are alike."""
    logits = torch.tensor([1.0, 2.0, 3.0]).log().expand(1, 3, 3)
    losses = token_losses(logits, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(losses, torch.tensor([[math.log(6), math.log(3), math.log(2)]]))
    alike = token_losses(torch.full((1, 1, 50), 7.0), torch.tensor([[20]]))
    torch.testing.assert_close(alike, torch.tensor([[math.log(50)]]))


def test_token_losses_are_minus_log_softmax_at_the_target() -> None:
    logits, targets = torch.randn(2, 5, 11), torch.randint(11, (2, 5))
    expected = -torch.log(torch.softmax(logits.double(), -1)).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(token_losses(logits, targets).double(), expected, rtol=1e-6, atol=1e-6)


def test_bits_per_byte_of_a_fair_coin_for_each_byte_is_one() -> None:
    assert bits_per_byte(100 * math.log(2), 100) == pytest.approx(1.0)
    assert math.isnan(bits_per_byte(0.0, 0))


# -- by chunks ---------------------------------------------------------------------------------------------------------


def case(
    batch: int, length: int, width: int, vocabulary: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, length, width, generator=random, dtype=dtype, requires_grad=True)
    head = torch.randn(vocabulary, width, generator=random, dtype=dtype, requires_grad=True)
    return hidden, head, torch.randint(vocabulary, (batch, length), generator=random)


def plain_losses(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    nats = token_losses(F.linear(hidden, head), targets)
    return nats.sum(), nats.detach()


def results(made: tuple[Tensor, Tensor], hidden: Tensor, head: Tensor, scale: float = 1.0) -> list[Tensor]:
    """Total, each loss, and the gradients of the scaled total."""
    total, nats = made
    return [total.detach(), nats, *torch.autograd.grad(total * scale, (hidden, head))]


def distances(mine: list[Tensor], expected: list[Tensor]) -> list[float]:
    """Relative, in the 2-norm."""
    return [float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(mine, expected, strict=True)]


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(2, 9), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_the_gradients_of_chunked_losses_are_those_of_their_values(
    batch: int, length: int, width: int, vocabulary: int, chunk: int
) -> None:
    hidden, head, targets = case(batch, length, width, vocabulary, torch.double)
    assert torch.autograd.gradcheck(lambda h, w: chunked_losses(h, w, targets, chunk)[0] * 3.0, (hidden, head))


@given(st.integers(1, 4), st.integers(1, 20), st.integers(2, 300), st.integers(1, 50), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_chunked_losses_and_gradients_equal_plain_ones(
    batch: int, length: int, vocabulary: int, chunk: int, seed: int
) -> None:
    hidden, head, targets = case(batch, length, 16, vocabulary, seed=seed)
    mine = results(chunked_losses(hidden, head, targets, chunk), hidden, head)
    expected = results(plain_losses(hidden, head, targets), hidden, head)
    assert max(distances(mine, expected)) <= 1e-6
    with torch.no_grad():
        total, nats = chunked_losses(hidden, head, targets, chunk)
    assert total == mine[0] and torch.equal(nats, mine[1]), "scoring, without gradients, gives the same"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_with_half_the_bits_chunked_losses_are_as_near_the_truth_as_plain_ones(dtype: torch.dtype) -> None:
    hidden, head, targets = case(4, 64, 48, 1000)
    truth = results(plain_losses(hidden, head, targets), hidden, head)
    errors = []
    for make in (lambda: chunked_losses(hidden, head, targets, 100), lambda: plain_losses(hidden, head, targets)):
        with torch.autocast("cpu", dtype):
            made = make()
        errors.append(distances(results(made, hidden, head), truth))
    assert made[0].dtype == made[1].dtype == torch.float32
    for mine, plain in zip(*errors, strict=True):
        assert mine <= 1.05 * plain


def test_the_scale_of_fp16_goes_into_the_gradients_and_out_again() -> None:
    hidden, head, targets = case(2, 32, 16, 100)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    optimizer = torch.optim.SGD([hidden, head], lr=0.0)
    with torch.autocast("cpu", torch.float16):
        total, _ = chunked_losses(hidden, head, targets, 10)
    scaler.scale(total / targets.numel()).backward()
    assert head.grad is not None and hidden.grad is not None
    scaled = head.grad.clone()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(head.grad, scaled / 2**14)
    _, _, of_hidden, of_head = results(plain_losses(hidden, head, targets), hidden, head, 1 / targets.numel())
    assert max(distances([hidden.grad, head.grad], [of_hidden, of_head])) < 3e-3


def test_the_compiler_sees_through_chunked_losses() -> None:
    hidden, head, targets = case(2, 32, 16, 100)
    compiled = torch.compile(chunked_losses, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        mine = results(compiled(hidden, head, targets, 10), hidden, head)
        expected = results(chunked_losses(hidden, head, targets, 10), hidden, head)
    assert max(distances(mine, expected)) <= 1e-6


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(x.numel() for x in tree_leaves(made) if isinstance(x, Tensor))])
        return made


@contextmanager
def largest() -> Iterator[Largest]:
    with Largest() as seen:
        yield seen


def test_no_more_logits_are_held_than_those_of_a_chunk() -> None:
    hidden, head, targets = case(4, 64, 8, 500)
    with largest() as seen:
        chunked_losses(hidden, head, targets, 32)[0].backward()
    assert seen.elements == 32 * 500
    with largest() as seen:
        plain_losses(hidden, head, targets)[0].backward()
    assert seen.elements == 256 * 500


def test_compiled_too_what_is_kept_for_the_backward_pass_is_gradients_and_not_logits() -> None:
    """The compiler is free to keep logits and multiply later; it keeps what is smaller."""
    hidden, head, targets = case(8, 128, 8, 500)
    compiled = torch.compile(chunked_losses, backend="aot_eager_decomp_partition", fullgraph=True)
    total, _ = compiled(hidden, head, targets, 128)
    kept = [tensor.numel() for tensor in total.grad_fn.saved_tensors]
    assert max(kept) == hidden.numel()
