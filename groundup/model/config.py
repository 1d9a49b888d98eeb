"""The shape of a model: what the weights need to be read again."""

from dataclasses import asdict, dataclass
from typing import Any, get_args

from groundup.recipe import schema
from groundup.recipe.rungs import FAMILIES

# What other libraries know under these names, in terms of the knobs. The head may be tied or not in each.
EXPORTS = {
    "gpt2": FAMILIES["classic"],
    "qwen3": FAMILIES["modern"],
    "llama": FAMILIES["modern"] | {"qk_norm": False},
}


@dataclass(frozen=True)
class ModelConfig:
    """A family's knob that is given as None becomes what the family has, so a built config has no None.

    Raises ValueError for a family or a part that there is not.
    """

    family: str  # classic | modern: a set of defaults for the five knobs below, and a name; nothing else asks for it
    vocab_size: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int
    dropout: float = 0.0
    tied: bool = True
    positions: schema.Positions | None = None
    norm: schema.Norm | None = None
    activation: schema.Activation | None = None
    qk_norm: bool | None = None
    bias: bool | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"there is no model family {self.family!r}")
        for knob, value in FAMILIES[self.family].items():
            if getattr(self, knob) is None:
                object.__setattr__(self, knob, value)
        for knob, kind in (("positions", schema.Positions), ("norm", schema.Norm), ("activation", schema.Activation)):
            if getattr(self, knob) not in get_args(kind):
                raise ValueError(f"there is no model with {knob} {getattr(self, knob)!r}")

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    @property
    def gated(self) -> bool:
        """Whether the feed-forward part multiplies two projections of its input."""
        return self.activation == "swiglu"

    @property
    def exports_as(self) -> str | None:
        """The architecture of which a trained model is a checkpoint: gpt2, qwen3, llama; None: of none of them."""
        for name, knobs in EXPORTS.items():
            grouped = self.kv_heads != self.heads
            if all(getattr(self, knob) == value for knob, value in knobs.items()) and not (grouped and name == "gpt2"):
                return name
        return None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def configure(model: schema.Model, vocab_size: int) -> ModelConfig:
    """The shape of a resolved recipe's model with a tokenizer's vocabulary."""
    values = model.model_dump(exclude={"size"})
    return ModelConfig(vocab_size=vocab_size, **values)
