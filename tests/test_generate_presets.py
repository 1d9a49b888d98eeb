"""A preset of sampling sets what is not given, and every value says where it came from."""

from pathlib import Path

import pytest

from groundup.recipe.load import resolve
from groundup.recipe.sampling import PRESETS
from groundup.recipe.schema import Sample


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_is_not_given(tiny: Path, name: str) -> None:
    resolved = resolve(str(tiny), [f"sample.preset={name}", "sample.top_k=7"])
    sample = resolved.recipe.sample
    assert (sample.temperature, sample.top_p) == (PRESETS[name]["temperature"], PRESETS[name]["top_p"])
    assert sample.top_k == 7 and resolved.origins["sample.top_k"] == "command line"
    assert resolved.origins["sample.temperature"] == f"sample.preset {name}"


def test_the_default_is_the_balanced_preset() -> None:
    assert Sample() == Sample(preset="balanced")
    assert {key: getattr(Sample(), key) for key in PRESETS["balanced"]} == PRESETS["balanced"]


def test_a_resolved_recipe_reads_back_as_the_same(tiny: Path) -> None:
    sample = resolve(str(tiny), ["sample.preset=wild", "sample.top_p=0.5"]).recipe.sample
    assert Sample(**sample.model_dump()) == sample
