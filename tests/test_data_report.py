"""Promises of a corpus's report: every number of report.json that matters, what is absent said, no text run."""

import copy
import html
import itertools
import json
import math
import pathlib
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_report import HOSTILE, Page

from groundup.data.report import figures, render, write
from groundup.errors import GroundupError

TALE = "Once upon a time a small fox lived by the river and counted the boats that came down in the morning sun."
MANIFEST = {
    "id": "corpus-4f2a90b1c37d55e8", "created": "2026-01-01T12:00:00+00:00", "seconds": 14.2, "sha256": "ab" * 32,
    "versions": {"groundup": "0.1.0", "daft": "0.7.20"},
    "stages": {"prepare": 9.0, "near": {"seconds": 4.1, "cpu_seconds": 7.5}},
    "recipe": {"near_duplicates": 0.6, "valid_fraction": 0.01},
}  # fmt: skip


def volume(documents: int, size: int) -> dict[str, int]:
    return {"documents": documents, "bytes": size}


def make_source(**more: Any) -> dict[str, Any]:
    files = [{"file": "train.txt", "split": None, "bytes": 8_776_166, "sha256": "f1" * 32}]
    removed = {"too-few-words": volume(40, 4_000), "exact-duplicate": volume(21, 17_010)}
    removed |= {"near-duplicate": volume(143, 121_443)}
    kept = {"train": volume(10_063, 8_428_002), "valid": volume(219, 187_822), "test": volume(1, 900)}
    lengths = {"edges": [32, 64, 128, 256], "read": [40, 9_000, 1_447], "kept": [0, 8_850, 1_433]}
    return {
        "license": "CDLA-Sharing-1.0", "language": "en", "corpus": "tinystories", "revision": "f54c09fd23" + "0" * 30,
        "defects": "The first story is a fragment.", "rules": ["length", "boilerplate"], "files": files,
        "read": volume(10_487, 8_776_166), "pieces": 10_487, "changed": {"repaired": 812, "boilerplate": 33},
        "removed": removed, "kept": kept, "lengths": lengths,
    } | more  # fmt: skip


def make_report() -> dict[str, Any]:
    """Two sources, with every part that a report can have."""
    web = make_source(license="ODC-BY", corpus=None, revision=None, defects=None, files=[], changed={})
    web |= {"read": volume(1_000, 2_200_000), "pieces": 1_250}
    web |= {"removed": {"unreadable": volume(3, 700), "too-few-words": volume(1_100, 1_500_000)}}
    web |= {"kept": {"train": volume(146, 660_000), "valid": volume(1, 9_100), "test": volume(0, 0)}}
    gopher = "Rae et al. 2021 (Gopher), table A1"
    reasons = {
        "unreadable": {"stage": "read", "rule": "", "text": "bytes that are no text", "origin": ""},
        "too-few-words": {"stage": "filter", "rule": "length", "text": "fewer words than wanted", "origin": gopher},
        "too-many-words": {"stage": "filter", "rule": "length", "text": "more words than wanted", "origin": gopher},
        "exact-duplicate": {"stage": "exact", "rule": "", "text": "another has the same text", "origin": ""},
        "near-duplicate": {"stage": "near", "rule": "", "text": "another is nearly the same", "origin": ""},
        "leak": {"stage": "leak", "rule": "", "text": "it holds a held-out text", "origin": ""},
    }
    example = {"source": "web", "place": "line 7", "id": "0a" * 16, "text": "Short.", "detail": "1 word, 50 wanted"}
    other = {"id": "0c" * 16, "source": "stories", "place": "document 977", "similarity": 0.8125}
    cluster = {
        "size": 14,
        "kept": {"id": "0b" * 16, "source": "stories", "split": "train", "place": "document 9", "text": TALE},
        "removed": [other | {"text": TALE.replace("small", "grey").replace("the river and", "the lake and")}],
    }
    leak = {"against": "stories.valid", "id": "0d" * 16, "place": "document 17", "overlap": 0.9321}
    leak |= {"train_id": "0e" * 16, "train_source": "web", "train_place": "line 91", "text": TALE}
    checked = [
        {"name": "stories.valid", "documents": 219, "short": 3, "touched": 148, "leaked": 2},
        {"name": "benchmark blimp", "documents": 134_000, "short": 120_001, "touched": 12, "leaked": 0},
    ]
    pairs = {"edges": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], "counts": [0, 31, 12, 5, 90]}
    return {
        "sources": {"stories": make_source(), "web": web},
        "reasons": reasons,
        "examples": {"too-few-words": [example]},
        "boilerplate": [{"line": "All rights reserved.", "documents": 33}],
        "clusters": {"threshold": 0.6, "sizes": {"2": 105, "14": 1}, "similarity": pairs, "largest": [cluster]},
        "leaks": {"words": 13, "mode": "report", "checked": checked, "documents": [leak], "removed": 0},
    }


class Spaced(Page):
    """A page whose text has a space between any two elements."""

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(report: dict[str, Any], manifest: dict[str, Any] | None = None) -> Page:
    return Spaced(render(MANIFEST if manifest is None else manifest, report))


def spoil(node: Any, change: Any) -> Any:
    """The same with every text passed through `change`, names of sources and reasons too."""
    if isinstance(node, dict):
        return {
            change(key) if key in ("stories", "too-few-words") else key: spoil(v, change) for key, v in node.items()
        }
    if isinstance(node, list):
        return [spoil(item, change) for item in node]
    return change(node) if isinstance(node, str) else node


def test_the_page_has_no_script_and_no_external_reference() -> None:
    source = render(MANIFEST, make_report())
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith("#"), (name, value)
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value))
    assert not re.search(r"https?://|//[a-z]", source)


def test_hostile_text_is_shown_and_never_run() -> None:
    source = render(spoil(MANIFEST, lambda text: HOSTILE + text), spoil(make_report(), lambda text: HOSTILE + text))
    assert "<script" not in source
    assert "<img" not in source
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", source)
    assert '<script>alert("x")</script>' in Page(source).text


def test_a_name_cannot_turn_round_the_words_after_it() -> None:
    report = make_report()
    report["sources"] = {"\u202eevil\u2067": make_source(license=None)}
    finding = next(line for line in render(MANIFEST, report).splitlines() if "licence is not known" in line)
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", finding)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(MANIFEST, make_report()) == render(MANIFEST, make_report())


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    source = render(MANIFEST, make_report())
    ids = [value for name, value in Page(source).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [name for value in re.findall(r'aria-labelledby="([^"]+)"', source) for name in value.split()]
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', source)) | set(labels) <= set(ids)


EXPECTED = """
corpus-4f2a90b1c37d55e8
groundup corpus, made 2026-01-01T12:00:00+00:00
Documents kept 10,430 of 11,737 pieces cut from 11,487 documents
Text kept 9.29 MB of 11 MB read
Removed 15.0 % of the bytes read, 1,307 documents; most of it: too few words
Near-duplicates 143 documents in 106 clusters, 0.6 or more alike; 21 exact duplicates besides
Leaks 2 texts of 134,219 held-out texts stand in the training text
Time 14.2 s 773 kB per second
reading read 11,487 11 MB 100 %
− unreadable 3 700 B 0.006 %
rules − too few words 1,140 1.5 MB 13.7 %
near-duplicates − near-duplicate 143 121 kB 1.1 %
leaks nothing left out
split = kept 10,430 9.29 MB 84.6 %
→ train 10,209 9.09 MB 82.8 %
− too few words 0.046 % 68.2 %
10,487 documents read, 10,283 kept.
fewer words than wanted Rae et al. 2021 (Gopher), table A1
Looked for and not met: too many words.
too few words 1 example of 1,140 documents
web, line 7 1 word, 50 wanted
Short.
Lines such as these were cut out of 33 documents
33 All rights reserved.
2 105 105
14 1 13
threshold 0.6
14 documents alike kept: stories, document 9 (train)
Removed: stories, document 977 similarity 0.81
12 more documents of this cluster were removed
sequence of 13 words
stories.valid 219 3 148 2 0.91 %
benchmark blimp 134,000 120,001 12 0 0 %
stories.valid, document 17 93.2 % web, line 91 Once upon a time
stories CDLA-Sharing-1.0 en tinystories f54c09fd2300 length, boilerplate repaired 812, boilerplate 33
stories The first story is a fragment.
web Nothing is on record.
stories train.txt – 8.78 MB f1f1f1f1f1f1
groundup 0.1.0, daft 0.7.20
prepare 9.0 s 63.4 % –
near 4.1 s 28.9 % 7.5 s
"""


def test_the_numbers_of_the_report_are_on_the_page() -> None:
    text = page_of(make_report()).text
    for expected in EXPECTED.strip().splitlines():
        assert expected in text, expected


def test_the_flow_picture_names_every_source_reason_and_split_with_its_numbers() -> None:
    svg = re.findall(r'<svg class="plot flow".*?</svg>', render(MANIFEST, make_report()), re.DOTALL)[0]
    said = [html.unescape(text) for text in re.findall(r"<(?:text|title)[^>]*>([^<]+)<", svg)]
    for expected in (
        "stories", "10,487 documents · 8.78 MB", "web", "too few words", "1,140 documents · 1.5 MB · 13.7 %",
        "near-duplicate", "143 documents · 121 kB · 1.1 %", "train", "10,209 documents · 9.09 MB · 82.8 %", "−13.7 %",
        "none left out", "84.6 % left", "web → too few words: 1.5 MB", "stories → valid: 188 kB",
    ):  # fmt: skip
        assert expected in said, expected


def test_the_difference_marks_exactly_the_changed_words() -> None:
    source = render(MANIFEST, make_report())
    assert [html.unescape(word) for word in re.findall(r"<del>(.*?)</del>", source)] == ["small", "river"]
    assert [html.unescape(word) for word in re.findall(r"<ins>(.*?)</ins>", source)] == ["grey", "lake"]


@pytest.mark.parametrize(
    ("mode", "leaked", "said", "tone"),
    [
        ("report", 2, "data.decontaminate=remove leaves them out", "bad"),
        ("remove", 2, "What held them was left out: 7 training documents", "good"),
        ("report", 0, "No text leaked.", "good"),
    ],
)
def test_leaks_that_stay_are_bad_and_those_removed_are_not(mode: str, leaked: int, said: str, tone: str) -> None:
    report = make_report()
    report["leaks"] |= {"mode": mode, "removed": 7}
    report["leaks"]["checked"][0]["leaked"] = leaked
    source = render(MANIFEST, report)
    assert said in html.unescape(source)
    assert re.search(rf"<dt>Leaks</dt><dd class=\"{tone}\">", source)


def test_what_was_not_found_and_what_was_not_looked_for_are_two_things() -> None:
    report = make_report()
    for source in report["sources"].values():
        source["removed"] = {}
    report |= {
        "boilerplate": [],
        "leaks": {"words": 13, "mode": "report", "checked": [], "documents": [], "removed": 0},
    }
    text = page_of(report).text
    for expected in (
        "Nothing was left out: every document that was read is kept.", "No exact duplicates were found.",
        "No near-duplicates were found.", "No boilerplate line was found.", "Leaks were not looked for",
    ):  # fmt: skip
        assert expected in text, expected
    report["clusters"]["threshold"] = None
    for source in report["sources"].values():
        source["rules"] = []
    text = page_of(report).text
    assert "Near-duplicates were not looked for" in text
    assert "Boilerplate lines were not looked for." in text
    assert "rules no rules set" in text


def test_what_deserves_a_look_is_said_first() -> None:
    report = make_report()
    report["sources"]["web"] |= {"license": None}
    source = render(MANIFEST, report)
    text = Page(source).text
    for finding in (
        "stories.valid: 2 of 219 texts stand in the training text",
        "web: 68.2 % of its bytes were left out, most of them for the reason “too few words”",
        "web: 3 documents could not be read and were skipped",
        "web: its licence is not known. data.sources.web.license",
    ):
        assert text.index(finding) < text.index("From what was read to what was kept"), finding
    assert "4 findings to look at" in text


@pytest.mark.parametrize("key", ["sources", "reasons", "examples", "boilerplate", "clusters", "leaks"])
def test_a_part_that_is_missing_is_said_to_be(key: str) -> None:
    report = make_report()
    del report[key]
    said = {
        "sources": "report.json says nothing about sources.",
        "reasons": "report.json does not explain it",
        "boilerplate": "report.json says nothing about boilerplate lines.",
        "clusters": "Near-duplicates removed: 143 documents",
        "leaks": "report.json says nothing about leaks.",
    }
    assert said.get(key, "Left out, and why") in page_of(report).text
    assert "The manifest is absent." in page_of(report, {}).text


def test_an_empty_report_is_a_page_without_numbers() -> None:
    text = page_of({}, {}).text
    assert text.count("says nothing about") >= 6
    assert not re.search(r"\d", text[text.index("groundup corpus") :])  # before it, the style sheet


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "x", True, [], {}, -1, 0, 1e308, 10**400, math.nan, math.inf, [None], {"x": 1}, [[]]]
)


def paths(node: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in items for path in [(*before, key), *paths(value, (*before, key))]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_lost_keys_and_odd_values_never_end_in_a_traceback(data: st.DataObject) -> None:
    whole = {"report": make_report(), "manifest": copy.deepcopy(MANIFEST)}
    for path in data.draw(st.lists(st.sampled_from(paths(whole)), min_size=1, max_size=12)):
        node: Any = whole
        try:
            for key in path[:-1]:
                node = node[key]
            if data.draw(st.booleans()):
                del node[path[-1]]
            else:
                node[path[-1]] = data.draw(ODD)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier loss took it along
    manifest, report = whole.get("manifest"), whole.get("report")
    page_of(report if isinstance(report, dict) else {}, manifest if isinstance(manifest, dict) else {})


def test_every_value_may_be_of_the_wrong_kind() -> None:
    names = sorted({path[-1] for path in paths(make_report()) if isinstance(path[-1], str)})
    wrong: list[Any] = [None, -1, "x", [], {}, [1]]
    for name, value in zip(names, itertools.cycle(wrong), strict=False):
        report = make_report()
        for path in [path for path in paths(report) if path[-1] == name]:
            node: Any = report
            for key in path[:-1]:
                node = node[key]
            node[name] = value
        render(MANIFEST, report)


def test_a_huge_corpus_has_a_light_page_which_says_where_it_cuts() -> None:
    report = make_report()
    source = report["sources"]["web"] | {"files": make_source()["files"] * 500}
    report["sources"] = {f"source{number}": source for number in range(300)}
    report["boilerplate"] *= 1000
    report["clusters"]["sizes"] = {str(size): 1 for size in range(2, 5000)}
    cluster = report["clusters"]["largest"][0]
    words = " ".join("word" + "s" * (number % 3) for number in range(30_000))
    cluster["kept"]["text"], cluster["removed"][0]["text"] = words, words[::-1]
    report["clusters"]["largest"] *= 200
    report["leaks"]["documents"] *= 5000
    report["leaks"]["checked"] *= 1000
    start = time.perf_counter()
    page = render(MANIFEST, report)
    assert time.perf_counter() - start < 20
    assert len(page.encode()) < 2_000_000
    text = Page(page).text
    for expected in (
        "294 other sources", "260 more sources are in report.json", "The first 12 of 300 sources", "14 to 4,999",
        "words not compared", "The first 100 of", "more sets are in report.json", "more findings of these kinds",
        "The 100 of 2,000 with the largest overlap",
    ):  # fmt: skip
        assert expected in text, expected


def test_where_the_record_of_a_text_ends_is_no_difference() -> None:
    report = make_report()
    cluster = report["clusters"]["largest"][0]
    cluster["kept"]["text"], cluster["removed"][0]["text"] = (TALE * 2)[:120], ("The " + TALE * 2)[:120]
    report["clusters"]["characters"] = 120
    source = render(MANIFEST, report)
    assert re.findall(r"<ins>(.*?)</ins>", source) == ["The"]
    assert "<del>" not in source
    assert "the texts go on" in source


def test_an_artifact_is_written_to_a_page_and_damage_is_said(tmp_path: pathlib.Path) -> None:
    corpus = tmp_path / "corpus with a space"
    corpus.mkdir()
    (corpus / "manifest.json").write_text(json.dumps(MANIFEST))
    (corpus / "report.json").write_text(json.dumps(make_report()))
    target = tmp_path / "new" / "page.html"
    assert write(corpus, target) == target
    assert target.read_text(encoding="utf-8") == render(MANIFEST, make_report())
    assert (
        figures(corpus) == {key: MANIFEST[key] for key in MANIFEST if key not in ("recipe", "sha256")} | make_report()
    )
    (corpus / "report.json").write_text('{"sources": ')
    assert "report.json could not be understood" in Page(write(corpus, target).read_text(encoding="utf-8")).text
    (corpus / "report.json").unlink()
    assert "report.json is absent" in Page(write(corpus, target).read_text(encoding="utf-8")).text
    with pytest.raises(GroundupError) as refusal:
        write(tmp_path / "nothing", target)
    assert refusal.value.code == "no-such-file"
