"""bench/generate.py runs as it is, on whatever there is, and prints what others read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_benchmark_of_writing_compares_equal_texts_and_prints_its_ratios() -> None:
    pytest.importorskip("transformers")
    command = [sys.executable, "bench/generate.py", "--rehearse", "--batches", "1", "32", "--json"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["ratio_transformers_b1"] > 0 and facts["ratio_transformers_b32"] > 0
    assert "ratio_llamacpp_b1" in facts
    for row in facts["rows"]:
        assert len(row["same_text"]) >= 2 and all(row["same_text"].values())
