"""The same targets and mutations as bench/fuzz.py, led by which code of the readers an input reaches. One command:

    pip install atheris; python bench/fuzz_coverage.py recipe --seconds 600 [--seed 1] [--save DIR]

For a long look by hand: it needs Atheris, which is no dependency of groundup, and libFuzzer ends the process at the
first finding and prints what it likes. A finding is saved as DIR/crash-..., to be put into tests/fuzz/inputs.
"""

import argparse
import os
import random
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["groundup.store", "groundup.recipe", "groundup.tokens.encoding", "yaml"]):
    import fuzz
    import fuzz_targets
    from mutate import mutate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=fuzz_targets.NAMES)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, default=Path("findings"))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())  # libFuzzer ends the process without a word to Python
    with redirect_stdout(sys.stderr):
        target = fuzz_targets.targets(folder, (given.target,))[given.target]
    (folder / "corpus").mkdir()
    for number, seed in enumerate(target.seeds):
        (folder / "corpus" / str(number)).write_bytes(seed)

    def read(data: bytes) -> None:
        outcome, _, _ = fuzz.judge(target, data)
        if outcome.startswith("finding"):
            raise RuntimeError(outcome)

    def change(data: bytes, most: int, seed: int) -> bytes:
        return mutate(random.Random(seed), bytes(data), target.seeds, target.structural)[:most]

    given.save.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": given.seconds,
        "timeout": 60,
        "rss_limit_mb": 4096,
        "max_len": 1 << 18,
        "seed": given.seed,
    }
    options["artifact_prefix"] = f"{given.save}{os.sep}"
    words = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], str(folder / "corpus"), *words], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
