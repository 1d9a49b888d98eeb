"""The ladder: one dial, `model.size`, from which the shape of the model follows."""

from typing import Any

RUNGS: dict[str, dict[str, int]] = {
    "20m": {"layers": 10, "width": 384, "heads": 6, "feed_forward": 1536, "context": 512},
    "50m": {"layers": 12, "width": 512, "heads": 8, "feed_forward": 2048, "context": 1024},
    "100m": {"layers": 16, "width": 640, "heads": 10, "feed_forward": 2560, "context": 1024},
}


def gated(feed_forward: int) -> int:
    """Inner width of SwiGLU with the parameters of an ungated part: it has three matrices where that has two."""
    return max(64, round(feed_forward * 2 / 3 / 64) * 64)


def fill_in(model: dict[str, Any]) -> dict[str, int]:
    """The values that `model` (a mapping of recipe keys) leaves open, as far as size, width and heads tell them."""
    filled: dict[str, Any] = dict(RUNGS.get(str(model.get("size")), {}))
    given = {key: value for key, value in model.items() if value is not None}
    width = given.get("width", filled.get("width"))
    if isinstance(width, int) and ("width" in given or "feed_forward" not in filled):
        filled["feed_forward"] = 4 * width
    if "feed_forward" in filled and given.get("family", "modern") == "modern":
        filled["feed_forward"] = gated(filled["feed_forward"])
    if "heads" in given or "heads" in filled:
        filled["kv_heads"] = given.get("heads", filled.get("heads"))
    filled.setdefault("context", 512)
    return {key: value for key, value in filled.items() if key not in given}
