"""bench/checkpoint.py runs as it is, on whatever there is, and prints what others read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_a_row_for_each_way_with_what_it_costs_and_the_peer() -> None:
    command = [sys.executable, "bench/checkpoint.py", "--rehearse", "--device", "cpu", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=True)
    rows = json.loads(done.stdout)["rows"]
    assert [row["way"] for row in rows] == ["at once", "in the background"]
    for row in rows:
        assert row["blocked_s"] > 0 and row["write_s"] > 0 and row["load_s"] > 0 and row["device"]
        assert row["share"] == pytest.approx(row["lost_s"] / (row["every"] * row["update_s"]))
        assert row["ratio_peer"] == row["peer_save_s"] / row["blocked_s"] and row["peer_load_s"] > 0
