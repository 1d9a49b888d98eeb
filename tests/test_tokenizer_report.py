"""A tokenizer's report counts what is there, finds every document that is changed, and shows every token safely."""

import copy
import json
import math
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_report import HOSTILE, Page

from groundup.cli import main
from groundup.data import corpus as corpora
from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.size import parameters
from groundup.recipe.load import validate
from groundup.recipe.schema import Data, Source, Tokenizer
from groundup.store.artifacts import Artifact
from groundup.tokens import commonest, compare_page, report, report_page, tokenizer, usage
from groundup.tokens.compare import compare, overlap
from groundup.tokens.encoders import Encode, choose
from groundup.tokens.encoding import END, FILE, HARD, PAD, open_tokenizer
from groundup.tokens.kinds import Kind
from groundup.tokens.spelling import BYTE, CLASSES, PART, SPECIAL, Vocabulary, show, token_class, vocabulary

KINDS = get_args(Kind)
SMALL = ["tokenizer.vocab_size=290"]
MIX = {"tales": 0.5, "notes": 0.5}
TALES = [
    f"The {animal} number {number} didn't see the {place} <b>in</b> {1900 + number}. It's 12/24/{1900 + number}!"
    for number in range(10)
    for animal in ("cat", "dog", "hen")
    for place in ("hill", "road")
]
NOTES = [f"{number}. A note & <script>alert({number})</script>: {'x' * number}" for number in range(40)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def corpus(lab: Path) -> Artifact:
    for name, texts in (("tales", TALES), ("notes", NOTES)):
        (lab / f"{name}.txt").write_text("\n---\n".join(texts))
    (lab / "valid.txt").write_text("The red hen: \U0001f98a.\n---\nThe hen.")
    files = {name: Source(path=str(lab / f"{name}.txt"), delimiter="---") for name in MIX}
    files["tales"] = files["tales"].model_copy(update={"valid": str(lab / "valid.txt")})
    data = Data(sources=files, valid_fraction=0, test_fraction=0, near_duplicates=None)
    return corpora.build(data, lab)


@pytest.fixture(scope="module")
def made(corpus: Artifact, lab: Path) -> dict[str, Artifact]:
    parts = {kind: Tokenizer(kind=kind, vocab_size=320 if kind == "unigram" else 380) for kind in KINDS}
    return {kind: tokenizer.build(part, MIX, corpus, lab) for kind, part in parts.items()}


@pytest.fixture(scope="module")
def known(made: dict[str, Artifact]) -> dict[str, Vocabulary]:
    return {kind: vocabulary(open_tokenizer(one.path / FILE)) for kind, one in made.items()}


@pytest.fixture(scope="module")
def figures(corpus: Artifact, made: dict[str, Artifact]) -> dict[str, Any]:
    return report.figures(corpus, made["bpe"], MIX)


@pytest.fixture(scope="module")
def compared(corpus: Artifact, made: dict[str, Artifact]) -> dict[str, Any]:
    return compare(corpus, [(kind, made[kind]) for kind in KINDS], MIX)


def encoder(known: Vocabulary) -> Encode:
    return choose(known.encoding, [])[0]


# -- what is counted ---------------------------------------------------------------------------------------------------


def test_documents_bytes_words_and_tokens_are_as_counted_by_hand(known: dict[str, Vocabulary]) -> None:
    documents = [("a", "train", "one two"), ("a", "train", "é"), ("a", "valid", "x"), ("b", "train", " y\n z ")]
    found = usage.measure(documents, known["bytes"], encoder(known["bytes"]))
    counts = {place: list(vars(count).values())[:4] for place, count in found.counts.items()}
    assert counts == {("a", "train"): [2, 9, 3, 9], ("a", "valid"): [1, 1, 1, 1], ("b", "train"): [1, 6, 2, 6]}
    assert list(vars(found.pooled("train")).values())[:4] == [3, 15, 5, 15]
    assert found.uses["train"].sum() == 15 and found.uses["valid"].sum() == 1
    assert found.pooled("train").to_json()["tokens_per_word"] == 3.0 and found.broken == []


@pytest.mark.parametrize("batch", [1, 200, 1 << 20])
def test_counts_do_not_depend_on_how_documents_are_batched(
    corpus: Artifact, made: dict[str, Artifact], figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(usage, "BATCH_BYTES", batch)
    assert report.figures(corpus, made["bpe"], MIX) == figures


def test_every_figure_is_what_the_tokenizer_gives_document_by_document(
    corpus: Artifact, known: dict[str, Vocabulary], figures: dict[str, Any]
) -> None:
    encoding = known["bpe"].encoding
    uses: Counter[int] = Counter()
    for source in MIX:
        for split in ("train", "valid", "test"):
            texts = list(corpora.texts(corpus, source, split))
            ids = [encoding.encode(text) for text in texts]
            count = figures["sources"][source][split]
            size, words = sum(len(text.encode()) for text in texts), sum(len(text.split()) for text in texts)
            tokens = sum(map(len, ids))
            assert [count[key] for key in ("documents", "bytes", "words", "tokens")] == [
                len(texts),
                size,
                words,
                tokens,
            ]
            assert count["bytes_per_token"] == (size / tokens if tokens else None)
            assert count["tokens_per_word"] == (tokens / words if words else None)
            uses.update(id for one in ids for id in one if split == "train")
    use, plain = figures["use"], [id for id in range(encoding.vocab_size) if encoding.token_bytes[id]]
    assert use["tokens"] == uses.total() == figures["all"]["train"]["tokens"]
    assert use["vocabulary"] == len(plain) == encoding.vocab_size - 2
    assert use["unused"] == sum(not uses[id] for id in plain)
    assert use["unused_bytes"] == sum(not uses[id] and encoding.token_bytes[id] == 1 for id in plain)
    assert use["seldom"] == sum(uses[id] < 100 for id in plain) and use["threshold"] == 100
    assert [row["uses"] for row in use["commonest"]] == [n for _, n in uses.most_common(len(use["commonest"]))]
    assert use["rarest"][0]["uses"] == min(uses.values())
    assert all(uses[row["id"]] == 0 for row in use["unused_tokens"])
    ranked = [n for _, n in uses.most_common()]
    assert use["commonest_share"]["10"] == pytest.approx(sum(ranked[:10]) / uses.total())
    assert use["curve"]["uses"] == [ranked[rank - 1] for rank in use["curve"]["rank"]]
    assert (use["curve"]["rank"][0], use["curve"]["rank"][-1]) == (1, len(ranked))
    assert use["curve"]["share"][-1] == pytest.approx(1)
    rows = figures["vocabulary"]
    assert sum(row["tokens"] for row in rows) == encoding.vocab_size
    assert sum(row["unused"] or 0 for row in rows) == use["unused"]
    assert sum(row["share_of_text"] for row in rows) == pytest.approx(1)


def test_the_share_of_a_model_and_what_fits_in_its_context_are_those_of_its_recipe(figures: dict[str, Any]) -> None:
    for row in figures["rungs"]:
        values = {"data": {"sources": {"a": {"path": "a"}}}, "model": {"size": row["rung"]}}
        config = configure(validate(values).recipe.model, figures["tokenizer"]["vocab_size"])
        assert row["total"] == sum(parameters(config).values()) and row["context"] == config.context
        assert row["embedding"] == config.width * config.vocab_size
        tales = figures["sources"]["tales"]["train"]
        assert row["fits"]["tales"]["words"] == pytest.approx(config.context * tales["words"] / tales["tokens"])
        assert row["fits"]["tales"]["bytes"] == pytest.approx(config.context * tales["bytes"] / tales["tokens"])


def test_the_commonest_of_each_sort_are_found() -> None:
    text = "Don't go, Zoë: it's 3 May 2024, 2024-05-03 or 5/3/24; 1,000.5 isn't it's 7!! -- May 3, 2024 ..."
    found = {name: dict(rows) for name, rows in commonest.count([text, "it's 7 it_7"]).items()}
    assert found["words"] == {"it's": 3, "May": 2, "Don't": 1, "Zoë": 1, "go": 1, "isn't": 1, "it": 1, "or": 1}
    assert found["numbers"]["1,000.5"] == 1 and found["numbers"]["7"] == 3
    assert found["dates"] == {"3 May 2024": 1, "2024-05-03": 1, "5/3/24": 1, "May 3, 2024": 1}
    assert found["contractions"] == {"it's": 3, "Don't": 1, "isn't": 1}
    assert found["marks"]["!!"] == 1 and found["marks"]["..."] == 1 and found["marks"]["--"] == 1
    ties = commonest.count(["b a c b"])["words"]
    assert ties == [("b", 2), ("a", 1), ("c", 1)]


# -- what a token spells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text())
@example(text="".join(HARD))
@settings(max_examples=50, deadline=None)
def test_what_the_tokens_spell_is_the_text(known: dict[str, Vocabulary], kind: Kind, text: str) -> None:
    one = known[kind]
    if kind == "characters":
        text = "".join(c for c in text if one.encoding.tokenizer.token_to_id(c) is not None)
    assert b"".join(one.spelt[id] for id in one.encoding.encode(text)) == text.encode()
    assert [len(spelt) for spelt in one.spelt] == one.encoding.token_bytes.tolist()


@given(spelt=st.binary(min_size=1) | st.text(min_size=1).map(lambda text: text.encode(errors="replace")))
@example(spelt="a\u202eb\u200d\u0301 \n\t\r\u00a0\x00".encode())
def test_every_token_is_shown_and_nothing_in_it_is_invisible(spelt: bytes) -> None:
    shown = show(spelt)
    assert shown and not any(unicodedata.category(character)[0] in "CZ" for character in shown)


def test_signs_of_white_space_and_bytes_are_told_apart() -> None:
    assert show(b" the") == "␣the" and show(b"\n\t") == "↵⇥" and show(b"\xe2\x82") == "⟨E2⟩⟨82⟩"
    assert show("\u0301".encode()) == "◌\u0301" and show("é\u200d".encode()) == "é⟨U+200D⟩"


def test_each_token_has_the_class_of_what_it_spells() -> None:
    spelt = (" the", "ing", "2024", " 7", ' ("', ".\n", "\n\n", "'ll", "é", " नमस्ते")
    found = [token_class(one.encode()) for one in spelt]
    words, letters, number, marks, space, mixed, character = CLASSES[:7]
    assert found == [words, letters, number, number, marks, marks, space, mixed, character, words]
    assert [token_class(one) for one in (b"\xe2\x82", b"a", b"\xff", b"")] == [PART, BYTE, BYTE, SPECIAL]


def test_names_of_special_tokens_in_a_text_are_split_as_text(known: dict[str, Vocabulary]) -> None:
    for one in known.values():
        ids = one.split(f"{END} {PAD}")["ids"]
        assert not {one.encoding.end, one.encoding.tokenizer.token_to_id(PAD)} & set(ids)


# -- whether every document comes back ---------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_document_whose_tokens_spell_another_text_is_found_and_named(
    known: dict[str, Vocabulary], data: st.DataObject
) -> None:
    one = known["bpe"]
    texts = data.draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=130))
    wrong = data.draw(st.integers(0, len(texts) - 1))
    right = encoder(one)

    def lying(batch: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        flat, lengths = (array.copy() for array in right(batch))
        at = int(lengths[:wrong].sum())
        flat[at] = next(id for id, spelt in enumerate(one.spelt) if spelt and spelt != one.spelt[flat[at]])
        return flat, lengths

    found = usage.measure([("a", "train", text) for text in texts], one, lying)
    assert found.counts["a", "train"].broken == 1
    assert [row["place"] for row in found.broken] == [f"document {wrong + 1:,}"]
    assert usage.measure([("a", "train", text) for text in texts], one, right).broken == []


def test_bytes_that_moved_from_one_document_to_the_next_are_found(known: dict[str, Vocabulary]) -> None:
    one = known["bytes"]

    def shifted(batch: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        flat, lengths = encoder(one)(batch)
        return flat, lengths + np.array([1, -1])

    found = usage.measure([("a", "train", "ab"), ("a", "train", "cd")], one, shifted)
    assert found.counts["a", "train"].broken == 2


def test_characters_that_the_vocabulary_cannot_spell_are_counted_and_their_documents_named(
    corpus: Artifact, made: dict[str, Artifact]
) -> None:
    found = report.figures(corpus, made["characters"], MIX)
    place = next(n for n, text in enumerate(corpora.texts(corpus, "tales", "valid"), 1) if "\U0001f98a" in text)
    row = found["round_trip"]["first"][0]
    assert (found["round_trip"]["broken"], found["round_trip"]["unknown"]) == (1, 1)
    assert (row["source"], row["split"], row["place"]) == ("tales", "valid", f"document {place}")
    assert "\U0001f98a" in row["text"]
    text = Page(report_page.render(found)).text
    assert "1 document of" in text and "hen: \U0001f98a." in text


# -- the page ----------------------------------------------------------------------------------------------------------


def hostile(value: Any) -> Any:
    """Every string of the figures with what could break a page, the numbers as they were."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE + value if isinstance(value, str) else value


def test_the_page_has_every_section_and_runs_nothing_that_a_text_says(
    figures: dict[str, Any], compared: dict[str, Any]
) -> None:
    one, several = Page(report_page.render(figures)), Page(compare_page.render(compared))
    for heading in ("By source", "In a model", "Use of the tokens", "Vocabulary", "Splits", "Round trip"):
        assert heading in one.words
    for heading in ("Overview", "By source", "Overlap of the vocabularies", "Hard cases"):
        assert heading in several.words
    for page in (
        one,
        several,
        Page(report_page.render(hostile(figures))),
        Page(compare_page.render(hostile(compared))),
    ):
        assert not {"script", "img", "b"} & set(page.tags)
        assert not any(name.startswith("on") for name, _ in page.attributes)


def test_the_page_shows_the_numbers_of_the_figures(figures: dict[str, Any]) -> None:
    text = Page(report_page.render(figures)).text
    train = figures["sources"]["tales"]["train"]
    assert f"{train['bytes_per_token']:.3f}" in text and f"{train['tokens_per_word']:.3f}" in text
    assert f"{figures['use']['unused']} of {figures['use']['vocabulary']}" in text
    assert f"{figures['rungs'][0]['embedding']:,}" in text
    assert "".join(figures["hard_cases"][0]["tokens"]) in text


def test_what_is_absent_is_said_to_be(figures: dict[str, Any]) -> None:
    bare = copy.deepcopy(figures)
    bare["commonest"] = {key: [] for key in bare["commonest"]}
    bare["use"] |= {"unused": 0, "unused_tokens": [], "curve": {"rank": [], "uses": [], "share": []}}
    text = Page(report_page.render(bare)).text
    for name in ("words", "numbers", "dates", "runs of marks", "contractions and possessives"):
        assert f"No {name} were found in the text." in text
    assert "No token was used" in text
    assert figures["sources"]["notes"]["test"]["bytes_per_token"] is None and "nan" not in text
    bare["use"]["curve"] = figures["use"]["curve"]
    assert "There are no unused tokens." in Page(report_page.render(bare)).text


# -- several beside each other -----------------------------------------------------------------------------------------


def test_all_are_measured_on_the_same_text_and_each_as_its_own_report_says(
    corpus: Artifact, made: dict[str, Artifact], known: dict[str, Vocabulary], compared: dict[str, Any]
) -> None:
    assert [row["name"] for row in compared["tokenizers"]] == list(KINDS)
    for split in ("train", "valid"):
        for row in compared["tokenizers"]:
            pooled = row["all"][split]
            assert {key: pooled[key] for key in ("documents", "bytes", "words")} == compared["text"][split]
    for row in compared["tokenizers"]:
        alone = report.figures(corpus, made[row["name"]], MIX)
        assert row["sources"]["tales"]["valid"] == alone["sources"]["tales"]["valid"]
        assert row["embedding"] == alone["rungs"][0]["embedding"]
        tales = row["sources"]["tales"]["train"]
        assert row["words_in_context"]["tales"] == pytest.approx(512 * tales["words"] / tales["tokens"])
    by_name = {row["name"]: row for row in compared["tokenizers"]}
    assert by_name["bytes"]["all"]["train"]["bytes_per_token"] == 1
    assert by_name["bytes"]["words_of_one_token"] == 0 < by_name["bpe"]["words_of_one_token"]
    for case in compared["hard_cases"]:
        assert [one["ids"] for one in case["splits"]] == [known[kind].encoding.encode(case["text"]) for kind in KINDS]


def test_overlap_is_what_both_vocabularies_spell_by_what_either_spells(
    known: dict[str, Vocabulary], compared: dict[str, Any]
) -> None:
    matrix = np.array(compared["overlap"])
    assert np.array_equal(matrix, matrix.T) and (np.diag(matrix) == 1).all() and ((matrix >= 0) & (matrix <= 1)).all()
    encoding = known["bpe"].encoding
    one = Vocabulary(encoding, [b"", b"a", b" the", b" of", b"ing"], [])
    other = Vocabulary(encoding, [b"", b"b", b" the", b"ing", b"ed"], [])
    assert overlap(one, other) == 2 / 4


def test_the_comparison_says_what_cannot_be_compared(compared: dict[str, Any]) -> None:
    text = Page(compare_page.render(compared)).text
    assert "perplexity cannot be compared" in text and "Bits per byte can be compared" in text


def test_fewer_than_two_different_tokenizers_are_refused(corpus: Artifact, made: dict[str, Artifact]) -> None:
    for columns in ([], [("one", made["bpe"])], [("one", made["bpe"]), ("again", made["bpe"])]):
        with pytest.raises(GroundupError, match="fewer than two") as refused:
            compare(corpus, columns, MIX)
        assert refused.value.code == "usage"


# -- the command line --------------------------------------------------------------------------------------------------


def test_report_prints_one_object_and_writes_its_page(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = ["--lab", str(tmp_path / "lab")]
    assert main(["tokenizer", "report", str(tiny), *SMALL, *lab, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["page"]).read_text().startswith("<!doctype html>")
    assert found["tokenizer"]["vocab_size"] == 290 and math.isfinite(found["all"]["train"]["bytes_per_token"])
    target = tmp_path / "deep" / "page.html"
    assert main(["tokenizer", "report", str(tiny), "tokenizer.vocab_size=280", *lab, "--output", str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target) and target.exists()


def test_the_verb_alone_still_makes_the_tokenizer(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tokenizer", str(tiny), "tokenizer.vocab_size=290", "--lab", str(tmp_path / "lab"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["vocab_size"] == 290


def test_compare_takes_changes_files_and_overrides(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tokenizer", "compare", str(tiny), *SMALL, "--lab", str(tmp_path / "lab"), "--json"]
    assert main([*command, "vocab_size=280", "kind=bytes,vocab_size=295", "tokenizer.digits=1"]) == 0
    found = json.loads(capsys.readouterr().out)
    kinds = [(row["name"], row["kind"], row["vocab_size"]) for row in found["tokenizers"]]
    changed = "kind=bytes,vocab_size=295"
    assert kinds == [("recipe", "bpe", 290), ("vocab_size=280", "bpe", 280), (changed, "bytes", 258)]
    assert {row["recipe"]["digits"] for row in found["tokenizers"]} == {1}
    identity = found["tokenizers"][1]["id"]
    path = tmp_path / "lab" / "artifacts" / identity / FILE
    for word in (identity, str(path)):
        assert main([*command, word]) == 0
        assert [row["id"] for row in json.loads(capsys.readouterr().out)["tokenizers"]][1] == identity


@pytest.mark.parametrize("words", [[], ["tokenizer.digits=1"], ["vocab_sise=280"], ["kind=best"], ["vocab_size=290"]])
def test_compare_refuses_what_it_cannot_compare(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["tokenizer", "compare", str(tiny), *SMALL, *words, "--lab", str(tmp_path / "lab"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] in ("usage", "unknown-key", "bad-value")
