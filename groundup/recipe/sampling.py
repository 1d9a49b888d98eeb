"""Presets of sampling: three ways to weigh what is likely against what is new.

`balanced` is what a recipe has by default. `safe` nearly always takes one of the first few tokens: fewer slips, more
repetition. `wild` flattens the distribution (a temperature above 1) and therefore needs limits that are wide but not
open: the tail of a small model's distribution is mostly noise (Holtzman et al. 2020, section 4).
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "safe": {"temperature": 0.5, "top_k": 20, "top_p": 0.85},
    "balanced": {"temperature": 0.8, "top_k": 40, "top_p": 0.95},
    "wild": {"temperature": 1.1, "top_k": 100, "top_p": 0.98},
}
PRESET_KEYS = tuple(PRESETS["balanced"])
