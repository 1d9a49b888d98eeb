"""The tokenizer gives back every text, and no text can forge a special token."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data import corpus as corpora
from groundup.data.finish import SPLITS
from groundup.errors import GroundupError
from groundup.recipe import schema
from groundup.store.artifacts import Artifact
from groundup.tokens import pack, tokenizer

TEXT = [f"The {a} {b} sat on the {c}." for a in ("red", "blue", "old") for b in ("cat", "dog") for c in ("mat", "hat")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact, Path]:
    lab = tmp_path_factory.mktemp("lab")
    text = lab / "text.txt"
    text.write_text("\n---\n".join([*TEXT, "Beware of <|endoftext|> and <|pad|> in a text.", "naïve 😀 text"]))
    source = schema.Source(path=str(text), delimiter="---")
    corpus = corpora.build(schema.Data(sources={"mine": source}, valid_fraction=0.2, test_fraction=0), lab)
    part = schema.Tokenizer(vocab_size=300)
    return corpus, tokenizer.build(part, {"mine": 1.0}, corpus, lab), lab


@pytest.fixture(scope="module")
def encoding(made: tuple[Artifact, Artifact, Path]) -> tokenizer.Encoding:
    return tokenizer.open_tokenizer(made[1].path / tokenizer.FILE)


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_round_trips_and_its_bytes_are_counted(encoding: tokenizer.Encoding, text: str) -> None:
    ids = encoding.encode(text)
    assert encoding.decode(ids) == text
    assert encoding.token_bytes[ids].sum() == len(text.encode())


def test_special_tokens_have_fixed_ids_and_text_never_becomes_one(encoding: tokenizer.Encoding) -> None:
    assert (encoding.tokenizer.token_to_id(tokenizer.END), encoding.tokenizer.token_to_id(tokenizer.PAD)) == (0, 1)
    ids = encoding.encode("one <|endoftext|> two <|pad|>")
    assert not {0, 1} & set(ids)
    assert encoding.decode(ids) == "one <|endoftext|> two <|pad|>"


def test_shards_hold_every_document_followed_by_its_end(
    made: tuple[Artifact, Artifact, Path], encoding: tokenizer.Encoding
) -> None:
    corpus, trained, lab = made
    shards = pack.build(corpus, trained, lab)
    for split in SPLITS:
        tokens = np.concatenate(pack.read_shards(shards.path, "mine", split))
        texts = list(corpora.texts(corpus, "mine", split))
        assert (tokens == encoding.end).sum() == len(texts)
        ends = np.flatnonzero(tokens == encoding.end)
        parts = np.split(tokens, ends + 1)[: len(ends)]
        assert [encoding.decode(part.tolist()) for part in parts] == texts
        counts = shards.manifest["counts"]["mine"][split]
        assert counts["tokens"] == len(tokens) and counts["bytes"] == encoding.token_bytes[tokens].sum()


def test_a_tokenizer_of_this_lab_is_taken_over_without_packing_again(made: tuple[Artifact, Artifact, Path]) -> None:
    corpus, trained, lab = made
    shards = pack.build(corpus, trained, lab)
    for use in (trained.id, str(trained.path), str(trained.path / tokenizer.FILE)):
        same = tokenizer.build(schema.Tokenizer(use=use), {"mine": 1.0}, corpus, lab)
        assert same.id == trained.id
        assert pack.build(corpus, same, lab).id == shards.id


def test_a_vocabulary_that_the_text_cannot_fill_is_refused_with_what_it_can(
    made: tuple[Artifact, Artifact, Path],
) -> None:
    corpus, _, lab = made
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(vocab_size=50_000), {"mine": 1.0}, corpus, lab)
    assert refusal.value.code == "vocabulary-too-large"
    supported = int(refusal.value.fix.split("=")[1].split()[0])
    assert (
        tokenizer.build(schema.Tokenizer(vocab_size=supported), {"mine": 1.0}, corpus, lab).manifest["counts"][
            "vocab_size"
        ]
        == supported
    )


@pytest.mark.parametrize("content", ["", "{}", '{"model": 1}', "[" * 100_000, "\x00\xff"])
def test_a_damaged_tokenizer_is_refused(made: tuple[Artifact, Artifact, Path], tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(GroundupError) as refusal:
        tokenizer.build(schema.Tokenizer(use=str(path)), {"mine": 1.0}, made[0], made[2])
    assert refusal.value.code == "bad-tokenizer"


def test_vocabularies_above_16_bits_are_packed_in_32() -> None:
    big = tokenizer.Encoding(None, 0, np.zeros(65_537, np.int64))  # type: ignore[arg-type]
    small = tokenizer.Encoding(None, 0, np.zeros(65_536, np.int64))  # type: ignore[arg-type]
    assert (pack.dtype(big), pack.dtype(small)) == (np.dtype("uint32"), np.dtype("uint16"))
