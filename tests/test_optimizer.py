"""Both optimizers do what their papers say, on the weights that they are meant for, and can be stopped at any step."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Train
from groundup.train import optimizer
from groundup.train.muon import COEFFICIENTS, ROUNDS, Muon, orthogonalise, scale

CLASSIC = ModelConfig("classic", 61, layers=2, width=32, heads=4, kv_heads=4, feed_forward=128, context=16)
MODERN = ModelConfig("modern", 61, layers=2, width=32, heads=4, kv_heads=4, feed_forward=64, context=16)
GROUPED = replace(MODERN, kv_heads=2, tied=False)
CONFIGS = pytest.mark.parametrize("config", [CLASSIC, MODERN, GROUPED], ids=["classic", "modern", "grouped"])
CPU = torch.device("cpu")


def make(config: ModelConfig, seed: int = 0, **train: Any) -> tuple[Transformer, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Transformer(config)
    return model, optimizer.build(model, Train(**train), CPU)


def give_gradients(model: Transformer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def run(model: Transformer, stepped: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        give_gradients(model, step)
        stepped.step()


def maps(name: str, weight: Tensor, config: ModelConfig) -> list[Tensor]:
    """The linear maps of a weight, as the model's forward pass takes them apart."""
    if "qkv" in name:
        size = config.head_size
        return list(weight.split([config.heads * size, config.kv_heads * size, config.kv_heads * size]))
    if "feed_forward.input" in name and config.family == "modern":
        return list(weight.chunk(2))
    return [weight]


def reference(model: Transformer, train: Train, steps: int, adjust: str) -> dict[str, Tensor]:
    """What `steps` steps of torch.optim.Muon and torch.optim.AdamW make of a model's weights."""
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    blocks = [name for name in weights if name.startswith("blocks.") and weights[name].dim() == 2]
    parts = {name: [part.clone() for part in maps(name, weights[name], model.config)] for name in blocks}
    rest = {name: value for name, value in weights.items() if name not in blocks}
    optimizers: list[torch.optim.Optimizer] = []
    for part in [part for name in blocks for part in parts[name]]:
        # A rate of the original scale, sqrt(max(1, rows / columns)), for each rate of ours; both decay by their rate.
        ratio = 1.0 if adjust == "match_rms_adamw" else scale(*part.shape) / max(1, len(part) / part.shape[1]) ** 0.5
        decay = train.weight_decay / ratio
        optimizers.append(
            torch.optim.Muon([part], lr=train.learning_rate * ratio, weight_decay=decay, adjust_lr_fn=adjust)
        )
    groups = [
        {"params": [value for value in rest.values() if value.dim() == 2], "weight_decay": train.weight_decay},
        {"params": [value for value in rest.values() if value.dim() < 2], "weight_decay": 0.0},
    ]
    optimizers.append(torch.optim.AdamW(groups, lr=train.learning_rate, betas=train.betas))
    for step in range(steps):
        give_gradients(model, step)
        for name, parameter in model.named_parameters():
            if name in blocks:
                for part, gradient in zip(parts[name], maps(name, parameter.grad, model.config), strict=True):
                    part.grad = gradient
            else:
                rest[name].grad = parameter.grad
        for each in optimizers:
            each.step()
    return rest | {name: torch.cat(parts[name]) for name in blocks}


@CONFIGS
@pytest.mark.parametrize("adjust", ["match_rms_adamw", "original"])
def test_several_steps_equal_those_of_torch(config: ModelConfig, adjust: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch's Muon kept from casting to bf16, so that both iterate in fp32."""
    train = Train(optimizer="muon", learning_rate=0.01, weight_decay=0.3)
    model, stepped = make(config, **train.model_dump())
    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        expected = reference(model, train, 6, adjust)
    run(model, stepped, range(6))
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5, msg=name)


def test_steps_in_bf16_equal_those_of_torch_within_its_precision() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    mine = [torch.randn(shape, device=device) for shape in ((48, 16), (48, 32), (16, 48), (32, 32), (16, 48))]
    before, theirs = ([weight.clone() for weight in mine] for _ in range(2))
    ours = Muon(mine, [[len(weight)] for weight in mine], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16)
    peer = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for weight, other in zip(mine, theirs, strict=True):
            weight.grad = other.grad = torch.randn_like(weight)
        ours.step()
        peer.step()
    for weight, other, begin in zip(mine, theirs, before, strict=True):
        assert (weight - other).norm() < 2**-7 * (other - begin).norm()  # bf16 has 8 bits


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 4), st.integers(0, 2**31), st.floats(1e-3, 1e3))
@settings(max_examples=60, deadline=None)
def test_orthogonalising_maps_each_singular_value_by_the_polynomial(
    rows: int, columns: int, count: int, seed: int, size: float
) -> None:
    torch.manual_seed(seed)
    stack = size * torch.randn(count, rows, columns, dtype=torch.float64)
    u, s, vt = torch.linalg.svd(stack, full_matrices=False)
    s = s / torch.linalg.vector_norm(s, dim=-1, keepdim=True)
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(orthogonalise(stack, torch.float64), u * s[:, None] @ vt, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalised_singular_values_are_about_one(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for rows, columns in ((64, 96), (96, 64), (192, 48)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(5, rows, columns), dtype).float())
        assert values.min() > 0.6 and values.max() < 1.3


def test_matrices_without_a_gradient_or_with_one_of_zeros_are_only_decayed() -> None:
    none, zero = torch.randn(4, 6), torch.randn(4, 6)
    before = none.clone(), zero.clone()
    stepped = Muon([none, zero], [[4], [1, 3]], lr=0.1, weight_decay=0.5)
    zero.grad = torch.zeros(4, 6)
    stepped.step()
    assert torch.equal(none, before[0])
    torch.testing.assert_close(zero, before[1] * (1 - 0.1 * 0.5), rtol=0, atol=0)


def test_the_iteration_is_one_graph_for_the_compiler() -> None:
    stack = torch.randn(3, 12, 8)
    compiled = torch.compile(orthogonalise, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(stack, torch.float32), orthogonalise(stack, torch.float32))


@CONFIGS
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_each_weight_has_one_optimizer_and_only_matrices_are_decayed(config: ModelConfig, name: str) -> None:
    model, stepped = make(config, optimizer=name, weight_decay=0.1, learning_rate=0.5)
    names = {parameter: each for each, parameter in model.named_parameters()}
    found = [(names[parameter], group) for group in stepped.param_groups for parameter in group["params"]]
    assert sorted(each for each, _ in found) == sorted(names.values())
    for each, group in found:
        matrix = model.get_parameter(each).dim() == 2
        assert group["weight_decay"] == (0.1 if matrix else 0.0) and group["lr"] == group["initial_lr"] == 0.5
        assert ("rows" in group) == (name == "muon" and matrix and each.startswith("blocks.")), each


@CONFIGS
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_steps_after_saving_and_loading_have_the_same_bits(config: ModelConfig, name: str) -> None:
    through, stepped = make(config, optimizer=name)
    run(through, stepped, range(3))
    saved = {key: value.clone() for key, value in optimizer.state_tensors(through, stepped).items()}
    again, loaded = make(config, seed=1, optimizer=name)
    again.load_state_dict(through.state_dict())
    optimizer.load_state(again, loaded, saved)
    run(through, stepped, range(3, 5))
    run(again, loaded, range(3, 5))
    for mine, theirs in zip(again.parameters(), through.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    expected = optimizer.state_tensors(through, stepped)
    assert expected.keys() == saved.keys()
    for key, value in optimizer.state_tensors(again, loaded).items():
        assert torch.equal(value, expected[key]), key


def test_states_are_named_by_parameter_and_of_its_shape() -> None:
    model, stepped = make(MODERN, optimizer="muon")
    run(model, stepped, range(1))
    tensors = optimizer.state_tensors(model, stepped)
    momenta = {key for key in tensors if key.endswith("/momentum")}
    assert "blocks.1.attention.qkv.weight/momentum" in momenta and len(momenta) == 4 * MODERN.layers
    assert {"embedding.weight/exp_avg", "embedding.weight/exp_avg_sq", "embedding.weight/step"} <= tensors.keys()
    for key in momenta:
        assert tensors[key].shape == model.get_parameter(key.removesuffix("/momentum")).shape


@pytest.mark.parametrize(("saved", "wanted"), [("adamw", "muon"), ("muon", "adamw")])
def test_another_optimizers_state_is_refused(saved: str, wanted: str) -> None:
    model, stepped = make(MODERN, optimizer=saved)
    run(model, stepped, range(1))
    other, loaded = make(MODERN, optimizer=wanted)
    with pytest.raises(KeyError, match=r"blocks\.0"):
        optimizer.load_state(other, loaded, optimizer.state_tensors(model, stepped))


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("where", ["embedding.weight", "blocks.0.attention.qkv.weight"])
def test_a_gradient_that_overflowed_in_one_weight_changes_none(name: str, where: str) -> None:
    model, stepped = make(MODERN, optimizer=name)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(torch.ones(()))  # as a loss would be
    give_gradients(model, 0)
    model.get_parameter(where).grad[0, 0] = torch.inf  # type: ignore[index]
    scaler.unscale_(stepped)
    scaler.step(stepped)
    scaler.update()
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
    assert scaler.get_scale() == 2.0


def rates(config: ModelConfig, **train: Any) -> dict[str, float]:
    model, stepped = make(config, **train)
    names = {parameter: each for each, parameter in model.named_parameters()}
    return {names[parameter]: group["lr"] for group in stepped.param_groups for parameter in group["params"]}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_learning_rates_are_what_the_recipe_says_unless_it_asks_for_the_rule(name: str) -> None:
    for options in ({}, {"learning_rate_width": CLASSIC.width}):
        assert set(rates(CLASSIC, optimizer=name, learning_rate=0.25, **options).values()) == {0.25}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_learning_rates_carry_over_between_widths_by_the_stated_rule(name: str, tied: bool) -> None:
    config = replace(CLASSIC, tied=tied)
    found = rates(config, optimizer=name, learning_rate=1.0, learning_rate_width=config.width // 4)
    for each, rate in found.items():
        if each.startswith("blocks.") and "norm" not in each and each.endswith("weight"):
            assert rate == (1 / 4 if name == "adamw" else 1 / 2)
        elif each == ("embedding.weight" if tied else "head.weight"):
            assert rate == 1 / 4
        else:
            assert rate == 1


def test_by_the_rule_a_step_of_muon_has_one_spectral_norm_at_every_width() -> None:
    norms = []
    for width in (16, 32, 64):
        rate = rates(replace(MODERN, width=width), optimizer="muon", learning_rate_width=32, learning_rate=0.1)
        norms.append(rate["blocks.0.attention.output.weight"] * scale(width, width))
    assert norms == pytest.approx([norms[0]] * 3)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_schedule_scales_every_rate_from_its_own_peak(name: str) -> None:
    options = {"adam_learning_rate": 0.5} if name == "muon" else {}
    _, stepped = make(GROUPED, optimizer=name, learning_rate=0.25, learning_rate_width=8, **options)
    peaks = [group["lr"] for group in stepped.param_groups]
    for factor in (0.1, 0.7, 0.0, 1.0):
        optimizer.set_factor(stepped, factor)
        assert [group["lr"] for group in stepped.param_groups] == [factor * peak for peak in peaks]
    assert set(peaks) == ({0.25 * 0.5, 0.5 / 4, 0.5} if name == "muon" else {0.25 / 4, 0.25})


@pytest.mark.parametrize("config", [CLASSIC, GROUPED], ids=["classic", "modern"])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_batch_can_be_learned_by_heart(config: ModelConfig, name: str) -> None:
    model, stepped = make(config, optimizer=name, learning_rate=0.01)
    batch = torch.randint(config.vocab_size, (4, config.context + 1))
    for _ in range(100):
        loss = token_losses(model(batch[:, :-1]), batch[:, 1:]).mean()
        loss.backward()
        stepped.step()
        stepped.zero_grad()
    assert loss.item() < 0.1
