"""Faults injected into training, and what came of them, against what is promised. One command:

    python bench/faults.py [--quick] [--json] [--only NAME ...] [--seed S] [--number K] [--scale X] [--jobs N]
        [--minutes M]

Each fault of tests/faults is tried many times: killed processes, power cuts, disks that fill or fail, damaged and
hostile files, clocks that jump and so on. What comes of each trial is judged by a rule: exit code, error code, the bits
of the weights, the rows of the metrics, and how many steps had to be done again. A broken promise is printed with the
command that repeats that one trial. Exit code 1 if there is any.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))

from machine import machine, quick_folder
from outcome import Fault, Outcome
from table import FAULTS, Row, run
from toy_lab import Reference, reference

PIECE = 5  # trials that one of the jobs takes at a time
SHOWN = 5.0  # seconds between two lines of progress


class Progress:
    """How many trials are done, how many a second, and how long the rest will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.wrong, self.lock = total, 0, 0, Lock()
        self.start = self.shown = time.monotonic()

    def __call__(self, outcome: Outcome) -> None:
        with self.lock:
            self.done += 1
            self.wrong += outcome.wrong is not None
            now = time.monotonic()
            if now - self.shown >= SHOWN or self.done == self.total:
                self.shown = now
                rate = self.done / (now - self.start)
                left = (self.total - self.done) / rate
                line = f"faults: {self.done:,}/{self.total:,} trials, {rate:.1f}/s, {left:.0f} s left"
                print(line + (f", {self.wrong} WRONG" if self.wrong else ""), file=sys.stderr, flush=True)


def tried(
    faults: list[Fault], numbers: dict[str, list[int]], seed: int, jobs: int, minutes: float, sabotage: list[str]
) -> list[Row]:
    """The rows of all faults. Each job has a nursery and a lab of its own, and takes pieces of the work, in an order by
    which all faults have had their share whenever time is up."""
    seen = Progress(sum(map(len, numbers.values())))
    pieces = [
        (begin / len(numbers[fault.name]), fault, numbers[fault.name][begin : begin + PIECE])
        for fault in faults
        for begin in range(0, len(numbers[fault.name]), PIECE)
    ]
    pieces.sort(key=lambda piece: piece[0])
    end = time.monotonic() + 60 * minutes
    rows, lock = {fault.name: Row(fault) for fault in faults}, Lock()

    def work(job: int) -> None:
        folder = quick_folder()
        nursery = machine(folder)
        try:
            own: Reference = reference(nursery, folder)
            nursery.sabotage = [[name] for name in sabotage]
            while True:
                with lock:
                    if not pieces or time.monotonic() > end:
                        return
                    _, fault, some = pieces.pop(0)
                row = run(fault, own, seed, some, seen)
                with lock:
                    rows[fault.name].merge(row)
        finally:
            nursery.close()
            shutil.rmtree(folder)

    with ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(work, job) for job in range(jobs)]:
            done.result()
    return list(rows.values())


def table(rows: list[Row]) -> str:
    lines = ["| fault | injected | promised | observed | steps lost (allowed) | wrong |", "|---|---|---|---|---|---|"]
    for row in rows:
        observed = ", ".join(f"{count} x {what}" for what, count in row.observed.most_common())
        lines.append(
            f"| {row.fault.name} | {row.injected} | {row.fault.promise} | {row.skipped or observed} | "
            f"{row.lost} ({row.fault.limit}) | {len(row.wrong)} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few trials of each")
    parser.add_argument("--json", action="store_true", help="one object on stdout instead of a table")
    parser.add_argument("--only", nargs="+", choices=[fault.name for fault in FAULTS], metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="this one trial of each fault")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the usual number of trials")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no trial later than that")
    parser.add_argument("--sabotage", nargs="+", default=[], help="what of groundup is broken (see sabotage.py)")
    given = parser.parse_args()
    faults = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    numbers = {
        fault.name: [given.number]
        if given.number is not None
        else list(range(fault.quick if given.quick else max(1, round(fault.trials * given.scale))))
        for fault in faults
    }
    start = time.monotonic()
    jobs = min(given.jobs, sum(map(len, numbers.values())))
    rows = tried(faults, numbers, given.seed, jobs, given.minutes, given.sabotage)
    wrong = sum(len(row.wrong) for row in rows)
    left_out = sum(map(len, numbers.values())) - sum(row.trials for row in rows if not row.skipped)
    left_out -= sum(len(numbers[row.fault.name]) for row in rows if row.skipped)
    again = f"python bench/faults.py --seed {given.seed}"
    for row in rows:
        for number, what in row.wrong:
            command = shlex.join([*again.split(), "--only", row.fault.name, "--number", str(number)])
            print(f"WRONG: {row.fault.name}: {what}\n  again: {command}", file=sys.stderr)
    facts = {
        "injected": sum(row.injected for row in rows),
        "wrong_outcomes": wrong,
        "max_steps_lost": max(row.lost for row in rows),
        "trials_left_out": left_out,
        "seed": given.seed,
        "seconds": round(time.monotonic() - start, 1),
        "rows": [row.to_json() for row in rows],
    }
    if given.json:
        print(json.dumps(facts))
    else:
        print(table(rows))
        if left_out:
            print(f"\n{left_out} trials were not made: time was up")
        print(
            f"\n{facts['injected']:,} faults injected, {wrong} wrong outcomes, at most {facts['max_steps_lost']} steps "
            f"lost; {facts['seconds']} s"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
