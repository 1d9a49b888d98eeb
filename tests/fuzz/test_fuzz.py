"""The readers stand some mutated files each time, and whatever a long session once found; and the fuzzer finds.

To look for longer: python bench/fuzz.py --target all --minutes 10 --save findings. What it finds goes into inputs/.
"""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if not Path("/proc/self/statm").exists():
    pytest.skip("the fuzzer limits memory as Linux has it", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import fuzz
import fuzz_targets
import mutate

INPUTS = sorted((Path(__file__).parent / "inputs").glob("*.bin"))
Targets = dict[str, fuzz_targets.Target]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Targets:
    return fuzz_targets.targets(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_what_was_found_once_is_answered_with_a_code(targets: Targets, path: Path) -> None:
    name = path.name.split("-")[0]
    reader = fuzz.Reader(targets[name])
    try:
        outcome, _ = reader.read(path.read_bytes())
    finally:
        reader.close()
    assert not outcome.startswith("finding"), outcome


@pytest.mark.parametrize("name", fuzz_targets.NAMES)
def test_mutated_files_end_in_a_value_or_a_code(targets: Targets, name: str) -> None:
    result = fuzz.fuzz(name, targets[name], seed=1, minutes=60, most=120, save=None)
    assert result.findings == [] and result.inputs == 120
    assert result.outcomes["ok"] and len(result.distinct) > 5  # the seeds are read, and errors of many kinds are met


def test_the_same_seed_gives_the_same_inputs(targets: Targets) -> None:
    one, other = (fuzz.fuzz("recipe", targets["recipe"], 3, 60, 30, None) for _ in range(2))
    assert one.outcomes == other.outcomes and one.distinct == other.distinct
    different = fuzz.fuzz("recipe", targets["recipe"], 4, 60, 30, None)
    assert different.distinct != one.distinct


# -- a fuzzer that finds nothing must be one that could have -----------------------------------------------------------


def careless(fault: Callable[[], Any]) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if b"\xff" in path.read_bytes():
            fault()

    return read


def hang() -> None:
    while True:
        pass


def panic() -> None:
    raise BaseException("a library in Rust")


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "an exception": (lambda: {}["x"], "finding: KeyError"),
    "a panic": (panic, "finding: BaseException"),
    "much memory": (lambda: bytearray(2 << 30), "finding: MemoryError"),
    "the end of the process": (lambda: os._exit(7), "finding: the process ended with 7"),
    "a loop": (hang, "finding: no answer"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_of_fault_is_found_made_small_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(fuzz, "WALL_SECONDS", 0.5 if kind == "a loop" else 60.0)
    monkeypatch.setattr(fuzz, "SMALLER_TRIES", 8 if kind == "a loop" else 150)
    fault, words = FAULTS[kind]
    target = fuzz_targets.Target(tmp_path / "x", [b"some text\xff and more"], None, careless(fault))
    result = fuzz.fuzz("x", target, 1, 60, 1, tmp_path / "findings")
    (found,) = result.findings
    assert found["what"].startswith(words)
    saved = Path(found["file"])
    assert b"\xff" in saved.read_bytes() and len(saved.read_bytes()) < len(target.seeds[0])
    assert saved.read_bytes() == b"\xff" or kind == "a loop"
    assert saved.with_suffix(".txt").read_text().strip() == found["what"]


@pytest.mark.parametrize("name", fuzz_targets.NAMES)
def test_mutations_that_keep_a_file_s_form_change_it(targets: Targets, name: str) -> None:
    target, chance = targets[name], random.Random(1)
    assert target.structural is not None
    changed = [target.structural(chance, seed) for seed in target.seeds for _ in range(20)]
    assert len(set(changed)) > 10
    for seed in target.seeds:
        others = [mutate.mutate(chance, seed, target.seeds, target.structural) for _ in range(20)]
        assert len(set(others)) > 5 and all(len(other) <= 1 << 20 for other in others)
