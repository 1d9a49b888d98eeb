"""What the arithmetic says of a model's size is what a built model has, does and takes."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_models import CLASSIC, KINDS, MODERN, configs
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from groundup.cli import main
from groundup.model.chunked_loss import chunked_losses
from groundup.model.config import ModelConfig, configure
from groundup.model.loss import token_losses
from groundup.model.memory import kept_activations, memory
from groundup.model.size import block_matrices, flops_per_token, forward_flops_per_token, parameters, rule_of_thumb
from groundup.model.transformer import Transformer
from groundup.recipe.load import resolve
from groundup.train.precision import DTYPES

RUNGS = ["20m", "50m", "100m", "20m-classic", "50m-classic", "100m-classic"]


def preset(name: str) -> ModelConfig:
    recipe = resolve(name).recipe
    return configure(recipe.model, recipe.tokenizer.vocab_size)


# -- parameters --------------------------------------------------------------------------------------------------------


@given(configs())
@settings(max_examples=80, deadline=None)
def test_counted_parameters_are_the_models_part_by_part(config: ModelConfig) -> None:
    def part(name: str) -> str:
        if "norm" in name:
            return "norms"
        return next(key for key in ("attention", "feed_forward", "embedding", "positions", "head") if key in name)

    counts: dict[str, int] = {}
    for name, parameter in Transformer(config).named_parameters():
        counts[part(name)] = counts.get(part(name), 0) + parameter.numel()
    assert parameters(config) == counts


@pytest.mark.parametrize("name", RUNGS)
def test_rule_of_thumb_is_within_two_percent_at_each_rung(name: str) -> None:
    config = preset(name)
    assert rule_of_thumb(config) == pytest.approx(sum(parameters(config).values()), rel=0.02)


# -- FLOPs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_counted_flops_are_those_of_the_matrix_products_that_are_run(kind: str) -> None:
    config = KINDS[kind]
    tokens = torch.zeros(1, config.context, dtype=torch.long)
    # This path multiplies every query with every key; what it multiplies in vain is not counted as work.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        Transformer(config)(tokens)
    mine = forward_flops_per_token(config)
    mine["attention_scores"] = mine["attention_scores"] * 2 * config.context // (config.context + 1)
    assert counter.get_total_flops() == config.context * sum(mine.values())


@pytest.mark.parametrize("name", RUNGS)
def test_the_rule_for_flops_is_the_exact_count_but_for_products_masked_away(name: str) -> None:
    config = preset(name)
    exact = forward_flops_per_token(config)
    unmasked = exact["attention_scores"] * 2 * config.context / (config.context + 1)
    total = 3 * (sum(exact.values()) - exact["attention_scores"] + unmasked)
    assert flops_per_token(config) == pytest.approx(total, rel=0.02)


# -- memory ------------------------------------------------------------------------------------------------------------


class Live(TorchDispatchMode):
    """The memory of tensors that operations made, and the most there was of it at once; not that of `own` tensors."""

    def __init__(self, own: list[Tensor]) -> None:
        super().__init__()
        self.seen: dict[int, tuple[StorageWeakRef, int]] = {}
        self.own = {tensor.untyped_storage()._cdata for tensor in own}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.own:
                storage = tensor.untyped_storage()
                self.seen[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, self.bytes())
        return made

    def bytes(self) -> int:
        self.seen = {key: one for key, one in self.seen.items() if not one[0].expired()}
        return sum(size for _, size in self.seen.values())


def own_tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def autocast(precision: str) -> torch.autocast:
    return torch.autocast("cpu", DTYPES[precision] if precision != "fp32" else None, enabled=precision != "fp32")


def copies(config: ModelConfig, precision: str, mode: str) -> int:
    """Bytes of the weights' copies that products with half the bits are made from, while they are kept."""
    blocks = config.layers * sum(block_matrices(config).values()) if mode == "none" else 0
    return 0 if precision == "fp32" else 2 * (blocks + config.vocab_size * config.width)


@given(
    configs(vocab_size=2, context=64),
    st.sampled_from(["fp32", "bf16", "fp16"]),
    st.sampled_from(["none", "selective", "full"]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([8, 16, 32]),
)
@settings(max_examples=40, deadline=None)
def test_counted_activations_are_what_autograd_keeps(
    config: ModelConfig, precision: str, mode: str, dropout: float, wider: int
) -> None:
    assume(config.heads > 1)  # one head's values are kept as a view of a larger tensor
    config = replace(config, width=8 * config.width, feed_forward=wider * config.width, dropout=dropout)
    model = Transformer(config, mode)
    tokens = torch.randint(config.vocab_size, (2, config.context))
    with Live(own_tensors(model)) as live, autocast(precision):
        logits = model(tokens)
    kept = live.bytes() - logits.nbytes
    counted = kept_activations(config, tokens.numel(), precision, False, mode) + copies(config, precision, mode)
    assert counted == pytest.approx(kept, rel=0.1)


@pytest.mark.parametrize(
    ("config", "precision", "mode"),
    [
        (MODERN, "bf16", "none"),
        (replace(CLASSIC, activation="relu2", qk_norm=True), "fp32", "none"),
        (MODERN, "bf16", "selective"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*context_fn is passed")
def test_counted_activations_are_what_the_compiler_keeps(config: ModelConfig, precision: str, mode: str) -> None:
    config = replace(config, layers=3, vocab_size=2, context=64)
    model = Transformer(config, mode)
    tokens = torch.randint(config.vocab_size, (16, config.context))
    torch.compiler.reset()
    compiled: Callable[..., Tensor] = torch.compile(model.forward, backend="aot_eager_decomp_partition", fullgraph=True)
    with autocast(precision):
        saved = compiled(tokens).grad_fn.saved_tensors  # type: ignore[union-attr]
    own = {tensor.untyped_storage()._cdata for tensor in [tokens, *own_tensors(model)]}
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in saved}
    kept = sum(size for key, size in storages.items() if key not in own)
    counted = kept_activations(config, tokens.numel(), precision, True, mode) + copies(config, precision, mode)
    assert counted == pytest.approx(kept, rel=0.1)


@pytest.mark.parametrize("chunk", [None, 32])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_counted_logits_are_what_the_loss_takes_at_its_height(precision: str, chunk: int | None) -> None:
    config = replace(MODERN, vocab_size=2000)
    hidden = torch.randn(8, config.context, config.width, requires_grad=True)
    head = torch.randn(config.vocab_size, config.width, requires_grad=True)
    targets = torch.randint(config.vocab_size, (8, config.context))
    with Live([hidden, head]) as live:
        with autocast(precision):
            if chunk is None:
                total = token_losses(nn.functional.linear(hidden, head), targets).sum()
            else:
                total = chunked_losses(hidden, head, targets, chunk)[0]
        total.backward()
    counted = memory(config, 8, precision, False, loss_chunk=chunk)["logits"]
    head_gradient = head.nbytes  # which `memory` counts among the gradients
    copied = head.nbytes // 2 if precision == "bf16" else 0
    assert counted == pytest.approx(live.peak - head_gradient - copied, rel=0.2)


def test_memory_of_weights_gradients_and_optimizer_is_that_of_the_parameters() -> None:
    config = preset("20m")
    total, matrices = sum(parameters(config).values()), config.layers * sum(block_matrices(config).values())
    full = memory(config, 1, "fp32", False)
    assert (full["weights"], full["gradients"], full["optimizer"]) == (4 * total, 4 * total, 8 * total)
    assert memory(config, 1, "fp32", False, optimizer="muon")["optimizer"] == 8 * total - 4 * matrices


@pytest.mark.parametrize("name", RUNGS)
def test_each_way_to_save_memory_saves_some(name: str) -> None:
    config = preset(name)
    plain, selective, full = (
        memory(config, 64, "bf16", True, activation_checkpointing=mode)["activations"]
        for mode in ("none", "selective", "full")
    )
    assert plain > selective > full
    assert memory(config, 64, "bf16", True, loss_chunk=2048)["logits"] < memory(config, 64, "bf16", True)["logits"] / 2
    assert memory(config, 64, "bf16", False)["activations"] > plain


# -- shown -------------------------------------------------------------------------------------------------------------


def test_show_tells_parameters_flops_and_memory_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train.micro_batch=8", "train.precision=bf16", "train.compile=true", "train.loss_chunk=1024"]
    assert main(["show", "20m", *options, "train.activation_checkpointing=full", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    config = preset("20m")
    assert shown["parameters"]["by_part"] == parameters(config) and shown["exports_as"] == "qwen3"
    assert shown["forward_flops_per_token"] == forward_flops_per_token(config)
    takes = memory(config, 8, "bf16", True, activation_checkpointing="full", loss_chunk=1024)
    assert shown["memory"] == {"sequences": 8, "precision": "bf16", "compiled": True, "bytes": takes}
    assert main(["show", "20m", *options]) == 0
    text = capsys.readouterr().out
    assert f"attention {parameters(config)['attention']:,}" in text and "micro-batches of 8 of 512 tokens" in text
