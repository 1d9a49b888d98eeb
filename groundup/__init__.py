"""groundup: train small language models from the ground up, and know which one is better."""

import os

__version__ = "0.1.0"

# No dependency reports anything to anyone, whether it was asked to from the command line or from Python.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")  # ours says what the work is
os.environ.setdefault("DAFT_SHOW_QUERY_ID", "0")

# How long PyTorch's threads wait for each other before they sleep; read when torch is loaded. Long spinning, the usual,
# made training and sampling up to 20 times slower beside other work; none at all takes twice the time for a small model
# on a machine of its own. Some ten microseconds are as good as either (docs/log.md). Who sets the policy, sets it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
