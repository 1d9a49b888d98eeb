"""Promises of the report: one self-contained page, of whatever is there, that no text in it can break."""

import functools
import html
import html.parser
import http.server
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.report import units
from groundup.report.diff import COMPARED, differences
from groundup.report.flow import LINE, THINNEST, WIDTH, Band, Origin, Stage, flow
from groundup.report.plot import Steps, histogram, thin
from groundup.science.run_report import write

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)> \u202e $\\frac$ \ud800 \x00'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that every element is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def jsonl(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def split(documents: int, bpb: float | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"documents": documents, "bytes": documents * 836, "characters": documents * 830}
    return part | ({"entropy_bpb": bpb} if bpb else {})


def make_run(folder: pathlib.Path, steps: int = 5000, every: int = 10, floor: bool = True) -> pathlib.Path:
    """A finished run over two sources, with every file that a run directory can hold."""
    run = folder / "first-20260101-120000"
    (run / "evaluations").mkdir(parents=True)
    (run / "recipe.yaml").write_text(
        "name: first\nseed: 1\ndata:\n  mix: {stories: 3, facts: 1}\ntrain:\n  steps: 5000\n"
        "sample:\n  prompts:\n  - 'Once upon a time'\n  - <script>alert(2)</script>\n"
    )
    before = [{"name": "before", "sha256": "f" * 64}]
    chain = [
        {"stage": stage, "id": f"{stage}-ab12cd34", "sha256": f"{i}" * 64, "path": f"/lab/{stage}", "inputs": before}
        for i, stage in enumerate(["corpus", "tokenizer", "shards", "run"])
    ]
    lineage = {
        "run": run.name, "created": "2026-01-01T12:00:00+00:00", "seed": 1, "recipe_sha256": "9" * 64,
        "groundup": "0.1.0",
        "git": {"commit": "c0ffee" + "0" * 34, "dirty": True}, "python": "3.11.9", "platform": "Linux-6.1-x86_64",
        "versions": {"torch": "2.13.0", "numpy": "2.3.1"},
        "device": {"type": "cpu", "name": "Intel Xeon @ 2.60GHz", "threads": 2, "precision": "fp32"},
        "model": {"parameters": 2412544, "rule_of_thumb": 2400000, "vocab_size": 2048, "family": "modern"},
        "chain": chain,
    }  # fmt: skip
    (run / "lineage.json").write_text(json.dumps(lineage))
    counts, shards = {}, {}
    for name, size, bpb in (("stories", 10267, 0.712), ("facts", 4321, 0.954)):
        splits = {"train": split(size - 213), "valid": split(100, bpb if floor else None), "test": split(100)}
        read = {"documents": size, "bytes": size * 836}
        counts[name] = {"license": "CC0-1.0", "read": read, "bad_utf8": 0, "empty": 1, "duplicates": 12, **splits}
        shards[name] = {part: {**splits[part], "tokens": splits[part]["bytes"] // 4} for part in splits}
    (run / "corpus.json").write_text(json.dumps({"id": "corpus-ab12cd34", "seconds": 3.1, "counts": counts}))
    (run / "shards.json").write_text(json.dumps({"id": "shards-ab12cd34", "counts": shards}))
    rows: list[dict[str, Any]] = []
    for step in range(every, steps + 1, every):
        wave, done = math.sin(step * 12.9898) * 0.08, step / steps
        fall = 5.6 * math.exp(-((done * 14) ** 0.6))
        rate = 1e-3 * min(1, step / 200) * (0.55 + 0.45 * math.cos(math.pi * done))
        row = {"kind": "train", "step": step, "loss": 2.0 + fall + wave, "lr": rate, "grad_norm": 0.5 + fall + wave}
        rows.append({**row, "tokens_per_s": 12345 + 400 * wave, "tokens": step * 8192, "seconds": step * 0.66})
        if step % max(250, every) == 0 and len(rows) < 2000:
            for source, base, size in (("stories", 0.712, 83600), ("facts", 0.954, 83600), ("all", 0.833, 167200)):
                row = {"kind": "valid", "step": step, "source": source, "loss": 2.02 + fall, "ppl": 7.5 + 9 * fall}
                row |= {"bpb": base * (1.18 + 0.35 * fall), "tokens": size // 4, "bytes": size, "seconds": 1}
                rows.append(row)
    jsonl(run / "metrics.jsonl", rows)
    tale = (
        " there was a little fox who lived by the river. Every morning she counted the boats.\n\nOne day, none came. "
    )
    shared = {"seed": 0, "temperature": 0.8, "top_k": 40, "top_p": 0.95}
    texts = [
        {"step": step, "prompt": prompt, "text": prompt + tale * 2 + str(step), **shared}
        for step in range(500, 5001, 500) for prompt in ("Once upon a time", HOSTILE)
    ]  # fmt: skip
    jsonl(run / "samples.jsonl", texts)
    events = [{"time": "2026-01-01T12:00:00+00:00", "event": "started", "step": 0}]
    events += [
        {"time": "2026-01-01T12:30:00+00:00", "event": "checkpoint", "step": s, "bpb": 1.1}
        for s in range(500, 5001, 500)
    ]
    jsonl(run / "events.jsonl", [*events, {"time": "2026-01-01T13:00:00+00:00", "event": "finished", "step": 5000}])
    parts = (("stories", 0.861, 83600), ("facts", 1.153, 83600), ("all", 1.007, 167200))
    scale = {"loss": 2.117, "ppl": 8.31}
    scores = [
        {"split": name, "source": source, "bpb": bpb, "bytes": size, "documents": 9, "tokens": 41800, **scale}
        for name in ("valid", "test") for source, bpb, size in parts
    ]  # fmt: skip
    (run / "evaluations" / "final.json").write_text(
        json.dumps({"checkpoint": "step-00005000", "step": 5000, "scores": scores})
    )
    return run


def render(run: pathlib.Path) -> tuple[str, Page]:
    path = write(run)
    assert path == run / "report.html"
    assert sorted(p.name for p in run.iterdir() if "report" in p.name) == ["report.html"]
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


def test_the_page_has_no_script_and_no_external_reference(tmp_path: pathlib.Path) -> None:
    source, page = render(make_run(tmp_path))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in source
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith("#"), (name, value)
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value))
    styles = "".join(re.findall(r"<style>(.*?)</style>", source, re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles


def test_hostile_text_is_shown_and_never_run(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)
    lineage = json.loads((run / "lineage.json").read_text())
    lineage["run"] = lineage["device"]["name"] = lineage["chain"][0]["sha256"] = HOSTILE
    (run / "lineage.json").write_text(json.dumps(lineage))
    valid = {"kind": "valid", "step": 5000, "source": HOSTILE, "loss": 1, "bpb": 1.0, "bytes": 1}
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + json.dumps(valid) + "\n")
    corpus = json.loads((run / "corpus.json").read_text())
    corpus["counts"][HOSTILE] = corpus["counts"]["stories"]
    (run / "corpus.json").write_text(json.dumps(corpus))
    source, page = render(run)
    assert "<script" not in source
    assert "<img" not in source
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in source  # in the recipe
    assert '<script>alert("x")</script>' in page.text  # in a sample


def test_the_numbers_of_the_files_are_on_the_page(tmp_path: pathlib.Path) -> None:
    _, page = render(make_run(tmp_path))
    for expected in (
        "first-20260101-120000", "finished at step 5,000 of 5,000 steps planned", "2,412,544", "2,048 tokens",
        "40,960,000 tokens", "55 min 00 s", "Intel Xeon @ 2.60GHz", "2 threads", "fp32", "10,267 documents, 8.58 MB",
        "12 documents", "1 document", "CC0-1.0", "step-00005000", "0.861 1.209 × 2.117 8.31 41,800 83.6 kB 9",
        "c0ffee000000", "with uncommitted changes", "torch 2.13.0", "0.833 bits per byte", "75.0 %", "14.62 passes",
        "4.00 bytes", "temperature 0.8 · top-k 40 · top-p 0.95 · seed 0", "cannot be compared across tokenizers",
    ):  # fmt: skip
        assert expected in page.text, expected
    assert ("title", "f" * 64) in page.attributes  # the whole of a shortened hash


def test_shares_and_planned_epochs_are_those_of_the_lineage(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)  # its recipe's mix is 3 to 1
    assert "epochs planned" not in render(run)[1].text, "runs from before they were recorded"
    lineage = json.loads((run / "lineage.json").read_text())
    lineage |= {"mix": {"stories": 0.625, "facts": 0.375}, "epochs": {"stories": 1.5, "facts": 4.25}}
    (run / "lineage.json").write_text(json.dumps(lineage))
    text = render(run)[1].text
    assert "share of the tokens 62.5 % 37.5 %" in text
    assert "epochs planned 1.50 passes 4.25 passes" in text


def test_the_best_validation_is_the_lowest_of_the_whole_text(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)
    rows = [
        {"kind": "valid", "step": s, "source": "all", "bpb": b, "bytes": 9}
        for s, b in ((250, 1.5), (500, 1.25), (750, 1.75))
    ]
    jsonl(run / "metrics.jsonl", rows)
    assert "1.250 bits per byte the lowest while training, at step 500" in render(run)[1].text


def test_rows_that_a_resumed_run_writes_again_count_once(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)
    steps = [(250, 1.5), (500, 1.25), (750, 1.0), (500, 1.3), (600, 1.2)]
    jsonl(
        run / "metrics.jsonl", [{"kind": "valid", "step": s, "source": "all", "bpb": b, "bytes": 9} for s, b in steps]
    )
    assert "1.200 bits per byte the lowest while training, at step 600" in render(run)[1].text


def test_the_known_entropy_is_a_dashed_and_named_line(tmp_path: pathlib.Path) -> None:
    source, page = render(make_run(tmp_path / "with"))
    svg = next(s for s in re.findall(r"<svg.*?</svg>", source, re.DOTALL) if "Validation in bits per byte" in s)
    assert svg.count("stroke-dasharray") == 3
    for name in ("all: 0.833", "stories: 0.712", "facts: 0.954"):
        assert f">known entropy, {name}</text>" in svg
    assert "Against the known entropy" in page.text
    source, page = render(make_run(tmp_path / "without", floor=False))
    assert "stroke-dasharray" not in source
    assert "known entropy" not in page.text


def test_the_prompt_is_set_apart_and_the_newest_sample_comes_first(tmp_path: pathlib.Path) -> None:
    source, _ = render(make_run(tmp_path))
    assert "<b>Once upon a time</b> there was a little fox" in source
    samples = source[source.index("Samples</h2>") :]
    assert re.findall(r"<h4>step ([\d,]+)", samples)[:3] == ["5,000", "4,500", "4,000"]
    assert samples.index("5,000") < samples.index("9 older") < samples.index("4,500")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("started", "running"),
        ("resumed", "running"),
        ("interrupted", "interrupted at step 730"),
        ("diverged", "diverged at step 730"),
        ("finished", "finished"),
    ],
)
def test_the_state_is_that_of_the_last_event(tmp_path: pathlib.Path, event: str, expected: str) -> None:
    run = make_run(tmp_path)
    jsonl(run / "events.jsonl", [{"event": "started", "step": 0}, {"event": event, "step": 730}])
    assert re.search(rf"<strong>{expected}", render(run)[0])


def test_a_run_that_was_just_started_or_lost_its_files_still_has_a_page(tmp_path: pathlib.Path) -> None:
    (tmp_path / "young").mkdir()
    _, page = render(tmp_path / "young")
    for missing in (
        "metrics.jsonl is absent",
        "lineage.json is absent",
        "No samples yet",
        "No evaluation yet",
        "not started",
    ):
        assert missing in page.text, missing
    full = make_run(tmp_path)
    for victim in sorted(path.name for path in full.glob("*.*") if path.name != "report.html"):
        (full / victim).unlink()
        assert f"{victim} is absent" in render(full)[1].text


JUNK = ["", "{", "null", "[]", '"x"', "\x00\xff", "[" * 100_000, '{"a": ' * 100_000, "x: &a [*a]", "1" * 5000]


@pytest.mark.parametrize("junk", [*JUNK, "!!python/object:os.system x"], ids=lambda junk: junk[:9])
def test_damaged_files_are_said_to_be_damaged(tmp_path: pathlib.Path, junk: str) -> None:
    run = make_run(tmp_path)
    for path in [*run.glob("*.*"), *run.glob("evaluations/*")]:
        path.write_text(junk)
    text = render(run)[1].text
    for name in ("lineage.json", "corpus.json", "evaluations/final.json"):
        assert f"{name} {'could not be understood' if junk else 'is empty'}" in text


ODD: list[Any] = [None, "x", True, [], {}, -1, 0, 1e308, 10**400, math.nan, math.inf, -math.inf]
# Together: every key of every file, in groups that leave the rest of the page to be drawn.
KEYS = ["step device chain counts", "bpb tokens git train stories scores", "source event text seconds kind documents"]
KEYS += ["loss bytes lr entropy_bpb model prompt sha256 inputs grad_norm", "read license versions created checkpoint"]


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:9])
def test_odd_values_in_whole_files_never_end_in_a_traceback(tmp_path: pathlib.Path, value: Any) -> None:
    run = make_run(tmp_path, steps=1000, every=50)

    def spoil(node: Any, key: str) -> Any:
        if isinstance(node, dict):
            return {k: value if k == key else spoil(v, key) for k, v in node.items()}
        return [spoil(item, key) for item in node] if isinstance(node, list) else node

    paths = [*run.glob("*.json*"), *run.glob("evaluations/*")]
    before = {path: [json.loads(line) for line in path.read_text().splitlines()] for path in paths}
    for keys in KEYS:
        for path, rows in before.items():
            for key in keys.split():
                rows = [spoil(row, key) for row in rows]
            jsonl(path, rows)
        render(run)


def test_a_half_written_last_line_is_ignored_and_a_damaged_one_is_counted(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)
    whole = render(run)[0]
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(text + '{"kind": "train", "step": 5010, "lo')
    assert render(run)[0] == whole
    (run / "metrics.jsonl").write_text('{"kind": "tr\n' + text)
    assert "metrics.jsonl: 1 damaged line was left out" in render(run)[1].text


def test_the_same_files_give_the_same_bytes(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path)
    first = write(run).read_bytes()
    assert write(run).read_bytes() == first


def test_ids_are_unique_and_every_reference_has_its_target(tmp_path: pathlib.Path) -> None:
    source, page = render(make_run(tmp_path))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', source)) <= set(ids)


def test_a_very_long_run_stays_small_and_says_how_it_was_thinned(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path, steps=200_000, every=1)
    spike = (run / "metrics.jsonl").read_text().replace('"grad_norm": ', '"grad_norm": 777', 1)
    (run / "metrics.jsonl").write_text(spike)
    source, page = render(run)
    assert len(source.encode()) < 1_500_000
    assert "lowest and its highest value" in page.text
    longest = max(value.count(" L ") for name, value in page.attributes if name == "d")
    assert 500 < longest < 1000


def test_thinning_keeps_both_ends_and_every_spike() -> None:
    x, y = np.arange(200_000.0), np.zeros(200_000)
    y[[77_777, 123_456]] = 9, -9
    kept_x, kept_y = thin(x, y)
    assert len(kept_x) <= 1000
    assert (kept_x[0], kept_x[-1], kept_y.max(), kept_y.min()) == (0, 199_999, 9, -9)
    assert (np.diff(kept_x) > 0).all()


texts = st.lists(st.sampled_from(["a", "b", "c", "dog,", "dog"]), max_size=60).map(" ".join)


@given(texts, texts)
def test_a_difference_holds_both_texts_whole(before: str, after: str) -> None:
    pieces = differences(before, after, around=1000)
    assert not [piece for piece in pieces if piece.mark == "gap"]
    assert " ".join(piece.text for piece in pieces if piece.mark != "new") == before
    assert " ".join(piece.text for piece in pieces if piece.mark != "gone") == after


@given(texts, texts, st.integers(0, 10), st.integers(0, 5))
def test_a_shortened_difference_says_how_many_words_it_leaves_out(
    before: str, after: str, compared: int, around: int
) -> None:
    pieces = differences(before, after, compared, around)
    gaps = [piece.text for piece in pieces if piece.mark == "gap"]
    equal = sum(int(count) for gap in gaps for count in re.findall(r"(\d+) equal", gap))
    cut = [tuple(map(int, pair)) for gap in gaps for pair in re.findall(r"(\d+) and (\d+) words", gap)] or [(0, 0)]
    shown = {mark: sum(len(p.text.split()) for p in pieces if p.mark == mark) for mark in ("", "gone", "new")}
    assert shown[""] + shown["gone"] + equal + cut[0][0] == len(before.split())
    assert shown[""] + shown["new"] + equal + cut[0][1] == len(after.split())


def test_a_difference_of_long_texts_takes_bounded_time_and_room() -> None:
    rng = np.random.default_rng(1)
    for words in (["a"], ["a", "b"], [f"w{i}" for i in range(50)], ["x" * 10_000]):
        before, after = (" ".join(rng.choice(words, 20_000)) for _ in range(2))
        start = time.perf_counter()
        pieces = differences("start " + before, "begin " + after + " end")
        assert time.perf_counter() - start < 5
        assert sum(len(piece.text) for piece in pieces) < 4 * COMPARED * 125


amounts = st.lists(st.sampled_from([0.0, 1e-9, 1.0, 2.5, 40.0, 1e3, 1e6, 1e12]), min_size=3, max_size=3)
bands = st.lists(amounts.map(lambda values: Band("band", "some of it", values)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.lists(bands, min_size=1, max_size=6), bands)
def test_a_flow_loses_nothing_and_its_bands_and_labels_can_be_seen(
    leaving: list[list[Band]], arriving: list[Band]
) -> None:
    stages = [Stage(f"stage {number}", "", group) for number, group in enumerate(leaving)]
    origins = [Origin(name, "12 documents") for name in ("first", "second", "third")]
    everything = [*arriving, *(band for group in leaving for band in group)]
    if not sum(sum(band.amounts) for band in everything):
        with pytest.raises(ValueError, match="amount above 0"):
            flow("f", "title", "description", origins, stages, arriving, str)
        return
    svg = flow("f", "title", "description", origins, stages, arriving, str)
    width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0])
    assert width == WIDTH
    bars = [(float(y), float(h)) for y, h in re.findall(r'<rect[^>]* y="(\S+)"[^>]* height="(\S+)"', svg)]
    assert all(h >= THINNEST - 0.1 and y + h <= height for y, h in bars)
    for side in ("start", "end"):
        lines = [float(y) for y in re.findall(rf'y="(\S+)" class="name {side}"', svg)]
        assert (np.diff(lines) >= 2 * LINE - 0.2).all()


def test_a_flow_escapes_names_and_gives_every_band_its_words() -> None:
    origins = [Origin(HOSTILE), Origin("b")]
    svg = flow(
        "f", HOSTILE, HOSTILE, origins, [Stage(HOSTILE, "", [Band(HOSTILE, "", [1, 3])])], [Band("c", "", [5, 0])], str
    )
    assert "<script" not in svg
    assert "<img" not in svg
    assert "<title>b → &lt;script" in svg
    assert "<title>b: 3</title>" in svg  # all that it sends out


def test_a_band_is_as_thick_as_its_amount() -> None:
    arriving = [Band("train", "", [70.0]), Band("valid", "", [20.0])]
    svg = flow("f", "t", "d", [Origin("a")], [Stage("s", "", [Band("gone", "", [10.0])])], arriving, str)
    heights = [float(height) for height in re.findall(r'<rect x="812.0"[^>]*height="([^"]+)"', svg)]
    assert heights == pytest.approx([175, 50, 25], abs=0.1)


def test_a_histogram_draws_what_is_there_and_nothing_where_it_makes_no_sense() -> None:
    def draw(edges: list[float], *counts: list[float], mark: tuple[str, float] | None = None) -> str:
        layers = [Steps(f"layer {i}", one, i, filled=not i) for i, one in enumerate(counts)]
        return "".join(plot.svg for plot in histogram("h", "Lengths", "documents", "", edges, layers, "words", mark))

    svg = draw([1, 2, 4, 8, 16, 32768], [0, 3, 9, 1, 0], [0, 2, 9, 0, 0])
    assert [html.unescape(word) for word in re.findall(r">([^<>]+)</text>", svg)][:4] == [
        "2",
        "4",
        "8",
        "16",
    ]  # no empty ends
    assert 'aria-label="Lengths, documents by words: layer 0, layer 1"' in svg
    assert "stroke-dasharray" in draw([0, 0.5, 1], [0, 3], mark=("threshold", 0.25))
    senseless: list[tuple[list[float], list[float]]] = [
        ([], []), ([1], []), ([1, 2], []), ([1, 2], [0]), ([2, 1], [3]), ([1, math.nan], [3]), ([1, 2], [math.inf]),
        ([1, 2, 3], [1]),
    ]  # fmt: skip
    for edges, counts in senseless:
        assert draw(edges, counts) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0 %"), (1e-7, "under 0.001 %"), (0.00012, "0.012 %"), (0.0042, "0.42 %"), (0.1234, "12.3 %"), (1, "100 %"),
     (0.99999, "over 99.9 %"), (1.5, "150.0 %"), (-0.02, "-2.0 %"), (math.nan, "–")],
)  # fmt: skip
def test_a_share_is_only_nothing_or_all_when_it_is(value: float, expected: str) -> None:
    assert units.share(value) == expected


def test_a_directory_that_is_no_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(GroundupError) as refusal:
        write(tmp_path / "nothing")
    assert refusal.value.code == "no-such-run"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_the_page_and_asks_for_nothing(tmp_path: pathlib.Path) -> None:
    run = write(make_run(tmp_path)).parent
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(run)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log, picture = tmp_path / "net.json", tmp_path / "page.png"
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking hide-scrollbars"
    command = ["chromium", *(f"--{word}" for word in quiet.split()), "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1100,3000", f"--screenshot={picture}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--log-net-log={log}"]
    command.append(f"http://127.0.0.1:{server.server_port}/report.html")
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, env=os.environ | {"HOME": str(tmp_path)})
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert set(asked) - {"/favicon.ico"} == {"/report.html"}
    hosts = set(re.findall(r'"url":"https?://([^"/:]+)', log.read_text(errors="replace")))
    own = ("google.com", "googleapis.com", "gstatic.com")  # the browser's own calls, which reach nothing here
    assert {host for host in hosts if not host.endswith(own)} == {"127.0.0.1"}
    with PIL.Image.open(picture) as image:
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x1F, 0x5F, 0xA8), (0xC2, 0x57, 0x1A)} <= colors  # the curves have the colours of the style sheet
