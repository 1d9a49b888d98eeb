"""Activation checkpointing changes what is kept, and no number: losses and gradients are the same bits."""

from dataclasses import replace

import pytest
import torch
from tiny_models import CLASSIC, GROUPED, MODERN
from torch import Tensor

from groundup.model.attention import document_ids
from groundup.model.config import ModelConfig
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer


def loss_and_gradients(
    config: ModelConfig, mode: str, packed: bool = False, precision: str = "fp32", backend: str | None = None
) -> list[Tensor]:
    torch.manual_seed(1)
    model = Transformer(config, mode)
    tokens = torch.randint(config.vocab_size, (3, config.context))
    documents = document_ids(tokens, 5) if packed else None

    def loss(tokens: Tensor, documents: Tensor | None) -> Tensor:
        return token_losses(model(tokens, documents)[:, :-1], tokens[:, 1:]).sum()

    torch.manual_seed(2)  # dropout's
    torch.compiler.reset()
    through = torch.compile(loss, backend=backend, fullgraph=True) if backend else loss
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        value = through(tokens, documents)
    value.backward()
    return [value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def assert_equal_bits(mine: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


@pytest.mark.parametrize("packed", [False, True], ids=["causal", "packed"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("config", [CLASSIC, MODERN, GROUPED], ids=["classic", "modern", "grouped"])
def test_loss_and_gradients_are_those_without(config: ModelConfig, dropout: float, packed: bool) -> None:
    config = replace(config, dropout=dropout)
    for precision in ("fp32", "bf16"):
        expected = loss_and_gradients(config, "none", packed, precision)
        for mode in ("selective", "full"):
            assert_equal_bits(loss_and_gradients(config, mode, packed, precision), expected)


@pytest.mark.parametrize("mode", ["selective", "full"])
@pytest.mark.filterwarnings("ignore:.*context_fn is passed")
def test_compiled_they_are_the_same(mode: str) -> None:
    config = replace(MODERN, dropout=0.3)
    assert_equal_bits(loss_and_gradients(config, mode, backend="aot_eager"), loss_and_gradients(config, "none"))


def test_random_numbers_of_dropout_are_drawn_anew_for_another_step() -> None:
    """Or the equalities above would say nothing about dropout."""
    torch.manual_seed(1)
    model = Transformer(replace(MODERN, dropout=0.3), "full")
    tokens = torch.zeros(1, 8, dtype=torch.long)
    assert not torch.equal(model(tokens), model(tokens))
