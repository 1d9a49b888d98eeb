"""Who looks at a run while it is written sees whole rows, each once and in order, and is in nobody's way."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.science import run_record
from groundup.store.files import append_lines, read_lines
from groundup.store.follow import Follower
from groundup.store.runs import Run

# Rows of one byte to 200 KB: more than any buffer. Every now and then the run goes back by some steps, as one does that
# was killed between two checkpoints, and each row says in which life of the run it was written.
WRITE = """
import random, sys
from pathlib import Path
from groundup.store.runs import Run
run, chance, last = Run(Path(sys.argv[1])), random.Random(int(sys.argv[2])), int(sys.argv[3])
step = life = 0
for _ in range(last):
    many = chance.choice([1, 1, 2, 5])
    rows = [{"kind": "train", "step": step + 1 + number, "life": life, "prompt": "The",
             "text": "\\u00e9" * chance.choice([1, 100, 9000, 100000])} for number in range(many)]
    run.log_metrics(*rows)
    run.log_samples(*rows)
    run.log_event("checkpoint", step=step)
    step += many
    if chance.random() < 0.1:
        step = chance.randrange(step)
        life += 1
        run.rewind(step)
run.log_event("finished", step=step)
"""


@contextmanager
def writing(path: Path, seed: int, turns: int = 60) -> Iterator[subprocess.Popen[bytes]]:
    path.mkdir(exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(seed), str(turns)]) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def assert_one_history(rows: list[dict[str, Any]]) -> None:
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    lives = [row["life"] for row in rows]
    assert lives == sorted(lives)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_sees_whole_rows_of_one_history_while_others_are_written_and_the_file_is_replaced(
    tmp_path: Path, seed: int
) -> None:
    run = Run(tmp_path / "run")
    with writing(run.path, seed) as writer:
        looks = 0
        while writer.poll() is None or looks == 0:
            assert_one_history(list(run.metrics()))
            assert_one_history(list(run.samples()))
            assert all(event["event"] in ("checkpoint", "finished") for event in run.events())
            record = run_record.read(run.path)
            assert not any("damaged" in note for note in record.notes)
            looks += 1
        assert writer.returncode == 0 and run.finished()


@pytest.mark.parametrize("seed", [3, 4])
def test_a_follower_has_the_file_s_own_rows_in_the_end_whatever_was_replaced_meanwhile(
    tmp_path: Path, seed: int
) -> None:
    run = Run(tmp_path / "run")
    with writing(run.path, seed) as writer:
        follower, rows = Follower(run.path / "metrics.jsonl"), list[dict[str, Any]]()
        over = False
        while True:
            new, anew = follower.look()
            rows = new if anew else [*rows, *new]
            assert_one_history(rows)
            if over and not new and not anew:
                break
            over = writer.poll() is not None  # and look once more: what came last has to be read, too
        assert writer.returncode == 0
        follower.close()
    assert rows == list(run.metrics()) and rows


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_follower_gives_each_row_once_however_the_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], seed: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    rows = [{"event": "naïve 😀\u2028", "number": number} for number in range(seed % 5)]
    raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    follower, got = Follower(path), list[dict[str, Any]]()
    places = sorted({min(cut * len(raw) // 40, len(raw)) for cut in cuts} | {0, len(raw)})
    for start, end in itertools.pairwise(places):
        with path.open("ab") as file:
            file.write(raw[start:end])
        new, anew = follower.look()
        assert not anew
        got += new
    assert got == rows
    follower.close()


def test_a_follower_waits_for_a_file_and_begins_anew_with_another_or_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = Follower(path)
    assert follower.look() == ([], False)
    append_lines(path, [{"step": 1}, {"step": 2}])
    assert follower.look() == ([{"step": 1}, {"step": 2}], False)
    os.truncate(path, 12)
    assert follower.look() == ([{"step": 1}], True)
    path.unlink()
    assert follower.look() == ([], False)
    append_lines(path, [{"step": 7}])
    assert follower.look() == ([{"step": 7}], True)
    follower.close()


def test_what_a_killed_writer_left_is_cut_off_however_long_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_lines(path, [{"step": 1}])
    with path.open("ab") as file:
        file.write(b'{"half": "' + b"x" * 300_000)
    assert [row["step"] for row in read_lines(path)] == [1]
    append_lines(path, [{"step": 2}])
    assert [row["step"] for row in read_lines(path)] == [1, 2]
    path.write_bytes(b"x" * 200_000)  # no whole line at all
    append_lines(path, [{"step": 3}])
    assert [row["step"] for row in read_lines(path)] == [3]


def test_a_line_without_an_end_is_damage_and_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundup.store import files, follow

    for module in (files, follow):
        monkeypatch.setattr(module, "LARGEST_LINE", 1000)
    monkeypatch.setattr(follow, "MOST", 4000)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"text": "' + b"x" * 5000)
    for action in (lambda: list(read_lines(path)), Follower(path).look):
        with pytest.raises(GroundupError) as caught:
            action()
        assert caught.value.code == "run-damaged"
