"""What several tests start from: a recipe so small that a whole run takes a second."""

from pathlib import Path

import pytest
from small_recipe import small_recipe

import groundup  # noqa: F401  before torch, which reads what it sets


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return small_recipe(tmp_path)
