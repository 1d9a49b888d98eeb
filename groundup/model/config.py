"""The shape of a model: what the weights need to be read again."""

from dataclasses import asdict, dataclass
from typing import Any

from groundup.recipe import schema


@dataclass(frozen=True)
class ModelConfig:
    family: str  # classic | modern
    vocab_size: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int
    dropout: float = 0.0
    tied: bool = True

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def configure(model: schema.Model, vocab_size: int) -> ModelConfig:
    """The shape of a resolved recipe's model with a tokenizer's vocabulary."""
    values = model.model_dump(exclude={"size"})
    return ModelConfig(vocab_size=vocab_size, **values)
