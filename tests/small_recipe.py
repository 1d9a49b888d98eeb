"""A recipe so small that a whole run takes a second."""

from pathlib import Path

import yaml


def small_recipe(folder: Path) -> Path:
    """A text of 270 different documents and a recipe of one layer that trains on it, in a folder."""
    texts = [
        f"The {animal} {number} sat on the {place} and ate a {fruit}."
        for animal in ("cat", "dog", "hen")
        for place in ("mat", "hill", "road")
        for fruit in ("fig", "bun", "pear")
        for number in range(10)
    ]
    (folder / "text.txt").write_text("\n---\n".join(texts))
    values = {
        "name": "tiny",
        "data": {
            "sources": {"mine": {"path": str(folder / "text.txt"), "delimiter": "---"}},
            "valid_fraction": 0.1,
            "test_fraction": 0.1,
        },
        "tokenizer": {"vocab_size": 290},
        "model": {"family": "modern", "layers": 1, "width": 32, "heads": 2, "context": 16},
        "train": {
            "steps": 8,
            "tokens_per_update": 64,
            "micro_batch": 4,
            "learning_rate": 0.005,
            "warmup": 2,
            "log_every": 2,
            "valid_every": 4,
            "checkpoint_every": 2,
            "sample_every": 8,
            "device": "cpu",
        },
        "sample": {"prompts": ["The"], "max_tokens": 4},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
