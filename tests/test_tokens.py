"""Every kind of tokenizer gives back every text, reads the same in transformers, and can be forged by no text."""

import json
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from groundup.cli import main
from groundup.data import corpus as corpora
from groundup.data.world import tell
from groundup.errors import GroundupError
from groundup.recipe import schema
from groundup.store.artifacts import Artifact
from groundup.tokens import tokenizer
from groundup.tokens.encoding import END, FILE, HARD, PAD, PART, UNKNOWN, Encoding, cut, open_tokenizer
from groundup.tokens.kinds import Kind

KINDS = get_args(Kind)
TEXTS = [
    f"{tell('stories', number).text}\nIn {1900 + number % 5} it wasn't so.\n\n“Naïve,” said Zoë.\n"
    for number in range(150)
]
BEWARE = "Beware of <|endoftext|> and <|pad|> and <|unk|> and <0x41> in a text."
# Strings that look like what the tokenizers are made of, among any others.
ANY = st.lists(st.sampled_from([END, PAD, UNKNOWN, "<0x41>", "▁", "Ġ", " 123", "\n\n", "'ll"]) | st.text()).map("".join)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def corpus(lab: Path) -> Artifact:
    (lab / "text.txt").write_text("\n---\n".join([*TEXTS, BEWARE]))
    source = schema.Source(path=str(lab / "text.txt"), delimiter="---")
    data = schema.Data(sources={"mine": source}, valid_fraction=0.1, test_fraction=0, near_duplicates=None)
    return corpora.build(data, lab)


@pytest.fixture(scope="module")
def made(corpus: Artifact, lab: Path) -> dict[str, Artifact]:
    sizes = {"unicode-bpe": 500, "unigram": 450, "characters": 400}
    parts = {kind: schema.Tokenizer(kind=kind, vocab_size=sizes.get(kind, 400), digits=3) for kind in KINDS}
    return {kind: tokenizer.build(part, {"mine": 1.0}, corpus, lab) for kind, part in parts.items()}


@pytest.fixture(scope="module")
def opened(made: dict[str, Artifact]) -> dict[str, Encoding]:
    return {kind: open_tokenizer(one.path / FILE) for kind, one in made.items()}


# -- no text is changed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY)
@example(text="".join(HARD))
@settings(max_examples=100, deadline=None)
def test_any_text_round_trips_and_its_bytes_are_counted(opened: dict[str, Encoding], kind: Kind, text: str) -> None:
    one = opened[kind]
    if kind == "characters":
        text = "".join(character for character in text if one.tokenizer.token_to_id(character) is not None)
    ids = one.encode(text)
    assert one.decode(ids) == text
    assert one.token_bytes[ids].sum() == len(text.encode())
    assert (one.token_bytes[ids] > 0).all(), "text became a special token"


@cache
def in_transformers(folder: Path):  # type: ignore[no-untyped-def]
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY)
@settings(max_examples=60, deadline=None)
def test_transformers_gives_the_same_ids_and_the_text_back(
    made: dict[str, Artifact], opened: dict[str, Encoding], kind: Kind, text: str
) -> None:
    reference, ids = in_transformers(made[kind].path), opened[kind].encode(text)
    assert reference(text).input_ids == ids
    if opened[kind].unknown not in ids:
        assert reference.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_the_same_names_and_ids_in_every_kind(
    made: dict[str, Artifact], opened: dict[str, Encoding], kind: Kind
) -> None:
    one = opened[kind]
    assert (one.tokenizer.token_to_id(END), one.tokenizer.token_to_id(PAD), one.end) == (0, 1, 0)
    assert one.tokenizer.token_to_id(UNKNOWN) == (2 if kind in ("unigram", "characters") else None)
    assert one.unknown == (2 if kind == "characters" else None)
    assert not {0, 1} & set(one.encode(BEWARE))
    reference = in_transformers(made[kind].path)
    assert (reference.eos_token_id, reference.bos_token_id, reference.pad_token_id) == (0, 0, 1)


def test_a_character_outside_the_alphabet_becomes_unk_and_only_it(opened: dict[str, Encoding]) -> None:
    one = opened["characters"]
    ids = one.encode("The \U0001f680 cat")
    assert ids.count(one.unknown) == 1 and len(ids) == 9
    assert one.decode(ids) == "The  cat"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("bytes", "characters")])
@pytest.mark.parametrize("digits", [1, 3])
def test_no_token_holds_more_digits_than_asked_for_nor_digits_beside_others(
    corpus: Artifact, lab: Path, kind: Kind, digits: int
) -> None:
    part = schema.Tokenizer(kind=kind, vocab_size=700, digits=digits)
    one = open_tokenizer(tokenizer.build(part, {"mine": 1.0}, corpus, lab).path / FILE)
    text = [one.decode([id]) for id in one.encode("In 1901, 1902 and 190319041905, it's 3.14x2.")]
    held = [token for token in text if any(character.isdigit() for character in token)]
    assert all(token.isdigit() and len(token) <= digits for token in held)
    if kind != "unigram":  # which may find it likelier to spell a year in parts
        assert max(map(len, held)) == digits  # the years are frequent enough to be learned


def test_line_ends_stay_with_the_marks_before_them_as_in_llama_3(opened: dict[str, Encoding]) -> None:
    assert ".ĊĊ" in opened["bpe"].tokenizer.get_vocab()  # a line end's name in a byte-level vocabulary is Ċ


@given(st.lists(st.sampled_from(["\n", "\n\n", " ", "\r\n", "word", "\t", "'s", ".", "  x", "12", "\u2028", "\x1c"])))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("digits", [1, 3])
def test_a_long_text_cut_in_parts_encodes_as_the_whole(
    by_digits: dict[int, Encoding], digits: int, words: list[str]
) -> None:
    one, text = by_digits[digits], "".join(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groundup.tokens.encoding.PART", 5)
        parts = list(cut(text))
        assert [last for _, last in one.parts(text)] == [False] * (len(parts) - 1) + [True]
    assert "".join(parts) == text and one.cuttable
    assert [id for part in parts for id in one.encode(part)] == one.encode(text)


@pytest.fixture(scope="module")
def by_digits(corpus: Artifact, lab: Path) -> dict[int, Encoding]:
    parts = {digits: schema.Tokenizer(vocab_size=450, digits=digits) for digits in (1, 3)}
    return {
        digits: open_tokenizer(tokenizer.build(part, {"mine": 1.0}, corpus, lab).path / FILE)
        for digits, part in parts.items()
    }


def test_a_text_without_line_ends_is_not_cut() -> None:
    assert list(cut("x" * 3 * PART)) == ["x" * 3 * PART]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bpe", "unicode-bpe", "unigram"])
def test_a_vocabulary_that_the_text_cannot_fill_is_refused_with_what_it_can(
    corpus: Artifact, lab: Path, kind: Kind
) -> None:
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(kind=kind, vocab_size=50_000), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "vocabulary-too-large"
    supported = int(refusal.value.fix.split("=")[1].split()[0])
    part = schema.Tokenizer(kind=kind, vocab_size=supported)
    assert tokenizer.build(part, {"mine": 1.0}, corpus, lab).manifest["counts"]["vocab_size"] == supported


def test_a_vocabulary_without_room_for_words_is_refused(corpus: Artifact, lab: Path) -> None:
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(kind="unicode-bpe", vocab_size=290), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "vocabulary-too-small"


def test_a_sample_without_a_document_is_refused(corpus: Artifact, lab: Path) -> None:
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(sample_mb=1e-9), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "empty-sample"


@pytest.mark.parametrize("content", ["", "{}", '{"model": 1}', "[" * 100_000, "\x00\xff"])
def test_a_damaged_tokenizer_is_refused(corpus: Artifact, lab: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(use=str(path)), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "bad-tokenizer"


def edited(written: dict, how: str) -> None:
    vocabulary = written["model"]["vocab"]
    if how == "a gap in the ids":
        vocabulary["gap"] = len(vocabulary) + 5
    elif how == "a byte is missing":
        name = next(name for name, id in vocabulary.items() if name == "Ā")  # the byte 0
        vocabulary["elsewhere"] = vocabulary.pop(name)
    elif how == "it normalises":
        written["normalizer"] = json.loads(normalizers.NFKC().__getstate__())
    elif how == "it puts a space in front":
        written["pre_tokenizer"] = json.loads(pre_tokenizers.ByteLevel(add_prefix_space=True).__getstate__())
    elif how == "no end of text":
        vocabulary["<|end|>"] = vocabulary.pop(END)
        written["added_tokens"][0]["content"] = "<|end|>"
    elif how == "it drops what it does not decode":
        written["decoder"] = None


@pytest.mark.parametrize(
    "how",
    [
        "a gap in the ids",
        "a byte is missing",
        "it normalises",
        "it puts a space in front",
        "no end of text",
        "it drops what it does not decode",
    ],
)
def test_a_tokenizer_edited_by_hand_that_changes_text_is_refused(
    made: dict[str, Artifact], corpus: Artifact, lab: Path, tmp_path: Path, how: str
) -> None:
    written = json.loads((made["bpe"].path / FILE).read_text())
    edited(written, how)
    (tmp_path / FILE).write_text(json.dumps(written))
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(use=str(tmp_path)), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "bad-tokenizer"


def test_a_run_s_tokenizer_that_was_changed_afterwards_is_refused(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = str(tmp_path / "lab")
    assert main(["train", str(tiny), "--lab", lab]) == 0
    (path,) = (tmp_path / "lab" / "runs").glob(f"*/{FILE}")
    path.write_text(path.read_text().replace('"model"', ' "model"', 1))
    capsys.readouterr()
    assert main(["sample", "last", "--lab", lab]) == 3
    assert "was changed afterwards [bad-tokenizer]" in capsys.readouterr().err


def test_shards_of_another_tokenizer_in_a_run_s_place_are_refused(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from groundup.store.files import digest

    lab = tmp_path / "lab"
    assert main(["train", str(tiny), "--lab", str(lab)]) == 0
    (mine,) = (lab / "artifacts").glob("shards-*")
    assert main(["train", str(tiny), "tokenizer.vocab_size=280", "--lab", str(lab)]) == 0
    (other,) = set((lab / "artifacts").glob("shards-*")) - {mine}
    manifest = json.loads((other / "manifest.json").read_text()) | {
        "id": mine.name
    }  # someone knows what they are doing
    del manifest["sha256"]
    (other / "manifest.json").write_text(json.dumps(manifest | {"sha256": digest(manifest)}))
    mine.rename(tmp_path / "aside")
    other.rename(mine)
    first = min((lab / "runs").iterdir(), key=lambda path: (path / "lineage.json").stat().st_mtime)
    capsys.readouterr()
    assert main(["eval", str(first), "--lab", str(lab)]) == 3
    assert "does not hold the tokens that the run was trained on" in capsys.readouterr().err


def test_a_tokenizer_of_this_lab_is_taken_over(made: dict[str, Artifact], corpus: Artifact, lab: Path) -> None:
    for one in made.values():
        for use in (one.id, str(one.path), str(one.path / FILE)):
            assert tokenizer.build(schema.Tokenizer(use=use), {"mine": 1.0}, corpus, lab).id == one.id


def test_bytes_counts_are_of_32_or_16_bits_as_the_vocabulary_needs() -> None:
    from groundup.tokens import pack

    big = Encoding(None, 0, np.zeros(65_537, np.int64))  # type: ignore[arg-type]
    small = Encoding(None, 0, np.zeros(65_536, np.int64))  # type: ignore[arg-type]
    assert (pack.dtype(big), pack.dtype(small)) == (np.dtype("uint32"), np.dtype("uint16"))
