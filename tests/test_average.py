"""The average of the weights is the one that its formula says, and looking at it changes nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.train.average import Average


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3))


def change(one: nn.Module) -> None:
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(torch.randn_like(parameter))


def bits(one: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in one.parameters()]


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_formula(decay: float) -> None:
    one = model()
    average = Average(one, decay)
    expected = [value.double() for value in bits(one)]
    for step in range(1, 30):
        change(one)
        average.update(step)
        keep = min(decay, (1 + step) / (10 + step))
        expected = [keep * old + (1 - keep) * new for old, new in zip(expected, bits(one), strict=True)]
    for mine, theirs in zip(average.averages, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-6)


def test_what_a_short_run_began_with_is_forgotten() -> None:
    one = model()
    average = Average(one, 0.9999)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.fill_(1.0)
    for step in range(1, 101):
        average.update(step)
    for mine in average.averages:
        torch.testing.assert_close(mine, torch.ones_like(mine), rtol=0, atol=1e-6)


def test_scoring_the_average_leaves_every_bit_and_its_place_as_it_was() -> None:
    one = model()
    average = Average(one, 0.9)
    change(one)
    average.update(1)
    before, held = bits(one), [value.clone() for value in average.averages]
    places = [parameter.data_ptr() for parameter in one.parameters()]
    other = model()
    other.load_state_dict(dict(zip(average.parameters, held, strict=True)))
    x = torch.randn(4, 5)
    with average.in_use():
        assert torch.equal(one(x), other(x))
        assert torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), average.in_use():
        raise ZeroDivisionError
    assert all(torch.equal(a, b) for a, b in zip(bits(one), before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(average.averages, held, strict=True))
    assert places == [parameter.data_ptr() for parameter in one.parameters()]


def test_a_saved_average_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    one = model()
    through = Average(one, 0.9)
    change(one)
    through.update(1)
    save_file(through.state_tensors(), tmp_path / "average.safetensors")
    again = Average(one, 0.9)
    again.load_state(load_file(tmp_path / "average.safetensors"))
    change(one)
    for average in (through, again):
        average.update(2)
    assert set(through.state_tensors()) == {f"{name}/average" for name, _ in one.named_parameters()}
    assert all(torch.equal(a, b) for a, b in zip(through.averages, again.averages, strict=True))
    with pytest.raises(KeyError, match=r"0\.weight/average"):
        again.load_state({})
