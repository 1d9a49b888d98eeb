"""A recipe that trains in seconds, and what tests want of its runs."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.store.runs import Run
from groundup.tokens import tokenizer
from groundup.train import checkpoint
from groundup.train.loop import Trainer
from groundup.train.precision import choose

TINY = """
name: tiny
data:
  sources:
    mine: {path: PATH, delimiter: "---"}
  valid_fraction: 0.1
  test_fraction: 0.1
tokenizer: {vocab_size: 300}
model: {family: modern, layers: 2, width: 32, heads: 2, context: 32, dropout: 0.1}
train:
  steps: 40
  tokens_per_update: 128
  learning_rate: 5.0e-3
  warmup: 5
  log_every: 10
  valid_every: 20
  checkpoint_every: 10
  sample_every: 20
  device: cpu
sample: {prompts: ["The cat"], max_tokens: 20}
"""


def write_recipe(folder: Path) -> Path:
    animals, places = ("cat", "dog", "fox", "owl", "hen"), ("mat", "hill", "roof", "road", "bench")
    texts = [
        f"The {a} sat on the {p}. Then the {b} came to the {p}."
        for a in animals
        for b in animals
        for p in places
        if a != b
    ]
    (folder / "text.txt").write_text("---".join(texts))
    path = folder / "tiny.yaml"
    path.write_text(TINY.replace("PATH", str(folder / "text.txt")))
    return path


def trainer(recipe: Path, lab: Path, *overrides: str) -> Trainer:
    resolved = resolve(str(recipe), list(overrides)).recipe
    inputs = pipeline.make_shards(resolved, lab)
    run = Run(lab / "runs" / "bare")
    run.path.mkdir(parents=True, exist_ok=True)
    encoding = tokenizer.open_tokenizer(inputs.tokenizer.path / tokenizer.FILE)
    shares = pipeline.training_shares(resolved, inputs)
    return Trainer(run, resolved, inputs.shards.path, shares, encoding, choose("cpu", resolved.train.precision))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.select(run, "last").path / "model.safetensors")


def assert_equal_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
