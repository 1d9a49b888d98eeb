"""Every document once, in its split for good, with its raw bytes kept, whatever file it came in."""

import csv
import functools
import gzip
import hashlib
import http.server
import io
import json
import socket
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.data import corpus as corpora
from groundup.data import sources
from groundup.data.clean import decode, detokenise, normalise
from groundup.data.sources import _articles, _split, find_files, read_file
from groundup.errors import GroundupError
from groundup.recipe.schema import Data, Source
from groundup.store.artifacts import Artifact

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")

TEXTS = [
    "The first story.\nIt has two lines.",
    "The second, naïve 😀 story.",
    'The "third", story.',
    "Fourth.",
    "Fifth: 1,000.",
]

# Characters that make trouble: line ends, controls, combining marks, characters that NFC changes, wide and odd spaces.
TROUBLE = st.text(
    st.sampled_from(
        "a \t\n\r\x00\x0b\x0c\x1c\x85\x7f\ufeff\u2028\u2029"
        "\u0301\u030a\u1100\u1161\u11a8\u212b\u2000\u3000\xa0\u037eÅ😀"
    )
)


def build(
    lab: Path, fractions: tuple[float, float] = (0.0, 0.0), /, mirror: str | None = None, **given: Source
) -> Artifact:
    data = Data(sources=given, valid_fraction=fractions[0], test_fraction=fractions[1], mirror=mirror)
    return corpora.build(data, lab)


def rows(corpus: Artifact, source: str = "mine", split: str = "train") -> list[dict[str, Any]]:
    return pq.read_table(corpus.path / f"{source}.{split}.parquet").to_pylist()


def places(corpus: Artifact, *names: str) -> dict[str, tuple[str, str]]:
    """(source, split) of every text of a corpus."""
    found: dict[str, tuple[str, str]] = {}
    for source in names or ("mine",):
        for split in corpora.SPLITS:
            for row in rows(corpus, source, split):
                assert row["text"] not in found
                found[row["text"]] = (source, split)
    return found


def texts(corpus: Artifact, source: str = "mine", split: str = "train") -> list[str]:
    return list(corpora.texts(corpus, source, split))


# -- cleaning ----------------------------------------------------------------------------------------------------------


@given(st.text() | TROUBLE)
@settings(max_examples=400)
@example("a\x00\u0301")
@example("a \x00\n\n \x0b\n\nb")
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text() | TROUBLE)
@settings(max_examples=400)
def test_normalised_text_is_nfc_without_control_characters_or_loose_space(text: str) -> None:
    clean = normalise(text)
    assert unicodedata.is_normalized("NFC", clean)
    assert not {one for one in clean if unicodedata.category(one) == "Cc"} - {"\n", "\t"}
    assert not {"\r", "\u2028", "\u2029", "\ufeff"} & set(clean)
    assert clean == clean.strip() and " \n" not in clean and "\t\n" not in clean and "\n\n\n" not in clean


@pytest.mark.parametrize("end", ["\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c"])
def test_every_line_end_becomes_the_same_and_joins_no_words(end: str) -> None:
    assert normalise(f"one{end}two") == "one\ntwo"


def test_normalising_keeps_what_matters() -> None:
    assert normalise("  Title\n\n\n\n\tindented  code\n") == "Title\n\n\tindented  code"
    assert normalise("e\u0301") == "é" and normalise("ﬁ ² …") == "ﬁ ² …"  # NFC, not NFKC: nothing is guessed


@given(st.text())
def test_utf_8_is_decoded_as_it_is_with_or_without_a_byte_order_mark(text: str) -> None:
    raw = text.encode()
    if not raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        assert decode(raw) == decode(b"\xef\xbb\xbf" + raw) == (text, True)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_byte_order_mark_is_decoded(encoding: str) -> None:
    assert decode("\ufeffnaïve 😀".encode(encoding)) == ("naïve 😀", True)


@given(st.binary())
def test_any_bytes_become_text_that_can_be_encoded_again(raw: bytes) -> None:
    text, whole = decode(raw)
    text.encode()
    assert whole or "\ufffd" in text


def test_documents_with_invalid_bytes_are_counted_and_keep_the_rest_of_their_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 one---caf\xc3\xa9 two---\xff\xfe\x00---three")
    made = build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.txt"), delimiter="---"))
    assert made.manifest["counts"]["mine"]["bad_utf8"] == 2
    assert texts(made)[:2] == ["caf\ufffd one", "café two"]
    assert rows(made)[0]["raw"] == b"caf\xe9 one"


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("a well @-@ known cat", "a well-known cat"),
        ("1 @,@ 000 and 3 @.@ 5", "1,000 and 3.5"),
        ("red , blue , and green .", "red, blue, and green."),
        ("what ? no ! so : yes ; well", "what? no! so: yes; well"),
        ("Teddy 's dogs don 't", "Teddy's dogs don't"),
        ('he said " hello there " twice', 'he said "hello there" twice'),
        ("a lobster ( 24 in ) [ sic ] long", "a lobster (24 in) [sic] long"),
        ("no marks, none.", "no marks, none."),
        ("the 1990s @-@ era , 5 @.@ 1 @-@ inch", "the 1990s-era, 5.1-inch"),
    ],
)
def test_the_marks_of_wikitext_are_taken_out(marked: str, plain: str) -> None:
    assert detokenise(marked) == plain


# -- cutting files into documents --------------------------------------------------------------------------------------


class Dripping:
    """A stream that gives a few bytes at a time, so that delimiters fall across the borders of blocks."""

    def __init__(self, raw: bytes, sizes: list[int]) -> None:
        self.raw, self.sizes, self.place, self.turn = raw, sizes, 0, 0

    def read(self, _: int = -1) -> bytes:
        size = self.sizes[self.turn % len(self.sizes)]
        self.turn += 1
        self.place += size
        return self.raw[self.place - size : self.place]


@given(
    st.text(st.sampled_from("ab-|é"), max_size=60),
    st.sampled_from(["--", "-", "---", "a|a", "aba", "é", "-é-", "<|endoftext|>"]),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
@settings(max_examples=500)
def test_splitting_a_stream_equals_splitting_the_text_wherever_its_blocks_end(
    text: str, mark: str, sizes: list[int]
) -> None:
    found = [raw.decode() for raw in _split(Dripping(text.encode(), sizes), mark)]
    assert found == text.split(mark)


def test_without_a_delimiter_a_file_is_one_document() -> None:
    assert list(_split(io.BytesIO(b"one --- two"), None)) == [b"one --- two"]


WIKI = [
    " \n", " = Robert Boulter = \n", " \n", " Robert is an actor . \n", " \n", " = = Career = = \n", " \n",
    " He had a role . \n", " = not a title = \n", " | = x = | \n", " = = = Deep = = = \n", " \n", " More . \n", " \n",
    " = A = \n", " \n", " A is a letter . \n", " \n",
    " = E = mc2 = \n", " \n", " Energy . \n",
]  # fmt: skip


def test_wikitext_lines_become_articles_that_begin_at_their_titles() -> None:
    found = [raw.decode() for raw in _articles(WIKI)]
    assert "".join(found) == "".join(WIKI)  # nothing is lost
    assert [text.split("\n")[0 if number else 1] for number, text in enumerate(found)] == [
        " = Robert Boulter = ",
        " = A = ",
        " = E = mc2 = ",
    ]
    assert "= = Career = =" in found[0] and "= not a title =" in found[0] and "More ." in found[0]


def test_wikitext_comes_the_same_from_lines_and_from_rows(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_text("".join(WIKI))
    # the hub's rows are lines; blank ones are empty strings
    pq.write_table(pa.table({"text": ["" if line == " \n" else line for line in WIKI]}), tmp_path / "b.parquet")
    from_lines = build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.raw"), corpus="wikitext-103"))
    from_rows = build(tmp_path / "lab", mine=Source(path=str(tmp_path / "b.parquet"), corpus="wikitext-103"))
    words = [[text.split() for text in texts(one)] for one in (from_lines, from_rows)]
    assert words[0] == words[1] and len(words[0]) == 3
    assert texts(from_lines)[0].startswith("= Robert Boulter =") and "He had a role." in texts(from_lines)[0]
    assert b"He had a role ." in rows(from_lines)[0]["raw"]  # the original, to score by the convention


# -- files -------------------------------------------------------------------------------------------------------------


def zst(raw: bytes) -> bytes:
    return pa.Codec("zstd").compress(raw, asbytes=True)


def as_jsonl(column: str = "text") -> bytes:
    return "".join(
        json.dumps({column: text, "date": "2020", "url": f"u{n}"}) + "\n" for n, text in enumerate(TEXTS)
    ).encode()


def as_csv(column: str = "text") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["number", column, "url", "date"])
    writer.writerows([n, text, f"u{n}", "2020"] for n, text in enumerate(TEXTS))
    return out.getvalue().encode()


def as_parquet(column: str = "text") -> bytes:
    out = pa.BufferOutputStream()
    table = pa.table({column: TEXTS, "url": [f"u{n}" for n in range(5)], "date": ["2020"] * 5, "more": [[1]] * 5})
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


PLAIN = "\n<end>\n".join(TEXTS).encode()
KINDS = {"txt": PLAIN, "md": PLAIN, "jsonl": as_jsonl(), "csv": as_csv()}
FILES = {
    "a.txt": PLAIN,
    "a.md": PLAIN,
    "a.raw": PLAIN,
    "A.TXT": PLAIN,
    "bom.txt": b"\xef\xbb\xbf" + PLAIN,
    "a.jsonl": as_jsonl(),
    "bom.jsonl": b"\xef\xbb\xbf" + as_jsonl(),
    "blank.jsonl": b"\n" + as_jsonl().replace(b"\n", b"\n\n"),
    "open.jsonl": as_jsonl().rstrip(b"\n"),
    "a.csv": as_csv(),
    "bom.csv": b"\xef\xbb\xbf" + as_csv(),
    "a.parquet": as_parquet(),
    **{f"a.{kind}.gz": gzip.compress(raw) for kind, raw in KINDS.items()},
    **{f"a.{kind}.zst": zst(raw) for kind, raw in KINDS.items()},
    "parts.txt.gz": gzip.compress(PLAIN[:30]) + gzip.compress(PLAIN[30:]),  # as pigz and `cat a.gz b.gz` make them
    "parts.txt.zst": zst(PLAIN[:30]) + zst(PLAIN[30:]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_same_documents_come_out_of_every_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    made = build(tmp_path / "lab", mine=Source(path=str(tmp_path / name), delimiter="<end>"))
    assert texts(made) == TEXTS
    counts = made.manifest["counts"]["mine"]
    assert counts["read"]["documents"] == counts["train"]["documents"] == 5
    assert counts["train"]["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert counts["train"]["characters"] == sum(map(len, TEXTS))
    if name.partition(".")[2].split(".")[0] in ("jsonl", "csv", "parquet"):
        assert [(row["url"], row["date"]) for row in rows(made)] == [(f"u{n}", "2020") for n in range(5)]


@pytest.mark.parametrize(
    ("name", "raw"), [("a.jsonl", as_jsonl("body")), ("a.csv", as_csv("body")), ("a.parquet", as_parquet("body"))]
)
def test_the_column_of_the_text_can_be_named_and_a_wrong_one_is_refused(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    assert texts(build(tmp_path / "lab", mine=Source(path=str(tmp_path / name), text_column="body"))) == TEXTS
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mine=Source(path=str(tmp_path / name)))
    assert refusal.value.code == "bad-file" and "text_column" in refusal.value.fix


def test_a_csv_field_may_be_as_long_as_a_book(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "word " * 100_000 + "\n")
    assert len(texts(build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.csv"))))[0]) == 499_999


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One text in each of several files, in folders with spaces and Unicode in their names."""
    top = tmp_path / "my texts – naïve 文"
    for name, text in zip(("b.txt", "a.md", "below [1]/c.txt", "below [1]/d e.jsonl", "z.txt.gz"), TEXTS, strict=True):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = json.dumps({"text": text}).encode() if path.suffix == ".jsonl" else text.encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    (top / ".hidden.txt").write_text("hidden")
    (top / ".git").mkdir()
    (top / ".git" / "x.txt").write_text("hidden, too")
    (top / "picture.png").write_bytes(b"\x89PNG")
    return top


def test_a_folder_gives_every_text_below_it_and_nothing_hidden(tmp_path: Path, folder: Path) -> None:
    assert sorted(texts(build(tmp_path / "lab", mine=Source(path=str(folder))))) == sorted(TEXTS)


@pytest.mark.parametrize(
    ("pattern", "wanted"), [("*.txt", [0]), ("**/*.txt", [0, 2]), ("*/d *.jsonl", [3]), ("[ab].*", [1, 0])]
)
def test_a_glob_gives_what_it_matches(tmp_path: Path, folder: Path, pattern: str, wanted: list[int]) -> None:
    found = texts(build(tmp_path / "lab", mine=Source(path=f"{folder}/{pattern}")))
    assert found == [TEXTS[number] for number in wanted]


def test_a_path_that_looks_like_a_glob_is_first_of_all_a_path(tmp_path: Path, folder: Path) -> None:
    assert len(texts(build(tmp_path / "lab", mine=Source(path=str(folder / "below [1]"))))) == 2


def test_several_paths_add_up_in_their_order(tmp_path: Path, folder: Path) -> None:
    source = Source(path=[str(folder / "z.txt.gz"), str(folder / "below [1]")])
    assert texts(build(tmp_path / "lab", mine=source)) == [TEXTS[4], TEXTS[2], TEXTS[3]]


def test_a_home_directory_is_understood(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert texts(build(tmp_path / "lab", mine=Source(path="~/b.txt"))) == [TEXTS[0]]


def test_only_the_first_documents_are_used_where_a_number_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(PLAIN)
    source = Source(path=str(tmp_path / "a.txt"), delimiter="<end>", documents=2)
    assert texts(build(tmp_path / "lab", mine=source)) == TEXTS[:2]


# -- the corpus --------------------------------------------------------------------------------------------------------


def lines(path: Path, documents: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return str(path)


def test_exact_duplicates_go_over_all_sources_and_splits_and_the_held_out_one_survives(tmp_path: Path) -> None:
    one = Source(path=lines(tmp_path / "a.jsonl", ["x", "held", "x", "tested", "both", "x "]))
    two = Source(
        path=lines(tmp_path / "b.jsonl", ["y", "x", "held", "e\u0301"]),
        valid=lines(tmp_path / "v.jsonl", ["held", "both", "held"]),
        test=lines(tmp_path / "t.jsonl", ["tested", "both", "\u00e9"]),
    )
    made = build(tmp_path / "lab", one=one, two=two)
    assert places(made, "one", "two") == {
        "x": ("one", "train"),
        "y": ("two", "train"),
        "held": ("two", "valid"),
        "both": ("two", "valid"),
        "tested": ("two", "test"),
        "é": ("two", "test"),
    }
    counts = made.manifest["counts"]
    assert (counts["one"]["duplicates"], counts["two"]["duplicates"]) == (5, 5)
    for count in counts.values():
        kept = sum(count[split]["documents"] for split in corpora.SPLITS)
        assert count["read"]["documents"] == kept + count["duplicates"] + count["empty"]


def test_a_held_out_file_inside_the_training_folder_stays_held_out(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    lines(folder / "a.jsonl", ["x", "y"])
    valid = lines(folder / "valid.jsonl", ["v", "w"])
    made = build(tmp_path / "lab", mine=Source(path=str(folder), valid=valid))
    assert texts(made) == ["x", "y"] and texts(made, split="valid") == ["v", "w"]


def test_official_splits_are_kept_and_only_what_is_missing_is_drawn(tmp_path: Path) -> None:
    train = [f"document {number}" for number in range(200)]
    valid = lines(tmp_path / "v.jsonl", ["held one", "held two"])
    made = build(tmp_path / "lab", (0.4, 0.4), mine=Source(path=lines(tmp_path / "a.jsonl", train), valid=valid))
    assert texts(made, split="valid") == ["held one", "held two"]
    assert 40 < len(texts(made, split="test")) < 120  # drawn, since the source has no official one
    assert set(texts(made)) | set(texts(made, split="test")) == set(train)


@given(st.lists(st.integers(0, 60), unique=True, min_size=5), st.lists(st.integers(61, 120), unique=True), st.randoms())
@settings(max_examples=15, deadline=None)
def test_a_document_never_moves_when_others_are_added_or_the_order_changes(
    tmp_path_factory: pytest.TempPathFactory, first: list[int], added: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("split")

    def split_of(name: str, numbers: list[int]) -> dict[str, tuple[str, str]]:
        path = lines(folder / name, ["document 0", *(f"document {number}" for number in numbers)])
        try:
            return places(build(folder / "lab", (0.2, 0.2), mine=Source(path=path)))
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
    drawn = [corpora.draw_split(key, 0.1, 0.05) for key in keys]
    assert abs(drawn.count("valid") / 20_000 - 0.1) < 0.01 and abs(drawn.count("test") / 20_000 - 0.05) < 0.01
    grown = [corpora.draw_split(key, 0.2, 0.05) for key in keys]
    assert all(after == "valid" for before, after in zip(drawn, grown, strict=True) if before == "valid")


def test_raw_bytes_are_kept_where_they_differ_from_the_text_and_only_there(tmp_path: Path) -> None:
    raws = [b"as it is", b"two  \r\nlines\x00 ", "e\u0301".encode(), b"caf\xe9", b"\xef\xbb\xbf mark"]
    (tmp_path / "a.txt").write_bytes(b"<end>".join(raws))
    made = build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.txt"), delimiter="<end>"))
    found = rows(made)
    assert [row["text"] for row in found] == ["as it is", "two\nlines", "é", "caf\ufffd", "mark"]
    assert [row["raw"] for row in found] == [None, *raws[1:]]


def test_a_document_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    source = Source(path=lines(tmp_path / "a.jsonl", ["x"]), license="MIT", language="eo")
    made = build(tmp_path / "lab", mine=source)
    (row,) = rows(made)
    assert row.keys() >= {"id", "text", "raw", "source", "language", "license", "date", "url"}
    assert (row["text"], row["source"], row["license"], row["language"], row["date"], row["url"]) == (
        "x",
        "mine",
        "MIT",
        "eo",
        None,
        None,
    )
    assert made.manifest["counts"]["mine"]["license"] == "MIT"
    (record,) = made.manifest["sources"]
    assert record["sha256"] == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()


def test_ids_are_unique_and_stay_when_folders_move_and_files_are_added(tmp_path: Path) -> None:
    def ids(top: str, *names: str) -> dict[str, str]:
        for name in names:
            path = tmp_path / top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            lines(path, [f"{name} one", f"{name} two"])
        found = rows(build(tmp_path / "lab", mine=Source(path=str(tmp_path / top))))
        assert len({row["id"] for row in found}) == len(found)
        return {row["text"]: row["id"] for row in found}

    before = ids("here", "a/x.jsonl", "b/x.jsonl")  # the same name in two folders
    after = ids("there", "a/x.jsonl", "b/x.jsonl", "0.jsonl")
    assert len(before) == 4 and all(after[text] == id for text, id in before.items())


def test_the_same_contents_make_the_same_corpus_wherever_they_lie(tmp_path: Path) -> None:
    made = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        made.append(build(tmp_path / "lab", mine=Source(path=lines(tmp_path / place / "a.jsonl", TEXTS))).id)
    changed = build(tmp_path / "lab", mine=Source(path=lines(tmp_path / "one" / "a.jsonl", TEXTS[:4]))).id
    assert made[0] == made[1] != changed


@pytest.mark.parametrize("content", ["", " \n\n\t ", "\x00\x01", "<end><end>"])
def test_a_file_with_no_text_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.txt"), delimiter="<end>"))
    assert refusal.value.code == "no-text" and "mine" in refusal.value.what


def test_empty_documents_are_counted_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one<end>\n<end>two<end>")
    made = build(tmp_path / "lab", mine=Source(path=str(tmp_path / "a.txt"), delimiter="<end>"))
    assert texts(made) == ["one", "two"] and made.manifest["counts"]["mine"]["empty"] == 2


# -- known corpora, mirrors and the network ----------------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror of a small corpus that stands in sources.yaml with its true sizes and hashes."""
    top = tmp_path / "mirror"
    contents = {"data/train 1.txt": "one<end>two<end>held", "valid.txt": "held<end>out"}
    entry: dict[str, Any] = {
        "repository": "someone/Small",
        "revision": "abc",
        "license": "CC0",
        "language": "en",
        "delimiter": "<end>",
    }
    entry["files"] = {}
    for split, (name, text) in zip(("train", "valid"), contents.items(), strict=True):
        path = top / "someone" / "Small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        entry["files"][split] = [{"name": name, "bytes": len(text), "sha256": digest}]
    monkeypatch.setattr(sources, "corpora", lambda: {"small": entry})
    return top


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(mirror: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(mirror)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


SMALL = Source(corpus="small")


def test_a_mirror_directory_and_a_mirror_url_give_the_same_corpus(tmp_path: Path, mirror: Path, url: str) -> None:
    from_folder = build(tmp_path / "lab1", (0.1, 0.0), mirror=str(mirror), small=SMALL)
    from_url = build(tmp_path / "lab2", (0.1, 0.0), mirror=url + "/", small=SMALL)
    assert from_folder.id == from_url.id
    assert (
        places(from_folder, "small")
        == places(from_url, "small")
        == {
            "held": ("small", "valid"),
            "out": ("small", "valid"),
            "one": ("small", "train"),
            "two": ("small", "train"),
        }
    )
    (row, _) = rows(from_url, "small")
    assert (row["license"], row["language"]) == ("CC0", "en")


def test_the_mirror_may_come_from_the_environment_and_the_recipe_wins(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_MIRROR", str(mirror))
    assert build(tmp_path / "lab", small=SMALL)
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mirror=str(tmp_path / "elsewhere"), small=SMALL)
    assert refusal.value.code == "download-failed"


def refuse_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_a_download_happens_once_and_is_then_used_without_a_network(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(tmp_path / "lab", mirror=url, small=SMALL)
    refuse_network(monkeypatch)
    assert build(tmp_path / "lab", (0.0, 0.1), mirror=url, small=SMALL).id != made.id
    assert not list((tmp_path / "lab" / "downloads").rglob("*.part"))


def test_no_network_is_touched_for_files_mirrors_and_the_built_in_corpus(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_network(monkeypatch)
    mine = Source(path=lines(tmp_path / "a.jsonl", TEXTS))
    world = Source(corpus="world-stories", documents=5)
    made = build(tmp_path / "lab", mirror=str(mirror), mine=mine, world=world, small=SMALL)
    assert len(texts(made, "world")) >= 4


@pytest.mark.parametrize("change", ["cut", "changed", "longer", "empty"])
@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_file_that_is_not_the_one_on_record_is_never_used(
    tmp_path: Path, mirror: Path, url: str, kind: str, change: str
) -> None:
    path = mirror / "someone" / "Small" / "valid.txt"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-1], "changed": b"H" + raw[1:], "longer": raw + b"!", "empty": b""}[change])
    place = str(mirror) if kind == "folder" else url
    for _ in range(2):  # nor the second time
        with pytest.raises(GroundupError) as refusal:
            build(tmp_path / "lab", mirror=place, small=SMALL)
        assert refusal.value.code == "wrong-hash" and "valid.txt" in refusal.value.what
    path.write_bytes(raw)  # and once the mirror is mended, the same command works
    assert build(tmp_path / "lab", mirror=place, small=SMALL)


def test_a_download_that_is_damaged_later_is_noticed(tmp_path: Path, url: str) -> None:
    build(tmp_path / "lab", mirror=url, small=SMALL)
    path = tmp_path / "lab" / "downloads" / "someone" / "Small" / "abc" / "valid.txt"
    path.write_bytes(b"H" + path.read_bytes()[1:])
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", (0.1, 0.1), mirror=url, small=SMALL)
    assert refusal.value.code == "wrong-hash"


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_mirror_that_lacks_a_file_says_where_it_belongs(tmp_path: Path, mirror: Path, url: str, kind: str) -> None:
    (mirror / "someone" / "Small" / "data" / "train 1.txt").unlink()
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mirror=str(mirror) if kind == "folder" else url, small=SMALL)
    assert refusal.value.code == "download-failed"
    assert "someone/Small/data/train 1.txt" in refusal.value.what and "GROUNDUP_MIRROR" in refusal.value.fix


def test_a_mirror_that_does_not_answer_is_refused(tmp_path: Path, mirror: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mirror=f"http://127.0.0.1:{port}", small=SMALL)
    assert refusal.value.code == "download-failed"


def test_an_unknown_corpus_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(GroundupError) as refusal:
        build(tmp_path / "lab", mine=Source(corpus="tinystory"))
    assert (
        refusal.value.code == "unknown-corpus"
        and "tinystories" in refusal.value.fix
        and "wikitext-103" in refusal.value.fix
    )


def test_the_known_corpora_are_pinned_by_revision_size_and_hash() -> None:
    known = sources.corpora()
    assert {"tinystories", "wikitext-103"} <= known.keys()
    for entry in known.values():
        assert len(entry["revision"]) == 40 and entry["license"] and entry["files"]["train"]
        for file in (file for group in entry["files"].values() for file in group):
            assert file["bytes"] > 0 and len(bytes.fromhex(file["sha256"])) == 32


# -- real text ---------------------------------------------------------------------------------------------------------


def read(path: str, **options: Any) -> list[bytes]:
    source = Source(path=str(REAL / path), **options)
    return [document.raw for file in find_files(source, None, REAL) for document in read_file(file, source)]


@needs_real_data
def test_real_stories_and_passages_are_all_found() -> None:
    stories = [raw for raw in read("tinystories/train.txt", corpus="tinystories") if raw.strip()]
    assert len(stories) == 10_267
    assert len(read("wikitext/passages.jsonl")) == 15_209


@needs_real_data
@pytest.mark.parametrize("name", ["valid", "test"])
def test_real_wikitext_has_its_60_articles_in_each_held_out_split(name: str) -> None:
    articles = read(f"wikitext/wiki.{name}.raw", corpus="wikitext-103")
    assert len(articles) == 60
    assert b"".join(articles) == (REAL / f"wikitext/wiki.{name}.raw").read_bytes()
    clean = [normalise(detokenise(decode(raw)[0])) for raw in articles]
    assert all(text.startswith("=") for text in clean)
    assert not any(" @-@ " in text or " @,@ " in text or " @.@ " in text for text in clean)
