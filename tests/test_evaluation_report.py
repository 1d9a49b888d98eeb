"""The report shows every score with its interval, chance and what others got, and texts with what they copied."""

import json
import math
import pathlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report import HOSTILE, ODD, Page, jsonl, make_run, render

from groundup.report.dots import Dot, Line, Mark, picture
from groundup.report.plot import WIDTH
from groundup.science.evaluation_report import anchors

RATES = {"level": "all", "name": "all", "accuracy": 0.7, "se": 0.02, "n": 500, "chance": 0.5, "ties": 0}


def task(name: str, step: int, accuracy: float, **more: Any) -> dict[str, Any]:
    results = [RATES | {"accuracy": accuracy}]
    results += [
        RATES | {"level": "phenomenon", "name": part, "accuracy": accuracy + shift, "n": 50}
        for part, shift in (("anaphor_agreement", 0.1), ("island_effects", -0.25), (HOSTILE, 0.0))
    ]
    about = {"name": name, "version": 1, "sha256": "e" * 64, "kind": "choice"}
    checkpoint = f"step-{step:08}"
    facts = {"checkpoint": checkpoint, "step": step, "task": about, "results": results}
    return facts | {"baselines": {"constant": 0.5, "random": 0.51, "shortest": 0.55, "trigram": 0.6}} | more


def keep(run: pathlib.Path, name: str, record: dict[str, Any]) -> None:
    (run / "evaluations" / f"{record['checkpoint']}.{name}.json").write_text(json.dumps(record))


def figure(value: float | None, half: float | None = 0.01) -> dict[str, Any]:
    return {"value": value, "standard_error": half, "half_width": half, "n": 60, "units": 20}


def written(step: int = 5000) -> dict[str, Any]:
    statistics = [
        {
            "name": "repeated_4",
            "label": "repeated 4-grams",
            "unit": "share",
            "about": "said before",
            "meaning": "is more",
        },
        {"name": "sentence", "label": "sentence length", "unit": "words", "about": "words", "meaning": ""},
    ]
    for row, model, human in zip(
        statistics, (figure(0.123), figure(8.2)), (figure(0.04), figure(9.5, None)), strict=True
    ):
        row |= {"model": model, "human": human}
    copy = {"id": "p1", "tokens": 31, "words": 24, "text": "the copied words", "source": "stories", "before": "B "}
    copy |= {"document": "00ff00ff00ff00ff", "token": 17, "behind": " <b>A</b>"}
    facts = {"checkpoint": f"step-{step:08}", "step": step, "task": {"name": "generation", "version": 1}}
    facts |= {"statistics": statistics, "copies": [copy], "longest_copy": {"model": 31, "human": 12}, "texts": 60}
    return facts | {
        "human_texts": 58,
        "settings": {"temperature": 0.8, "seed": 3},
        "training_tokens": 12345,
        "marked_tokens": 10,
        "notes": [],
    }


def text(name: str, words: str, copied: Any, longest: int) -> dict[str, Any]:
    prompt = "Once upon"
    facts = {"id": name, "prompt": prompt, "text": prompt + words, "seed": 1, "finished": True, "loop": None}
    return facts | {"longest_copy": longest, "copied": copied}


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    found = make_run(tmp_path, steps=1000, every=50)
    for step, accuracy in ((1000, 0.55), (5000, 0.72)):
        keep(found, "task-blimp", task("blimp", step, accuracy))
        keep(found, "generation", written(step))
    keep(found, "task-mine", task("mine", 5000, 0.61))
    wikitext = {"task": {"name": "wikitext"}, "results": [{"word_perplexity": 41.25, "bits_per_byte": 0.9876}]}
    keep(found, "task-wikitext", {"checkpoint": "step-00005000", "step": 5000, **wikitext})
    texts = [text("p1", " a time the copied words stood there", [[16, 32], [20, 40]], 31), text("p2", "", [], 0)]
    jsonl(found / "evaluations" / "step-00005000.generation.jsonl", texts)
    return found


def pictures(source: str) -> dict[str, str]:
    return {svg.split('aria-label="')[1].split(":")[0]: svg for svg in re.findall(r"<svg.*?</svg>", source, re.DOTALL)}


def test_scores_are_drawn_with_interval_chance_simple_scorers_and_others(run: pathlib.Path) -> None:
    source, page = render(run)
    svg = pictures(source)["Scores"]
    assert "blimp (n = 500), step-00005000: 72.0 %, 95 % interval 68.1 % to 75.9 %" in svg
    for mark in ("chance: 50.0 %", "trigram: 60.0 %", "shortest: 55.0 %", "5-gram: 61.2 %", "people: 88.6 %"):
        assert f"<title>{mark}</title>" in svg, mark
    assert "random" not in svg, "it is chance"
    assert svg.count("stroke-dasharray") == 2  # chance, once for each task
    for one in anchors()["blimp"]:
        assert one["conditions"] in page.text and one["source"] in page.text


def test_a_task_is_shown_by_phenomenon_best_first_and_its_names_are_escaped(run: pathlib.Path) -> None:
    source, _ = render(run)
    svg = pictures(source)["blimp by phenomenon"]
    assert svg.index("anaphor agreement") < svg.index("island effects")
    assert "<script" not in source and "island effects, accuracy: 47.0 %" in svg


def test_scores_of_several_checkpoints_are_a_line_over_the_steps(run: pathlib.Path) -> None:
    source, _ = render(run)
    assert any("Course of the scores" in name and "blimp" in svg for name, svg in pictures(source).items())
    for path in (run / "evaluations").glob("step-00001000.*"):
        path.unlink()
    assert "Course of the scores" not in render(run)[0], "one checkpoint has no course"


def test_what_is_another_task_under_the_same_name_is_not_in_its_course(run: pathlib.Path) -> None:
    for path in (run / "evaluations").glob("step-00001000.*"):
        path.unlink()
    other = {"name": "blimp", "version": 1, "sha256": "f" * 64, "kind": "choice"}
    keep(run, "task-blimp", task("blimp", 1000, 0.2) | {"task": other})
    keep(run, "generation", written(1000) | {"settings": {"temperature": 0.1}})
    assert "Course of the scores" not in render(run)[0] and "Course of the texts" not in render(run)[0]


def test_wikitext_stands_beside_what_others_got(run: pathlib.Path) -> None:
    text = render(run)[1].text
    assert "step-00005000 41.25 0.9876" in text
    assert "37.37" in text and "not trained on WikiText" in text


def test_bits_per_byte_of_splits_and_texts_have_their_interval(run: pathlib.Path) -> None:
    row = {"source": "letters", "loss": 2.0, "ppl": 7.4, "bpb": 1.234, "bpb_se": 0.01, "tokens": 10, "bytes": 40}
    record = {"checkpoint": "step-00005000", "step": 5000, "text": "letters.txt", "results": [row]}
    keep(run, "text-letters", record | {"settings": {"windows": "sliding, 8 tokens of context", "stride": 8}})
    assert "letters.txt, stride 8 letters 1.234 ± 0.020" in render(run)[1].text


def test_statistics_of_texts_stand_beside_human_text(run: pathlib.Path) -> None:
    source, page = render(run)
    assert "repeated 4-grams 12.3 % ± 1.0 4.0 % ± 1.0 is more said before" in page.text
    assert "sentence length 8.20 ± 0.01 9.50" in page.text
    svg = pictures(source)["Beside human text"]
    assert "human: 4.0 %" in svg and "sentence length" not in svg, "only shares have a common axis"
    assert "Course of the texts" in source


def test_copied_spans_are_marked_and_their_document_is_named(run: pathlib.Path) -> None:
    source, page = render(run)
    assert "<b>Once upon</b> a time<mark> the copied word</mark><mark>s stood </mark>there" in source
    assert "2 of 2 texts, most copied first; spans of 10 tokens or more of training are marked" in page.text
    assert "31 tokens, 24 words the copied words stories, document 00ff00ff00ff00ff, token 17" in page.text
    assert ("title", "…B [the copied words] <b>A</b>…") in page.attributes
    assert "12,345 tokens of training text has 31 tokens, that of human text 12 tokens" in page.text


def test_a_run_without_evaluations_of_a_kind_says_nothing_of_it(tmp_path: pathlib.Path) -> None:
    source, page = render(make_run(tmp_path))
    for absent in ("Generated texts", "Scores", "WikiText", "by phenomenon", "<mark>"):
        assert absent not in source
    assert "1.153" in page.text  # the bits per byte are there


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:9])
def test_odd_values_in_evaluations_never_end_in_a_traceback(run: pathlib.Path, value: Any) -> None:
    def spoil(node: Any, keys: str) -> Any:
        if isinstance(node, dict):
            return {key: value if key in keys.split() else spoil(one, keys) for key, one in node.items()}
        return [spoil(item, keys) for item in node] if isinstance(node, list) else node

    paths = [*run.glob("evaluations/step-*.json"), *run.glob("evaluations/*.jsonl")]
    before = {path: [json.loads(line) for line in path.read_text().splitlines()] for path in paths}
    for keys in (
        "task accuracy value",
        "results name statistics copies text",
        "n unit se settings copied level half_width checkpoint prompt notes step chance",
        "baselines model human tokens shortest label loop before longest_copy word_perplexity",
    ):
        for path, rows in before.items():
            jsonl(path, [spoil(row, keys) for row in rows])
        render(run)


values = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1, 2)


@given(st.lists(st.tuples(st.text(max_size=40), values, values, values, values), max_size=5))
def test_dots_of_any_values_stay_inside_the_picture(rows: list[tuple[str, float, float, float, float]]) -> None:
    rows = [row for row in rows if all(math.isnan(one) or abs(one) < 1e30 or math.isinf(one) for one in row[1:])]
    lines = [Line(label, [Dot("d", a, b, c)], [Mark("m", d, "a")]) for label, a, b, c, d in rows]
    plots = picture("p", "title", "unit", "note", lines, lambda value: f"{value:.2g} %")
    if not any(math.isfinite(row[1]) for row in rows):
        assert plots == []
        return
    (plot,) = plots
    Page(re.sub(r"[\x00-\x08\x0b-\x1f]", "", plot.svg))
    width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', plot.svg)[0])
    assert width == WIDTH
    across = [float(x) for x in re.findall(r' (?:cx|x1|x2|x)="([^"]+)"', plot.svg)]
    down = [float(y) for y in re.findall(r' (?:cy|y1|y2|y)="([^"]+)"', plot.svg)]
    assert all(0 <= x <= width for x in across) and all(0 <= y <= height for y in down)


def test_every_anchor_says_where_it_comes_from_and_under_which_conditions() -> None:
    for rows in anchors().values():
        assert rows
        for one in rows:
            assert one.keys() == {"name", "score", "conditions", "source"} and all(one.values())
