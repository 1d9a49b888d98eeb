"""What several tests start from: a recipe so small that a whole run takes a second."""

import os
from pathlib import Path

import pytest
from small_recipe import small_recipe

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line has it; torch reads it when it is loaded


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return small_recipe(tmp_path)
