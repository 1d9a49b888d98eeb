"""Shards hold every document, by whichever encoder, and packing goes on where it was."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data import corpus as corpora
from groundup.data.finish import SPLITS
from groundup.errors import GroundupError
from groundup.recipe import schema
from groundup.store import artifacts
from groundup.store.artifacts import Artifact
from groundup.tokens import encoders, pack, tokenizer
from groundup.tokens.encoding import FILE, Encoding, open_tokenizer

TEXTS = [
    f"Story {n}: the {'very ' * (n % 7)}old cat \U0001f408 sat.\n" + f"It was {n} o'clock.\n" * (n % 50)
    for n in range(300)
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact, Path]:
    lab = tmp_path_factory.mktemp("lab")
    (lab / "text.txt").write_text("\n---\n".join([*TEXTS, "Beware of <|endoftext|> and <|pad|> in a text."]))
    source = schema.Source(path=str(lab / "text.txt"), delimiter="---")
    data = schema.Data(sources={"mine": source}, valid_fraction=0.2, test_fraction=0, near_duplicates=None)
    corpus = corpora.build(data, lab)
    return corpus, tokenizer.build(schema.Tokenizer(vocab_size=400), {"mine": 1.0}, corpus, lab), lab


def fresh(lab: Path) -> None:
    for path in [*(lab / "artifacts").glob("shards-*"), *(lab / "unfinished").glob("shards-*")]:
        shutil.rmtree(path)


@pytest.mark.parametrize("batch", [1, 3000, 1 << 24])
@pytest.mark.parametrize("shard", [1, 2000, 1 << 27])
def test_shards_hold_every_document_whole_and_followed_by_its_end(
    made: tuple[Artifact, Artifact, Path], monkeypatch: pytest.MonkeyPatch, batch: int, shard: int
) -> None:
    corpus, trained, lab = made
    fresh(lab)
    monkeypatch.setattr(pack, "BATCH_BYTES", batch)
    monkeypatch.setattr(pack, "SHARD_TOKENS", shard)
    shards = pack.build(corpus, trained, lab)
    encoding = open_tokenizer(trained.path / FILE)
    for split in SPLITS:
        texts = list(corpora.texts(corpus, "mine", split))
        read: list[str] = []
        both = zip(
            pack.read_shards(shards.path, "mine", split), pack.read_documents(shards.path, "mine", split), strict=True
        )
        for tokens, documents in both:
            ends = [*documents["start"][1:], len(tokens)] if len(documents) else []
            for record, end in zip(documents, ends, strict=True):
                assert tokens[end - 1] == encoding.end
                read.append(encoding.decode(tokens[record["start"] : end - 1].tolist()))
                assert record["bytes"] == len(read[-1].encode())
        assert read == texts
        counts = shards.manifest["counts"]["mine"][split]
        assert counts["documents"] == len(texts) and counts["bytes"] == sum(len(text.encode()) for text in texts)


def test_a_document_s_record_names_it_as_the_corpus_does(made: tuple[Artifact, Artifact, Path]) -> None:
    import pyarrow.parquet as pq

    corpus, trained, lab = made
    shards = pack.build(corpus, trained, lab)
    (path,) = corpus.path.glob("mine.train.*.parquet")
    (documents,) = pack.read_documents(shards.path, "mine", "train")
    ids = pq.read_table(path, columns=["id"])["id"].to_pylist()
    assert [f"{int(id):016x}" for id in documents["id"]] == [id[:16] for id in ids]


def both(encoding: Encoding) -> tuple[encoders.Encode, encoders.Encode]:
    pytest.importorskip("gigatoken")
    return encoders._gigatoken(encoding), encoders._tokenizers(encoding)


@given(st.lists(st.text() | st.sampled_from(["<|endoftext|>", "a\n\nb" * 4_000, "", "Story 12: it's 1,234."])))
@settings(max_examples=50, deadline=None)
def test_both_encoders_give_the_same_ids(made: tuple[Artifact, Artifact, Path], texts: list[str]) -> None:
    fast, slow = both(open_tokenizer(made[1].path / FILE))
    for mine, theirs in zip(fast(pa.array(texts, pa.string())), slow(pa.array(texts, pa.string())), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_encoder_that_errs_on_the_text_is_not_used_and_that_is_said(
    made: tuple[Artifact, Artifact, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoding = open_tokenizer(made[1].path / FILE)
    fast, _ = both(encoding)

    def errs(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        ids, lengths = fast(texts)
        return np.where(ids == ids.max(), 5, ids), lengths

    monkeypatch.setattr(encoders, "_gigatoken", lambda _: errs)
    encode, name = encoders.choose(encoding, TEXTS)
    assert name.startswith("tokenizers") and "other ids" in capsys.readouterr().err
    np.testing.assert_array_equal(encode(pa.array(TEXTS))[0], fast(pa.array(TEXTS))[0])


def test_without_gigatoken_the_shards_are_the_same_bytes(
    made: tuple[Artifact, Artifact, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, trained, lab = made
    fresh(lab)
    first = pack.build(corpus, trained, lab).manifest
    fresh(lab)

    def absent(_: Encoding) -> encoders.Encode:
        raise ImportError

    monkeypatch.setattr(encoders, "_gigatoken", absent)
    second = pack.build(corpus, trained, lab).manifest
    assert first["files"] == second["files"]
    assert second["encoder"].startswith("tokenizers")


@pytest.mark.parametrize("harm", ["none", "flipped", "gone", "record cut"])
def test_interrupted_packing_goes_on_with_what_is_missing_or_damaged(
    made: tuple[Artifact, Artifact, Path], monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    corpus, trained, lab = made
    fresh(lab)
    whole = pack.build(corpus, trained, lab).manifest["files"]
    fresh(lab)
    packed: list[str] = []
    real = pack._pack

    def until_valid(work: Path, task: pack.Task, *rest):  # type: ignore[no-untyped-def]
        if task.split != "train":
            raise KeyboardInterrupt
        return real(work, task, *rest)

    monkeypatch.setattr(pack, "_pack", until_valid)
    with pytest.raises(KeyboardInterrupt):
        pack.build(corpus, trained, lab)
    (work,) = (lab / "unfinished").glob("shards-*")
    victim = work / "mine.train.00000-000.npy"
    if harm == "flipped":
        data = bytearray(victim.read_bytes())
        data[-7] ^= 4
        victim.write_bytes(data)
    elif harm == "gone":
        victim.unlink()
    elif harm == "record cut":
        (work / "mine.train.00000.json").write_text('{"tokens": 1')

    def noted(work: Path, task: pack.Task, *rest):  # type: ignore[no-untyped-def]
        packed.append(task.split)
        return real(work, task, *rest)

    monkeypatch.setattr(pack, "_pack", noted)
    assert pack.build(corpus, trained, lab).manifest["files"] == whole
    assert packed == (["valid"] if harm == "none" else ["train", "valid"])
    assert not list((lab / "unfinished").glob("shards-*"))


@pytest.mark.parametrize("harm", ["flipped", "truncated", "emptied", "no array"])
def test_a_damaged_shard_is_named_and_never_read(made: tuple[Artifact, Artifact, Path], harm: str) -> None:
    corpus, trained, lab = made
    fresh(lab)
    shards = pack.build(corpus, trained, lab)
    path = shards.path / "mine.train.00000-000.npy"
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"truncated": data[:-100], "emptied": b"", "no array": b"\x93NUMPY\x01\x00 junk"}.get(harm, data))
    with pytest.raises(GroundupError, match=path.name) as refusal:
        artifacts.load(shards.path)
    assert refusal.value.code == "artifact-damaged"
    if harm != "flipped":
        with pytest.raises(GroundupError, match=path.name) as refusal:
            pack.read_shards(shards.path, "mine", "train")
        assert refusal.value.code == "artifact-damaged"
    fresh(lab)


def test_a_pickle_in_place_of_a_shard_is_not_unpickled(made: tuple[Artifact, Artifact, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "mine.train.00000-000.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(GroundupError) as refusal:
        pack.read_shards(tmp_path, "mine", "train")
    assert refusal.value.code == "artifact-damaged"


def test_what_the_alphabet_cannot_spell_is_counted_and_said(
    made: tuple[Artifact, Artifact, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, _, lab = made
    fresh(lab)
    part = schema.Tokenizer(kind="characters", vocab_size=258, sample_mb=0.003)
    trained = tokenizer.build(part, {"mine": 1.0}, corpus, lab)
    encoding = open_tokenizer(trained.path / FILE)
    assert encoding.tokenizer.token_to_id("<") is None  # the sample is too small to hold the odd text out
    counts = pack.build(corpus, trained, lab).manifest["counts"]["mine"]["train"]
    texts = list(corpora.texts(corpus, "mine", "train"))
    strange = [c for text in texts for c in text if encoding.tokenizer.token_to_id(c) is None]
    assert counts["unknown"] == len(strange) > 0
    assert counts["unknown_bytes"] == len("".join(strange).encode())
    assert "are not in the vocabulary" in capsys.readouterr().err
    fresh(lab)


def test_a_kept_tokenizer_packs_nothing_again(made: tuple[Artifact, Artifact, Path]) -> None:
    corpus, trained, lab = made
    shards = pack.build(corpus, trained, lab)
    same = tokenizer.build(schema.Tokenizer(use=trained.id), {"mine": 1.0}, corpus, lab)
    before = {path.name: path.stat().st_mtime_ns for path in shards.path.iterdir()}
    assert pack.build(corpus, same, lab).id == shards.id
    assert {path.name: path.stat().st_mtime_ns for path in shards.path.iterdir()} == before
    assert json.loads((shards.path / "manifest.json").read_text())["inputs"][1]["id"] == trained.id
