"""A model is what its knobs say, it knows nothing before training, and it can learn."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_models import CLASSIC, GROUPED, KINDS, LLAMA, MODERN, ODD, scrambled

from groundup.model.config import ModelConfig, configure
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer
from groundup.recipe.load import resolve

each_kind = pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())


@pytest.mark.parametrize("config", [CLASSIC, MODERN], ids=["classic", "modern"])
def test_a_family_is_nothing_but_its_knobs(config: ModelConfig) -> None:
    named_otherwise = replace(config, family="modern" if config is CLASSIC else "classic")
    one, other = scrambled(config), scrambled(named_otherwise)
    tokens = torch.randint(config.vocab_size, (2, 9))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert torch.equal(one(tokens), other(tokens))


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (CLASSIC, "gpt2"),
        (MODERN, "qwen3"),
        (GROUPED, "qwen3"),
        (LLAMA, "llama"),
        (replace(CLASSIC, tied=False), "gpt2"),
        (replace(CLASSIC, kv_heads=2), None),
        (replace(CLASSIC, bias=False), None),
        (replace(MODERN, bias=True), None),
        (replace(MODERN, activation="relu2"), None),
        (ODD, None),
    ],
)
def test_a_config_says_which_architecture_its_checkpoints_are(config: ModelConfig, name: str | None) -> None:
    assert config.exports_as == name


def test_a_config_read_back_is_the_same_and_one_of_unknown_parts_is_refused() -> None:
    assert ModelConfig(**ODD.to_json()) == ODD
    for change in ({"family": "mamba"}, {"activation": "silu"}, {"positions": "alibi"}, {"norm": "batch"}):
        with pytest.raises(ValueError, match=next(iter(change.values()))):
            ModelConfig(**ODD.to_json() | change)


@pytest.mark.parametrize("rung", ["20m", "50m", "100m"])
@pytest.mark.parametrize("family", ["classic", "modern"])
def test_an_untrained_model_knows_nothing(rung: str, family: str) -> None:
    """Its loss is within 1 % of ln V."""
    recipe = resolve(rung, [f"model.family={family}", "model.layers=3"]).recipe
    config = configure(recipe.model, recipe.tokenizer.vocab_size)
    torch.manual_seed(0)
    tokens = torch.randint(config.vocab_size, (4, 257))
    with torch.no_grad():
        loss = token_losses(Transformer(config).eval()(tokens[:, :-1]), tokens[:, 1:]).mean()
    assert loss.item() == pytest.approx(math.log(config.vocab_size), rel=0.01)


@each_kind
def test_one_batch_can_be_learnt_by_heart(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = Transformer(config)
    tokens = torch.randint(config.vocab_size, (4, config.context))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = token_losses(model(tokens[:, :-1]), tokens[:, 1:]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@each_kind
def test_the_last_positions_logits_are_those_of_all_positions(config: ModelConfig) -> None:
    model = scrambled(config)
    tokens = torch.randint(config.vocab_size, (2, 9))
    torch.testing.assert_close(model(tokens, last_only=True), model(tokens)[:, -1:])


def test_dropout_is_drawn_in_training_alone() -> None:
    model = scrambled(replace(MODERN, dropout=0.5))
    tokens = torch.randint(97, (2, 9))
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))
    torch.testing.assert_close(scrambled(MODERN)(tokens), model.eval()(tokens))
