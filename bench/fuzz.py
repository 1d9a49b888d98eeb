"""Hostile files by the thousand: does every reader end in a value or in one error with a code? One command:

    python bench/fuzz.py --target all --minutes 10 [--seed 1] [--inputs N] [--save DIR] [--json]

Inputs are mutations (bench/mutate.py) of files that a tiny run has made (bench/fuzz_targets.py). An input whose outcome
is new, by the error's code and its words, becomes a seed itself. They are read in another process, with 1 GiB of memory
more than it has at the start. A finding is: any exception but GroundupError, the process's end, more than 5 seconds
of processor time, or more than a minute. It is made smaller and saved as DIR/TARGET-HASH.bin, with what happened in a
.txt beside it. The same seed and number of inputs give the same inputs. `findings` in the JSON is what is to be mended.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzz_targets import NAMES, Target, name_of, targets
from mutate import mutate

from groundup.errors import GroundupError

CPU_SECONDS, WALL_SECONDS, MEMORY = 5.0, 60.0, 1 << 30
MOST_SEEDS, SMALLER_TRIES = 400, 150
VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|/\S+")


@dataclass
class Result:
    target: str
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    distinct: set[str] = field(default_factory=set)
    seconds: float = 0.0
    findings: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"outcomes": dict(self.outcomes), "distinct": len(self.distinct)}


def judge(target: Target, raw: bytes) -> tuple[str, str, float]:
    """(ok, an error's code, or `finding: ...`; what tells outcomes apart; seconds of processor time)."""
    target.file.write_bytes(raw)
    start = time.process_time()
    try:
        target.read(target.file)
        outcome, words = "ok", ""
    except GroundupError as error:
        outcome, words = error.code, VARYING.sub("_", error.what)[:200]
    except BaseException as error:  # also what is no Exception, such as a panic of a library in Rust
        last = traceback.extract_tb(error.__traceback__)[-1]
        outcome = f"finding: {type(error).__name__} in {Path(last.filename).name}:{last.name}"
        words = outcome
    taken = time.process_time() - start
    if taken > CPU_SECONDS:
        outcome = words = f"finding: slow after {outcome}"
    return outcome, f"{outcome}: {words}", taken


def _work(target: Target, pipe: Connection) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    while True:
        pipe.send(judge(target, pipe.recv_bytes()))


class Reader:
    """A process that reads inputs, and another one after each that ended or hung."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(self.target, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def read(self, raw: bytes) -> tuple[str, str]:
        """(outcome, what tells it from others)."""
        try:
            self.pipe.send_bytes(raw)
            if self.pipe.poll(WALL_SECONDS):
                outcome, words, _ = self.pipe.recv()
                return outcome, words
            outcome = "finding: no answer within a minute"
        except (EOFError, OSError):
            self.process.join(WALL_SECONDS)
            outcome = f"finding: the process ended with {self.process.exitcode}"
        self.close()
        self._start()
        return outcome, outcome

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def smaller(reader: Reader, raw: bytes, outcome: str) -> bytes:
    """A shorter input with the same outcome, by leaving out ever smaller parts."""
    tries, size = 0, max(1, len(raw) // 2)
    while size and tries < SMALLER_TRIES:
        start = 0
        while start < len(raw) and tries < SMALLER_TRIES:
            shorter = raw[:start] + raw[start + size :]
            tries += 1
            if reader.read(shorter)[0] == outcome:
                raw = shorter
            else:
                start += size
        size //= 2
    return raw


def fuzz(name: str, target: Target, seed: int, minutes: float, most: int | None, save: Path | None) -> Result:
    """Read mutated inputs until the time is over, or `most` of them."""
    chance, result, reader = random.Random(f"{seed} {name}"), Result(name), Reader(target)
    seeds, start = list(target.seeds), time.monotonic()
    seen: set[str] = set()
    try:
        for number in range(sys.maxsize):
            if number >= (most or sys.maxsize) or time.monotonic() - start > 60 * minutes:
                break
            fresh = number < len(target.seeds)  # as they are, once
            # Half of them from real files: what new outcomes leave is mostly broken in several ways.
            base = chance.choice(target.seeds if chance.random() < 0.5 else seeds)
            raw = target.seeds[number] if fresh else mutate(chance, base, seeds, target.structural)
            outcome, words = reader.read(raw)
            result.inputs += 1
            result.outcomes[outcome] += 1
            if words in seen:
                continue
            seen.add(words)
            if outcome.startswith("finding"):
                raw = smaller(reader, raw, outcome)
                result.findings.append({"what": outcome, "file": _keep(name, raw, outcome, save)})
            elif len(seeds) < MOST_SEEDS:
                seeds.append(raw)
    finally:
        reader.close()
    result.seconds, result.distinct = round(time.monotonic() - start, 1), seen
    return result


def _keep(name: str, raw: bytes, outcome: str, save: Path | None) -> str:
    if save is None:
        return f"{name}-{name_of(raw)}.bin, not saved"
    save.mkdir(parents=True, exist_ok=True)
    path = save / f"{name}-{name_of(raw)}.bin"
    path.write_bytes(raw)
    path.with_suffix(".txt").write_text(outcome + "\n")
    return str(path)


def lines(results: list[Result]) -> list[str]:
    """The results as a table, and the findings below it."""
    table = ["| target | inputs | distinct outcomes | seconds | findings |", "|---|---|---|---|---|"]
    for one in results:
        table.append(
            f"| {one.target} | {one.inputs:,} | {len(one.distinct)} | {one.seconds:,.0f} | {len(one.findings)} |"
        )
    for one in results:
        counts = ", ".join(f"{outcome} {count:,}" for outcome, count in one.outcomes.most_common())
        table.append(f"{one.target}: {counts}")
    return table + [f"{one['what']}: {one['file']}" for result in results for one in result.findings]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="all", choices=[*NAMES, "all"])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--inputs", type=int, help="stop after so many of each target, whatever the time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="directory for findings (default: they are not kept)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    names = NAMES if given.target == "all" else (given.target,)
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):
            made = targets(Path(folder), names)
        results = [fuzz(name, made[name], given.seed, given.minutes, given.inputs, given.save) for name in names]
    facts = {"seed": given.seed, "rows": [one.to_json() for one in results]}
    facts["findings"] = sum(len(one.findings) for one in results)
    print(json.dumps(facts) if given.json else "\n".join(lines(results)))
    return 1 if facts["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
