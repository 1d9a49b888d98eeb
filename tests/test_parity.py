"""A model of a family IS a checkpoint of the architecture that it is named after: equal numbers from equal weights."""

from dataclasses import replace

import pytest
import torch
from tiny_models import CLASSIC, GROUPED, LLAMA, MODERN, scrambled
from torch import nn

from groundup.export.huggingface import configuration, translate
from groundup.model.config import ModelConfig
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer

transformers = pytest.importorskip("transformers")

CONFIGS = {
    "gpt2": CLASSIC,
    "gpt2-untied": replace(CLASSIC, tied=False),
    "qwen3": MODERN,
    "qwen3-grouped-untied": GROUPED,
    "llama": LLAMA,
    "llama-grouped-untied": replace(GROUPED, qk_norm=False),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


def reference_of(model: Transformer) -> nn.Module:
    """The reference implementation with the model's weights, every one of them."""
    c = model.config
    written = configuration(c, end=0) | {"bos_token_id": None, "eos_token_id": None}
    kind = getattr(transformers, written.pop("architectures")[0])
    reference = kind(kind.config_class(**written))
    missing, unexpected = reference.load_state_dict(translate(c, model.state_dict()), strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if c.tied else set())
    return reference.eval()


@each_config
def test_logits_and_every_gradient_equal_the_reference(config: ModelConfig) -> None:
    model = scrambled(config)
    reference = reference_of(model)
    tokens = torch.randint(config.vocab_size, (3, config.context))
    mine, theirs = model(tokens), reference(tokens).logits
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    token_losses(mine[:, :-1], tokens[:, 1:]).mean().backward()
    reference(tokens, labels=tokens).loss.backward()
    gradients = translate(config, {name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    expected = {name: p.grad for name, p in reference.named_parameters()}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() <= 1e-5 * expected[name].norm(), name


@each_config
@torch.no_grad()
def test_twenty_greedy_continuations_equal_the_reference_token_for_token(config: ModelConfig) -> None:
    model = scrambled(config)
    reference = reference_of(model)
    for length in (1, 8):
        prompts = torch.randint(config.vocab_size, (10, length), generator=torch.Generator().manual_seed(length))
        mine = prompts
        for _ in range(16):
            mine = torch.cat([mine, model(mine, last_only=True).argmax(-1)], dim=1)
        theirs = reference.generate(
            prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=16, do_sample=False, pad_token_id=0
        )
        assert mine.tolist() == theirs.tolist()
        different = mine[:, length:].unique(dim=0)
        assert len(different) >= 8 and len(different.unique()) > 10, "not what any two models could agree on"
