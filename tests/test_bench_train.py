"""bench/train.py runs as it is, on whatever there is, and prints what others read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def bench(*options: str) -> dict[str, Any]:
    command = [sys.executable, "bench/train.py", "--rehearse", "--device", "cpu", "--json", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def test_a_row_has_what_others_read_and_its_ratio_is_that_of_its_rates() -> None:
    (row,) = bench("--optimizers", "muon", "--measure-peak")["rows"]
    assert (row["rung"], row["family"], row["optimizer"]) == ("tiny", "modern", "muon")
    assert row["tokens_per_s"] > 0 and 0 < row["mfu"] < 2 and "measured" in row["mfu_of"] and row["device"]
    assert row["ratio_peer"] == row["tokens_per_s"] / row["peer_tokens_per_s"]


def test_a_curve_in_bf16_is_near_that_in_fp32_and_both_fall() -> None:
    one, other = bench("--curve-steps", "15", "--precisions", "fp32", "bf16")["curves"]
    assert (one["precision"], other["precision"]) == ("fp32", "bf16")
    assert one["losses"] != other["losses"] and 0 < other["largest_difference"] < 0.05
    assert one["losses"][-1] < one["losses"][0] - 0.02
