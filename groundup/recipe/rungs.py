"""The ladder: one dial, `model.size`, from which the shape of the model follows. And what each family is made of."""

from typing import Any

RUNGS: dict[str, dict[str, int]] = {
    "20m": {"layers": 10, "width": 384, "heads": 6, "feed_forward": 1536, "context": 512},
    "50m": {"layers": 12, "width": 512, "heads": 8, "feed_forward": 2048, "context": 1024},
    "100m": {"layers": 16, "width": 640, "heads": 10, "feed_forward": 2560, "context": 1024},
}

# classic: Radford et al. 2019 (GPT-2), section 2.3. modern: Yang et al. 2025 (Qwen3), section 2.
FAMILIES: dict[str, dict[str, Any]] = {
    "classic": {"positions": "learned", "norm": "layer", "activation": "gelu", "qk_norm": False, "bias": True},
    "modern": {"positions": "rotary", "norm": "rms", "activation": "swiglu", "qk_norm": True, "bias": False},
}


def gated(feed_forward: int) -> int:
    """Inner width of SwiGLU with the parameters of an ungated part: it has three matrices where that has two."""
    return max(64, round(feed_forward * 2 / 3 / 64) * 64)


def fill_in(model: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values that `model` (a mapping of recipe keys) leaves open: those of its family, and those that size, width
    and heads tell."""
    given = {key: value for key, value in model.items() if value is not None}
    family: dict[str, Any] = FAMILIES[given.get("family", "modern")]
    filled: dict[str, Any] = dict(RUNGS.get(str(model.get("size")), {}))
    width = given.get("width", filled.get("width"))
    if isinstance(width, int) and ("width" in given or "feed_forward" not in filled):
        filled["feed_forward"] = 4 * width
    if "feed_forward" in filled and given.get("activation", family["activation"]) == "swiglu":
        filled["feed_forward"] = gated(filled["feed_forward"])
    if "heads" in given or "heads" in filled:
        filled["kv_heads"] = given.get("heads", filled.get("heads"))
    filled.setdefault("context", 512)
    of_family, of_shape = ({key: part[key] for key in part if key not in given} for part in (family, filled))
    return of_family, of_shape
