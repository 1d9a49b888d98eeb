"""Every document once, in its split for good, with its raw bytes kept and a record of all that was left out."""

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data import corpus as corpora
from groundup.data import duplicates, engine, minhash, sources
from groundup.data.clean import normalise
from groundup.data.leaks import HeldText, build_index, scan
from groundup.data.prepare import draw_split
from groundup.errors import GroundupError
from groundup.recipe.schema import Data, Source
from groundup.store.artifacts import Artifact

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")
WORDS = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in ("rt", "nd", "ss", "lk", "mp")]


def build(lab: Path, given: dict[str, Source], **options: Any) -> Artifact:
    return corpora.build(Data(sources=given, **{"valid_fraction": 0.0, "test_fraction": 0.0} | options), lab)


def lines(path: Path, texts: list[str], **columns: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text} | columns) + "\n" for text in texts))
    return str(path)


def story(seed: int, words: int = 60) -> str:
    """Words that another seed does not give in this order."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def rows(corpus: Artifact, source: str = "mine", split: str = "train") -> list[dict[str, Any]]:
    paths = sorted(corpus.path.glob(f"{source}.{split}.*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def texts(corpus: Artifact, source: str = "mine", split: str = "train") -> list[str]:
    return list(corpora.texts(corpus, source, split))


def removed(corpus: Artifact) -> list[dict[str, Any]]:
    return [
        row for path in sorted(corpus.path.glob("removed.[0-9]*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def report(corpus: Artifact) -> dict[str, Any]:
    return json.loads((corpus.path / "report.json").read_bytes())


def places(corpus: Artifact, *names: str) -> dict[str, tuple[str, str]]:
    """(source, split) of every text of a corpus."""
    found: dict[str, tuple[str, str]] = {}
    for source in names or ("mine",):
        for split in ("train", "valid", "test"):
            for text in texts(corpus, source, split):
                assert text not in found
                found[text] = (source, split)
    return found


def refused(code: str, *words: str, build: Any) -> GroundupError:
    with pytest.raises(GroundupError) as refusal:
        build()
    assert refusal.value.code == code and all(word in refusal.value.what for word in words), refusal.value
    return refusal.value


# -- duplicates --------------------------------------------------------------------------------------------------------


def test_exact_duplicates_go_over_all_sources_and_splits_and_the_held_out_one_survives(tmp_path: Path) -> None:
    first = Source(path=lines(tmp_path / "a.jsonl", ["shared", "held out", "only a", "only a"]))
    second = Source(
        path=lines(tmp_path / "b.jsonl", ["shared", "only b"]),
        valid=lines(tmp_path / "valid.jsonl", ["held out", "held  out"]),
    )
    made = build(tmp_path / "lab", {"a": first, "b": second})
    assert places(made, "a", "b") == {
        "held out": ("b", "valid"),
        "held  out": ("b", "valid"),
        "shared": ("a", "train"),
        "only a": ("a", "train"),
        "only b": ("b", "train"),
    }
    assert [made.manifest["counts"][name]["duplicates"] for name in "ab"] == [2, 1]


def test_of_equal_documents_the_first_source_s_stays_and_another_order_is_another_corpus(tmp_path: Path) -> None:
    given = {name: Source(path=lines(tmp_path / f"{name}.jsonl", ["shared", f"only {name}"])) for name in "ab"}
    one, other = (build(tmp_path / "lab", {name: given[name] for name in order}) for order in ("ab", "ba"))
    assert one.id != other.id
    assert places(one, "a", "b")["shared"][0] == "a" and places(other, "a", "b")["shared"][0] == "b"


def edited(text: str, number: int, seed: int = 0) -> str:
    words, choice = text.split(), random.Random(seed)
    for place in choice.sample(range(len(words)), number):
        words[place] = "edited"
    return " ".join(words)


def test_near_duplicates_leave_one_of_each_cluster_and_nothing_else_goes(tmp_path: Path) -> None:
    originals = [story(seed, 200) for seed in range(50)]
    copies = [edited(originals[seed], 10, seed) for seed in range(20)]
    longer = [f"{originals[30]} and one more ending to it"]
    made = build(tmp_path / "lab", {"mine": Source(path=lines(tmp_path / "a.jsonl", originals + copies + longer))})
    kept = set(texts(made))
    assert len(kept) == 50 and made.manifest["counts"]["mine"]["near_duplicates"] == 21
    assert set(originals[20:30] + originals[31:] + longer) <= kept  # the longest document of a cluster stays
    assert all((originals[seed] in kept) != (copies[seed] in kept) for seed in range(20))
    entry = report(made)["clusters"]
    assert entry["sizes"] == {"2": 21} and sum(entry["similarity"]["counts"]) == 21


def test_a_held_out_document_survives_its_near_duplicate_in_train_however_long(tmp_path: Path) -> None:
    held = story(1, 100)
    train = [held + " " + story(2, 20), story(3)]
    source = Source(path=lines(tmp_path / "a.jsonl", train), valid=lines(tmp_path / "v.jsonl", [held]), license="CC0")
    made = build(tmp_path / "lab", {"mine": source})
    assert texts(made, split="valid") == [held] and texts(made) == [train[1]]
    (row,) = removed(made)
    assert row["reason"] == "near-duplicate" and row["partner"] == rows(made, split="valid")[0]["id"]
    assert row["place"] == "a.jsonl, line 1" and 0.5 <= row["similarity"] < 1


def test_short_documents_and_those_below_the_threshold_are_not_near_duplicates(tmp_path: Path) -> None:
    short = [f"the cat number {number} sat on the mat and ate one more fig" for number in range(10)]
    apart = [story(1, 50) + " " + story(seed, 150) for seed in range(10, 20)]  # they share an opening
    path = lines(tmp_path / "a.jsonl", short + apart)
    assert len(texts(build(tmp_path / "lab", {"mine": Source(path=path)}))) == 20
    copies = lines(tmp_path / "b.jsonl", [story(1), story(1) + " end"])
    assert len(texts(build(tmp_path / "lab", {"mine": Source(path=copies)}, near_duplicates=None))) == 2


@given(st.lists(st.integers(0, 6), max_size=60))
def test_every_pair_of_a_small_bucket_is_a_candidate_and_a_large_one_hangs_together(keys: list[int]) -> None:
    first, second = minhash._bucket_pairs(np.array(keys, np.uint64))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) and all(a < b and keys[a] == keys[b] for a, b in pairs)
    for key in set(keys):
        places = [place for place, other in enumerate(keys) if other == key]
        inside = {pair for pair in pairs if keys[pair[0]] == key}
        if len(places) <= minhash.ALL_PAIRS:
            assert inside == set(itertools.combinations(places, 2))
        else:
            assert inside == {*itertools.pairwise(places), *((places[0], other) for other in places[2:])}


def test_a_crowd_of_copies_is_one_cluster(tmp_path: Path) -> None:
    original = story(5, 300)
    copies = [edited(original, 6, seed) for seed in range(60)]  # more than any bucket measures pair by pair
    made = build(tmp_path / "lab", {"mine": Source(path=lines(tmp_path / "a.jsonl", [original, *copies, story(6)]))})
    assert len(texts(made)) == 2 and report(made)["clusters"]["sizes"] == {"61": 1}


def test_duplicates_are_the_same_however_few_keys_are_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [story(seed, 200) for seed in range(60)] + [story(seed, 200) for seed in range(0, 60, 3)]
    given += [edited(story(seed, 200), 6, seed) for seed in range(0, 60, 4)]
    source = Source(path=lines(tmp_path / "a.jsonl", given))
    one = build(tmp_path / "one", {"mine": source})
    monkeypatch.setattr(duplicates, "KEYS_AT_ONCE", 20)
    monkeypatch.setattr(minhash, "PAIRS_AT_ONCE", 4)
    other = build(tmp_path / "other", {"mine": source})
    assert one.manifest["files"] == other.manifest["files"] and len(texts(one)) == 60


def test_the_generated_world_is_not_thinned(tmp_path: Path) -> None:
    made = build(tmp_path / "lab", {"mine": Source(corpus="world-stories", documents=300)})
    counts = made.manifest["counts"]["mine"]
    assert counts["near_duplicates"] == 0 and counts["train"]["documents"] + counts["duplicates"] == 300
    assert 0.1 < counts["train"]["entropy_bpb"] < 1


# -- splits ------------------------------------------------------------------------------------------------------------


def test_official_splits_are_kept_and_only_what_is_missing_is_drawn(tmp_path: Path) -> None:
    train = [f"train {number}" for number in range(200)]
    valid = lines(tmp_path / "valid.jsonl", ["held one", "held two"])
    source = Source(path=lines(tmp_path / "a.jsonl", train), valid=valid)
    made = build(tmp_path / "lab", {"mine": source}, valid_fraction=0.4, test_fraction=0.4)
    assert texts(made, split="valid") == ["held one", "held two"]
    assert 40 < len(texts(made, split="test")) < 120  # drawn, since the source has no official one
    assert set(texts(made)) | set(texts(made, split="test")) == set(train)


def test_a_held_out_file_inside_the_training_folder_stays_held_out(tmp_path: Path) -> None:
    lines(tmp_path / "all" / "train.jsonl", ["one", "two"])
    valid = lines(tmp_path / "all" / "valid.jsonl", ["three"])
    made = build(tmp_path / "lab", {"mine": Source(path=str(tmp_path / "all"), valid=valid)})
    assert places(made) == {"one": ("mine", "train"), "two": ("mine", "train"), "three": ("mine", "valid")}


def test_adding_a_thousand_documents_moves_none_between_splits(tmp_path: Path) -> None:
    first = [story(seed) for seed in range(300)]
    split = {"valid_fraction": 0.2, "test_fraction": 0.2}
    before = places(build(tmp_path / "lab", {"mine": Source(path=lines(tmp_path / "a.jsonl", first))}, **split))
    everything = first + [story(seed) for seed in range(1000, 2000)]
    random.Random(0).shuffle(everything)
    after = places(build(tmp_path / "lab", {"mine": Source(path=lines(tmp_path / "b.jsonl", everything))}, **split))
    assert (
        len(before) == 300
        and len(after) == 1300
        and {place[1] for place in before.values()}
        == {
            "train",
            "valid",
            "test",
        }
    )
    assert all(after[text] == place for text, place in before.items())


@given(st.lists(st.integers(0, 60), unique=True, min_size=5), st.lists(st.integers(61, 120), unique=True), st.randoms())
@settings(max_examples=5, deadline=None)
def test_a_document_never_moves_when_others_are_added_or_the_order_changes(
    tmp_path_factory: pytest.TempPathFactory, first: list[int], added: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("split")

    def split_of(name: str, numbers: list[int]) -> dict[str, tuple[str, str]]:
        path = lines(folder / name, ["document 0", *(f"document {number}" for number in numbers)])
        try:
            return places(build(folder / "lab", {"mine": Source(path=path)}, valid_fraction=0.2, test_fraction=0.2))
        except GroundupError as error:  # by chance nothing was left to train on
            assert error.code == "no-text"
            return {}

    before = split_of("before.jsonl", first)
    everything = [*first, *added]
    random.shuffle(everything)
    after = split_of("after.jsonl", everything)
    if after:
        assert all(after[text] == place for text, place in before.items())


def test_a_drawn_split_has_about_the_share_asked_for() -> None:
    keys = [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(20_000)]
    drawn = [draw_split(key, 0.1, 0.05) for key in keys]
    assert abs(drawn.count("valid") / 20_000 - 0.1) < 0.01 and abs(drawn.count("test") / 20_000 - 0.05) < 0.01
    grown = [draw_split(key, 0.2, 0.05) for key in keys]
    assert all(after == "valid" for before, after in zip(drawn, grown, strict=True) if before == "valid")


def test_the_pieces_of_a_long_document_stay_together_and_add_up_to_its_raw_text(tmp_path: Path) -> None:
    books = [
        "\n\n".join(f"CHAPTER {part}\n\n{story(100 * book + part, 90)}" for part in range(6)) for book in range(12)
    ]
    source = Source(path=lines(tmp_path / "a.jsonl", books), cut_words=100)
    made = build(tmp_path / "lab", {"mine": source}, valid_fraction=0.3, test_fraction=0.2)
    where: dict[str, set[str]] = {}
    raws: dict[str, str] = {}
    for split in ("train", "valid", "test"):
        for row in rows(made, split=split):
            book = next(book for book in books if row["text"].split("\n\n")[-1] in book)
            where.setdefault(book, set()).add(split)
            raws[book] = raws.get(book, "") + (row["raw"].decode() if row["raw"] is not None else row["text"])
    assert len(where) == 12 and all(len(splits) == 1 for splits in where.values())
    assert {split for splits in where.values() for split in splits} == {"train", "valid", "test"}
    assert all(raws[book] == book for book in books)
    assert (
        report(made)["sources"]["mine"]["pieces"] == 72 and made.manifest["counts"]["mine"]["read"]["documents"] == 12
    )


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_raw_bytes_are_kept_where_they_differ_from_the_text_and_only_there(tmp_path: Path) -> None:
    raws = [b"as it is", b"two  \r\nlines\x07 ", "e\u0301".encode(), "â€œmojibake, as it came\u201d".encode()]
    (tmp_path / "a.txt").write_bytes(b"<end>".join(raws))
    made = build(tmp_path / "lab", {"mine": Source(path=str(tmp_path / "a.txt"), delimiter="<end>")})
    found = rows(made)
    assert [row["text"] for row in found] == ["as it is", "two\nlines", "é", "“mojibake, as it came”"]
    assert [row["raw"] for row in found] == [None, *raws[1:]]
    assert report(made)["sources"]["mine"]["changed"]["repaired"] == 1


def test_a_document_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    source = Source(path=lines(tmp_path / "a.jsonl", ["x"], url="http://e", date="2020"), license="MIT", language="eo")
    made = build(tmp_path / "lab", {"mine": source})
    (row,) = rows(made)
    wanted = {"text": "x", "source": "mine", "license": "MIT", "language": "eo", "date": "2020", "url": "http://e"}
    assert row.items() >= wanted.items() and row["raw"] is None and len(row["id"]) == 32
    (record,) = made.manifest["sources"]
    assert record["sha256"] == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()


def test_ids_are_unique_and_stay_when_folders_move_and_files_are_added(tmp_path: Path) -> None:
    def ids(top: str, *names: str) -> dict[str, str]:
        for name in names:
            lines(tmp_path / top / name, [f"{name} one", f"{name} two"])
        found = rows(build(tmp_path / "lab", {"mine": Source(path=str(tmp_path / top))}))
        assert len({row["id"] for row in found}) == len(found)
        return {row["text"]: row["id"] for row in found}

    before = ids("here", "a/x.jsonl", "b/x.jsonl")  # the same name in two folders
    after = ids("there", "a/x.jsonl", "b/x.jsonl", "0.jsonl")
    assert len(before) == 4 and all(after[text] == id for text, id in before.items())


def test_the_same_contents_make_the_same_corpus_wherever_they_lie_and_other_rules_another(tmp_path: Path) -> None:
    two = [lines(tmp_path / place / "a.jsonl", [story(1), story(2)]) for place in ("one", "two")]
    made = [build(tmp_path / "lab", {"mine": Source(path=path)}).id for path in two]
    assert made[0] == made[1]
    others = [
        build(tmp_path / "lab", {"mine": Source(path=two[0], filters=["length"])}).id,
        build(tmp_path / "lab", {"mine": Source(path=two[0], cut_words=1000)}).id,
        build(tmp_path / "lab", {"mine": Source(path=two[0])}, near_duplicates=0.9).id,
        build(tmp_path / "lab", {"mine": Source(path=two[0])}, on_bad="skip").id,
    ]
    assert len({made[0], *others}) == 5


# -- what is left out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", " \n\n\t ", "\x01\x02", "<end><end>"])
def test_a_file_with_no_text_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>")
    refused("no-text", "mine", build=lambda: build(tmp_path / "lab", {"mine": source}))


def test_empty_documents_are_counted_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one<end>\n<end>two<end>")
    made = build(tmp_path / "lab", {"mine": Source(path=str(tmp_path / "a.txt"), delimiter="<end>")})
    assert texts(made) == ["one", "two"] and made.manifest["counts"]["mine"]["empty"] == 2


@pytest.mark.parametrize("bad", [b"caf\xe9 in Latin-1", b"a program\x00\x01\x02"])
def test_what_is_no_text_stops_the_work_with_its_place_or_is_skipped_and_counted(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(b"good one<end>" + bad + b"<end>good two")
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>")
    error = refused("bad-file", "a.txt, document 2", build=lambda: build(tmp_path / "lab", {"mine": source}))
    assert "data.on_bad=skip" in error.fix
    made = build(tmp_path / "lab", {"mine": source}, on_bad="skip")
    assert texts(made) == ["good one", "good two"] and made.manifest["counts"]["mine"]["unreadable"] == 1
    (row,) = removed(made)
    assert row["reason"] == "unreadable" and row["place"] == "a.txt, document 2"


def test_a_document_that_looks_like_utf_16_in_a_file_that_is_not_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good one<end>" + b"\xff\xfe" + b"plain text<end>good two")
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>")
    refused("bad-file", "a.txt, document 2", build=lambda: build(tmp_path / "lab", {"mine": source}))


def test_a_csv_row_that_its_own_commas_cut_up_is_not_shortened_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\ngood,1\nhello, world,5\n")
    source = Source(path=str(tmp_path / "a.csv"))
    refused("bad-file", "a.csv, row 2", build=lambda: build(tmp_path / "lab", {"mine": source}))


def test_what_is_read_is_what_is_removed_and_kept_in_bytes_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good one<end>" + b"\xe9" * 50 + b"<end>good two")
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>")
    entry = report(build(tmp_path / "lab", {"mine": source}, on_bad="skip"))["sources"]["mine"]
    assert entry["read"]["bytes"] == 66 and entry["removed"]["unreadable"]["bytes"] == 50


def test_a_source_may_be_named_like_our_own_files(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [story(1), story(2), ""])
    made = build(tmp_path / "lab", {"removed": Source(path=path)})
    assert len(texts(made, "removed")) == 2 and [row["reason"] for row in removed(made)] == ["empty"]


def test_a_path_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    source = Source(path=str(tmp_path / "a.txt"))
    refused("no-such-file", "not a regular file", build=lambda: build(tmp_path / "lab", {"mine": source}))


def test_what_left_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    source = Source(path=lines(tmp_path / "a.jsonl", ["too short", "short, too"]), filters=["length"])
    refused("no-text", "2 read; left out: 2 too-short", build=lambda: build(tmp_path / "lab", {"mine": source}))


def test_an_encoding_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café one<end>naïve two".encode("cp1252"))
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>", encoding="cp1252")
    made = build(tmp_path / "lab", {"mine": source})
    assert texts(made) == ["café one", "naïve two"]


def test_rules_leave_documents_out_with_reason_and_place_and_only_where_they_are_asked_for(tmp_path: Path) -> None:
    page = "Good day. We sell boats. They are blue. They swim. Buy one of them today, for it is the best of them all. "
    good = page * 1 + story(1, 60) + "."
    path = lines(tmp_path / "a.jsonl", ["too short", good, " ".join(["again and again"] * 50)])
    assert len(texts(build(tmp_path / "lab", {"mine": Source(path=path)}))) == 3
    made = build(tmp_path / "lab", {"mine": Source(path=path, filters=["length", "repetition"])})
    assert texts(made) == [good]
    assert [(row["place"], row["reason"]) for row in removed(made)] == [
        ("a.jsonl, line 1", "too-short"),
        ("a.jsonl, line 3", "top-ngram"),
    ]
    entry = report(made)
    assert entry["sources"]["mine"]["removed"]["too-short"] == {"documents": 1, "bytes": 9}
    assert (
        entry["examples"]["too-short"][0]["text"] == "too short" and "50" in entry["examples"]["too-short"][0]["detail"]
    )
    assert made.manifest["counts"]["mine"]["filtered"] == 2


def test_every_document_and_piece_is_accounted_for(tmp_path: Path) -> None:
    given = [story(seed % 40) for seed in range(60)] + ["", "short"] + [edited(story(50, 99), 3, n) for n in range(5)]
    made = build(tmp_path / "lab", {"mine": Source(path=lines(tmp_path / "a.jsonl", given), filters=["length"])})
    entry = report(made)["sources"]["mine"]
    gone = sum(one["documents"] for one in entry["removed"].values())
    assert len(given) == entry["pieces"] == gone + sum(one["documents"] for one in entry["kept"].values())
    assert len(removed(made)) == gone == 20 + 2 + 4
    assert sum(entry["lengths"]["read"]) == 67 and sum(entry["lengths"]["kept"]) == 41


# -- leaks -------------------------------------------------------------------------------------------------------------


def with_leak(folder: Path) -> tuple[dict[str, Source], str, str]:
    """A validation text, and a training document that holds it among other text."""
    held = story(1, 100)
    leaking = story(2, 150) + " " + held + " " + story(3, 150)
    source = Source(
        path=lines(folder / "train.jsonl", [story(4, 200), leaking, story(5, 200)]),
        valid=lines(folder / "valid.jsonl", [held, story(6, 100)]),
    )
    return {"mine": source}, held, leaking


def test_a_planted_copy_of_validation_text_in_train_is_found_and_named(tmp_path: Path, capfd: Any) -> None:
    given, _, leaking = with_leak(tmp_path)
    made = build(tmp_path / "lab", given)
    leaks = report(made)["leaks"]
    (found,) = leaks["documents"]
    assert (found["against"], found["place"], found["overlap"]) == ("mine.valid", "valid.jsonl, line 1", 1.0)
    assert (found["train_source"], found["train_place"]) == ("mine", "train.jsonl, line 2")
    assert leaks["checked"] == [{"name": "mine.valid", "documents": 2, "short": 0, "touched": 1, "leaked": 1}]
    warning = "1 of 2 texts of mine.valid stand in train"
    assert leaking in texts(made) and warning in capfd.readouterr().err
    build(tmp_path / "lab", given)
    assert warning in capfd.readouterr().err  # a corpus that is reused leaks no less


def test_leaking_documents_are_left_out_or_stop_the_work_as_the_recipe_says(tmp_path: Path) -> None:
    given, _, leaking = with_leak(tmp_path)
    error = refused("leak", "train.jsonl, line 2", build=lambda: build(tmp_path / "lab", given, decontaminate="fail"))
    assert error.exit_code == 1
    made = build(tmp_path / "lab", given, decontaminate="remove")
    assert leaking not in texts(made) and len(texts(made)) == 2 and made.manifest["counts"]["mine"]["leaks"] == 1
    assert report(made)["leaks"]["removed"] == 1 and removed(made)[0]["reason"] == "leak"


def test_benchmark_sentences_are_looked_for_whole_even_where_they_are_short(tmp_path: Path) -> None:
    sentence = "Who had the actress never bored before lunch"
    train = [story(1, 200), f"{story(2, 50)} {sentence.upper()}! {story(3, 50)}"]
    rows = [{"good": sentence, "bad": "a sentence that stands nowhere in it"}, {"good": "too short", "id": "x"}]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(path=lines(tmp_path / "a.jsonl", train))
    made = build(tmp_path / "lab", {"mine": source}, benchmarks={"pairs": str(tmp_path / "pairs.jsonl")})
    leaks = report(made)["leaks"]
    assert leaks["checked"] == [{"name": "benchmark pairs", "documents": 3, "short": 1, "touched": 1, "leaked": 1}]
    assert leaks["documents"][0]["text"] == sentence and leaks["documents"][0]["train_place"] == "a.jsonl, line 2"


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), max_size=4),
    st.lists(st.lists(st.sampled_from("abc"), max_size=30), max_size=4),
    st.integers(4, 6),
)
@settings(max_examples=200, deadline=None)
def test_overlaps_are_those_of_a_plain_search(held: list[list[str]], train: list[list[str]], words: int) -> None:
    def grams(text: list[str]) -> set[tuple[str, ...]]:
        return {tuple(text[place : place + words]) for place in range(len(text) - words + 1)}

    found = build_index([HeldText("mine.valid", "", "", " ".join(text)) for text in held], words)
    overlaps = {(a, b): share for a, b, share in zip(*scan(found, [" ".join(text) for text in train]), strict=True)}
    plain = {
        (a, b): len(grams(text) & grams(other)) / len(grams(other))
        for a, text in enumerate(train)
        for b, other in enumerate(held)
        if grams(text) & grams(other)
    }
    assert overlaps == pytest.approx(plain)


# -- engines and faults ------------------------------------------------------------------------------------------------


def test_several_chunks_in_several_processes_give_what_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [story(seed, 80) for seed in range(200)] + [story(seed, 80) for seed in range(0, 200, 7)]
    source = Source(path=lines(tmp_path / "a.jsonl", given))
    split = {"valid_fraction": 0.1, "test_fraction": 0.1}
    one = places(build(tmp_path / "one", {"mine": source}, **split))
    monkeypatch.setattr(sources, "CHUNK_BYTES", 20_000)
    made = build(tmp_path / "many", {"mine": source}, **split)
    assert len(list(made.path.glob("mine.train.*.parquet"))) > 3
    assert places(made) == one and list(places(made)) == list(one)


def work_that_fails() -> Any:
    """As a closure it crosses to other processes by value: they know no tests."""

    def work(task: int) -> int:
        if task == 3:
            raise GroundupError("bad-file", "the third", "mend it")
        if task == 13:
            raise OSError(28, "No space left on device", "there")
        if task == 23:
            raise ZeroDivisionError
        if task == 33:
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task

    return work


def test_tasks_run_in_processes_and_their_errors_come_back_as_they_were() -> None:
    assert dict(engine.each(work_that_fails(), [0, 1, 2])) == {0: 0, 1: 1, 2: 4}
    with pytest.raises(GroundupError) as known:
        list(engine.each(work_that_fails(), [2, 3]))
    assert (known.value.code, known.value.what, known.value.fix) == ("bad-file", "the third", "mend it")
    with pytest.raises(OSError) as full:
        list(engine.each(work_that_fails(), [12, 13]))
    assert full.value.errno == 28 and full.value.filename == "there"
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(engine.each(work_that_fails(), [22, 23]))


def test_a_killed_process_is_an_error_that_says_how_to_go_on() -> None:
    error = refused("worker-lost", build=lambda: list(engine.each(work_that_fails(), [32, 33])))
    assert "same command again" in error.fix


def test_interrupted_work_goes_on_with_the_chunks_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 10_000)
    source = Source(path=lines(tmp_path / "a.jsonl", [story(seed, 80) for seed in range(100)]))

    def inline(stop: int, work: Any, tasks: Any) -> Any:
        for task in tasks:
            if task == stop:
                raise KeyboardInterrupt
            done.append(task)
            yield task, work(task)

    done: list[int] = []
    monkeypatch.setattr(engine, "each", partial(inline, 2))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "lab", {"mine": source})
    (work,) = (tmp_path / "lab" / "unfinished").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in work.glob("*.staged.parquet")}
    assert len(before) == 2 and not list((tmp_path / "lab" / "artifacts").iterdir())
    monkeypatch.setattr(engine, "each", partial(inline, -1))
    rmtree = corpora.shutil.rmtree
    seen: dict[str, int] = {}
    monkeypatch.setattr(
        corpora.shutil,
        "rmtree",
        lambda path, *a, **k: (
            seen.update({one.name: one.stat().st_mtime_ns for one in Path(path).glob("*.staged.parquet")}),
            rmtree(path, *a, **k),
        ),
    )
    made = build(tmp_path / "lab", {"mine": source})
    assert len(texts(made)) == 100 and all(seen[name] == when for name, when in before.items())
    assert not work.exists()


COMMAND = [sys.executable, "-m", "groundup.cli", "data"]


def recipe(folder: Path, documents: list[str]) -> Path:
    lines(folder / "a.jsonl", documents)
    (folder / "mine.yaml").write_text(
        f"data: {{sources: {{mine: {{path: {folder / 'a.jsonl'}}}}}}}\nmodel: {{size: 20m}}\n"
    )
    return folder / "mine.yaml"


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    documents = [story(seed, 80) for seed in range(150)] + [edited(story(seed, 80), 3, seed) for seed in range(50)]
    path = recipe(tmp_path, documents)
    files = {}
    for name in ("local", "ray"):
        lab = tmp_path / name
        subprocess.run([*COMMAND, path, f"data.engine={name}", "--lab", lab], check=True, timeout=280)
        (manifest,) = lab.glob("artifacts/*/manifest.json")
        files[name] = json.loads(manifest.read_bytes())["files"]
    assert files["local"] == files["ray"] and "report.json" in files["ray"]


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    path = recipe(tmp_path, [story(1)])
    arguments = [path, "data.engine=ray", "data.ray_address=127.0.0.1:1", "--lab", tmp_path / "lab"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "[no-cluster]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_in_the_middle_ends_with_the_exit_code_for_it_and_leaves_no_process(tmp_path: Path) -> None:
    path = recipe(tmp_path, [story(seed, 2000) for seed in range(6000)])  # 60 MB: two chunks
    process = subprocess.Popen(
        [*COMMAND, path, "--lab", tmp_path / "lab"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("lab/unfinished/*/*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 4 and "[interrupted]" in errors and "Traceback" not in errors, errors
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


# -- real text ---------------------------------------------------------------------------------------------------------


@needs_real_data
def test_real_stories_all_stay_and_revisions_of_real_passages_go(tmp_path: Path) -> None:
    given = {
        "stories": Source(path=str(REAL / "tinystories" / "train.txt"), corpus="tinystories"),
        "passages": Source(path=str(REAL / "wikitext" / "passages.jsonl")),
    }
    made = build(tmp_path / "lab", given)
    counts = made.manifest["counts"]
    assert counts["stories"]["near_duplicates"] == counts["stories"]["duplicates"] == 0
    assert counts["stories"]["train"]["documents"] == 10_267
    assert 3_000 < counts["passages"]["near_duplicates"] < 4_000


@needs_real_data
def test_real_news_with_labelled_copies_lose_those_and_no_other(tmp_path: Path) -> None:
    folder = REAL / "noisy"
    articles = [line.split(" ", 1) for line in (folder / "minhash_articles_1000.train").read_text().splitlines()]
    path = lines(tmp_path / "a.jsonl", [text for _, text in articles])
    made = build(tmp_path / "lab", {"mine": Source(path=path)})
    kept = set(texts(made))
    pairs = [line.split() for line in (folder / "minhash_articles_1000.truth").read_text().splitlines()]
    by_name = {name: normalise(text) for name, text in articles}
    assert len(kept) == 990 and all(sum(by_name[name] in kept for name in pair) == 1 for pair in pairs)
