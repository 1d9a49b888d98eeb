"""Every document of a source, in order, whatever file it lies in, into however many chunks that is cut."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.data import sources, streams
from groundup.data.clean import decode
from groundup.data.sources import Bad, Chunk, RawDocument, SourceFile, find_files, identity, plan, read_chunk
from groundup.data.streams import LINE, Mark, parts
from groundup.errors import GroundupError
from groundup.recipe.schema import Source

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")

TEXTS = [
    "The first story.\nIt has two lines.",
    "The second, naïve 😀 story.",
    'The "third", story.',
    "Fourth.",
    "Fifth: 1,000.",
]


def read(on_bad: str = "fail", **options: Any) -> list[RawDocument | Bad]:
    """What a source gives, chunk after chunk."""
    source = Source(**options)
    chunks = plan(source, find_files(source, None, Path("nowhere")))
    return [document for chunk in chunks for document in read_chunk(chunk, source, on_bad)]


def texts(**options: Any) -> list[str]:
    return [decode(document.raw)[0].strip() for document in read(**options) if isinstance(document, RawDocument)]


def refusal(**options: Any) -> GroundupError:
    with pytest.raises(GroundupError) as refused:
        read(**options)
    return refused.value


def good_and_bad(path: Path, **options: Any) -> tuple[list[str], list[str]]:
    """Texts, and places of what was passed over."""
    found = read("skip", path=str(path), **options)
    good = [document.raw.decode() for document in found if isinstance(document, RawDocument)]
    return good, [bad.place for bad in found if isinstance(bad, Bad)]


# -- formats -----------------------------------------------------------------------------------------------------------


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


def as_parquet(column: str = "text", kind: pa.DataType | None = None) -> bytes:
    out = pa.BufferOutputStream()
    table = pa.table(
        {
            column: pa.array(TEXTS, kind or pa.string()),
            "url": [f"u{n}" for n in range(5)],
            "date": ["2020"] * 5,
            "more": [[1]] * 5,
        }
    )
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
    "large.parquet": as_parquet(kind=pa.large_string()),
    "binary.parquet": as_parquet(kind=pa.binary()),
    "dictionary.parquet": as_parquet(kind=pa.dictionary(pa.int32(), pa.string())),
    **{f"a.{kind}.gz": gzip.compress(raw) for kind, raw in KINDS.items()},
    **{f"a.{kind}.zst": zst(raw) for kind, raw in KINDS.items()},
    "parts.txt.gz": gzip.compress(PLAIN[:30]) + gzip.compress(PLAIN[30:]),  # as pigz and `cat a.gz b.gz` make them
    "parts.txt.zst": zst(PLAIN[:30]) + zst(PLAIN[30:]),
    "little.txt": "\ufeff".encode("utf-16-le") + PLAIN.decode().encode("utf-16-le"),
    "big.txt": "\ufeff".encode("utf-16-be") + PLAIN.decode().encode("utf-16-be"),
    "wide.txt": PLAIN.decode().encode("utf-32"),
    "little.txt.gz": gzip.compress(PLAIN.decode().encode("utf-16")),
    "little.jsonl": json.dumps({"text": TEXTS[1], "url": "u1", "date": "2020"}, ensure_ascii=False).encode("utf-16"),
    "little.csv": as_csv().decode().encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_same_documents_come_out_of_every_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    source = {"path": str(tmp_path / name), "delimiter": "<end>"}
    wanted = TEXTS[1:2] if name == "little.jsonl" else TEXTS
    assert texts(**source) == wanted
    if name.partition(".")[2].split(".")[0] in ("jsonl", "csv", "parquet"):
        found = [(document.url, document.date) for document in read(**source) if isinstance(document, RawDocument)]
        assert found == [(f"u{TEXTS.index(text)}", "2020") for text in wanted]


@pytest.mark.parametrize(
    ("name", "make"), [("a.jsonl", as_jsonl), ("a.csv", as_csv), ("a.parquet", as_parquet), ("a.csv.gz", as_csv)]
)
@pytest.mark.parametrize("on_bad", ["fail", "skip"])
def test_the_column_of_the_text_can_be_named_and_a_wrong_one_is_always_refused(
    tmp_path: Path, name: str, make: Callable[[str], bytes], on_bad: str
) -> None:
    raw = make("body")
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert texts(path=str(path), text_column="body") == TEXTS
    refused = refusal(on_bad=on_bad, path=str(path))
    assert refused.code == "bad-file" and "text_column" in refused.fix
    assert name in refused.what and "'text'" in refused.what and "'body'" in refused.what


def test_a_parquet_column_that_holds_no_text_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    refused = refusal(on_bad="skip", path=str(tmp_path / "a.parquet"))
    assert refused.code == "bad-file" and "int64, not text" in refused.what


def test_parquet_text_that_is_not_utf_8_comes_as_it_is_so_that_it_is_noticed_later(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9", None, b"fine"], pa.binary())
    table = pa.table({"text": pa.Array.from_buffers(pa.string(), 3, raw.buffers())})
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(path=str(tmp_path / "a.parquet"))
    assert [document.raw for document in found if isinstance(document, RawDocument)] == [b"caf\xe9", b"", b"fine"]


def test_a_csv_field_may_be_as_long_as_a_book(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "word " * 100_000 + "\n")
    assert len(texts(path=str(tmp_path / "a.csv"))[0]) == 499_999


# -- folders, globs and single files -----------------------------------------------------------------------------------


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


def test_a_folder_gives_every_text_below_it_and_nothing_hidden(folder: Path) -> None:
    assert sorted(texts(path=str(folder))) == sorted(TEXTS)


def test_files_of_unknown_formats_in_a_folder_are_passed_over_and_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.doc", "b.doc", "c.png", "Makefile"):
        (folder / name).write_text("not read")
    assert len(texts(path=str(folder))) == 5
    assert f"{folder}: passed over 5 files of unknown formats: .doc, .png, no suffix" in capsys.readouterr().err


def test_a_link_that_leads_out_of_a_folder_is_not_followed_but_a_link_that_is_named_is(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "deep.txt").write_text("deep")
    (folder / "out.txt").symlink_to("../secret.txt")
    (folder / "away").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "itself.txt").symlink_to("itself.txt")
    (folder / "gone.txt").symlink_to("nowhere.txt")
    (folder / "inside.txt").symlink_to("b.txt")
    assert sorted(texts(path=str(folder))) == sorted([*TEXTS, TEXTS[0]])
    assert "not followed, since it leads out of the folder: away, out.txt" in capsys.readouterr().err
    assert texts(path=str(folder / "out.txt")) == ["secret"]
    (tmp_path / "link").symlink_to(folder)
    assert sorted(texts(path=str(tmp_path / "link"))) == sorted([*TEXTS, TEXTS[0]])


@pytest.mark.parametrize(
    ("pattern", "wanted"), [("*.txt", [0]), ("**/*.txt", [0, 2]), ("*/d *.jsonl", [3]), ("[ab].*", [1, 0])]
)
def test_a_glob_gives_what_it_matches(folder: Path, pattern: str, wanted: list[int]) -> None:
    assert texts(path=f"{folder}/{pattern}") == [TEXTS[number] for number in wanted]


def test_a_path_that_looks_like_a_glob_is_first_of_all_a_path(folder: Path) -> None:
    assert len(texts(path=str(folder / "below [1]"))) == 2


def test_several_paths_add_up_in_their_order(folder: Path) -> None:
    assert texts(path=[str(folder / "z.txt.gz"), str(folder / "below [1]")]) == [TEXTS[4], TEXTS[2], TEXTS[3]]


def test_a_home_directory_is_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert texts(path="~/b.txt") == [TEXTS[0]]


def test_a_held_out_file_is_read_once_although_it_lies_among_the_others(folder: Path) -> None:
    source = Source(path=str(folder), valid=str(folder / "b.txt"), test=f"{folder}/*.md")
    found = [(file.path.name, file.split) for file in find_files(source, None, folder)]
    assert found == [("b.txt", "valid"), ("a.md", "test"), ("c.txt", None), ("d e.jsonl", None), ("z.txt.gz", None)]


def test_a_source_of_which_all_is_held_out_is_refused(folder: Path) -> None:
    refused = refusal(path=str(folder / "b.txt"), valid=str(folder))
    assert refused.code == "no-text" and "validation" in refused.what


# -- chunks ------------------------------------------------------------------------------------------------------------


def in_chunks_of(size: int, path: Path, **options: Any) -> list[bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_BYTES", size)
        found = read(path=str(path), **options)
    assert len({document.place for document in found}) == len(found)
    return [document.raw for document in found if isinstance(document, RawDocument)]


class Dripping:
    """A stream that gives a few bytes at a time, so that delimiters fall across the borders of blocks."""

    def __init__(self, raw: bytes, sizes: list[int]) -> None:
        self.raw, self.sizes, self.place, self.turn = raw, sizes, 0, 0

    def read(self, _: int = -1) -> bytes:
        size = self.sizes[self.turn % len(self.sizes)]
        self.turn += 1
        self.place += size
        return self.raw[self.place - size : self.place]


MARKS = ["--", "-", "---", "a|a", "aba", "é", "-é-", "<|endoftext|>", "\n", "\n\n", "\n-\n", "a\nb", "\r\n", "\n\r"]
SNIPPETS = st.lists(
    st.sampled_from(["a", "b", "-", "|", "é", "\n", "\r\n", "\r", "aba", "<|endoftext|>", "word "]), max_size=40
).map("".join)


def split(text: str, mark: str) -> list[bytes]:
    """What cutting means: at each delimiter from the left, where each line end of it may be of either kind."""
    return [part.encode() for part in re.split(re.escape(mark).replace("\\\n", "\r?\n"), text)]


@given(SNIPPETS, st.sampled_from(MARKS), st.lists(st.integers(1, 7), min_size=1, max_size=5))
@settings(max_examples=500)
def test_splitting_a_stream_equals_splitting_the_text_wherever_its_blocks_end(
    text: str, mark: str, sizes: list[int]
) -> None:
    found = list(parts(Dripping(text.encode(), sizes), Mark.of(mark)))
    assert [part for _, part in found] == split(text, mark)
    assert all(text.encode()[offset:].startswith(part or b"") for offset, part in found)


@given(SNIPPETS, st.sampled_from(MARKS), st.integers(1, 40))
@settings(max_examples=500, deadline=None)
@example("-" * 30, "--", 7)
@example("\n" * 9, "\n\n", 1)
@example("a\r\n\r\n\r\n\nb", "\n\n", 2)
def test_the_chunks_of_a_text_file_hold_its_documents_whatever_their_size(
    tmp_path_factory: pytest.TempPathFactory, text: str, mark: str, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "chunks.txt"
    path.write_bytes(text.encode())
    assert in_chunks_of(size, path, delimiter=mark) == split(text, mark)


@given(st.lists(st.sampled_from(["", "a", "naïve 😀\n", "x" * 50]), min_size=1), st.integers(1, 200), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_chunks_of_a_jsonl_file_hold_its_documents_whatever_their_size(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str], size: int, crlf: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "chunks.jsonl"
    end = "\r\n" if crlf else "\n"
    path.write_bytes("".join(json.dumps({"text": text}) + end + end * len(text) for text in wanted).encode())
    assert in_chunks_of(size, path) == [text.encode() for text in wanted]


@given(st.integers(1, 700), st.integers(1, 300), st.integers(1, 20_000))
@settings(max_examples=50, deadline=None)
def test_the_chunks_of_a_parquet_file_hold_its_documents_whatever_their_size(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "chunks.parquet"
    wanted = [f"document {number}" for number in range(rows)]
    pq.write_table(pa.table({"text": wanted}), path, row_group_size=group)
    assert in_chunks_of(size, path) == [text.encode() for text in wanted]


def test_a_place_can_be_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n" + "\n".join(json.dumps({"text": text}) for text in TEXTS))
    stories = tmp_path / "b.txt"
    stories.write_text("--".join(TEXTS))
    table = tmp_path / "c.parquet"
    pq.write_table(pa.table({"text": TEXTS}), table, row_group_size=2)

    def places(path: Path) -> list[str]:
        return [document.place for document in read(path=str(path), delimiter="--")]

    assert places(lines) == [f"line {number}" for number in range(2, 7)]
    assert places(stories) == [f"document {number}" for number in range(1, 6)]
    monkeypatch.setattr(sources, "CHUNK_BYTES", 10)
    for path in (lines, stories):
        for place, text in zip(places(path), TEXTS, strict=True):
            word, offset = place.split()
            assert word == "byte" and text[:3].encode() in path.read_bytes()[int(offset) :][:20]
    assert places(table) == [f"row {number}" for number in range(1, 6)]


def test_chunks_are_a_matter_of_sizes_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    found = [SourceFile(path, None)]
    ranges = [(chunk.start, chunk.end) for chunk in plan(Source(path=str(path)), found)]
    assert ranges == [(0, 32 << 20), (32 << 20, 64 << 20), (64 << 20, 96 << 20), (96 << 20, None)]
    assert plan(Source(path="a.csv"), [SourceFile(path.rename(tmp_path / "a.csv"), None)]) == [
        Chunk(SourceFile(tmp_path / "a.csv", None), 0, None)
    ]


def test_only_the_first_documents_are_used_where_a_number_is_given(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("<end>".join(f"{number}.{part}" for part in range(4)))
    (tmp_path / "v.jsonl").write_text('{"text": "held 1"}\n{"text": "held 2"}\n')

    def first(number: int) -> list[str]:
        source = {"path": f"{tmp_path}/*.txt", "delimiter": "<end>", "valid": str(tmp_path / "v.jsonl")}
        return texts(**source, documents=number)

    assert first(2) == ["held 1", "held 2", "0.0", "0.1"]
    assert first(4) == ["held 1", "held 2", "0.0", "0.1", "0.2", "0.3"]
    assert first(9) == ["held 1", "held 2", *(f"{file}.{part}" for file in range(2) for part in range(4)), "2.0"]
    assert len(first(100)) == 14


def test_what_cannot_be_read_does_not_count_as_one_of_the_first_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nno\n{"text": "two"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n{"text": "four"}\n')
    assert good_and_bad(tmp_path, documents=3) == (["one", "two", "three"], ["line 2"])


def test_the_generated_world_is_the_same_in_chunks() -> None:
    source = Source(corpus="world-stories", documents=5003)
    assert [(chunk.start, chunk.end) for chunk in plan(source, [])] == [(0, 2500), (2500, 5000), (5000, 5003)]
    last = list(read_chunk(Chunk(None, 5000, 5003), source, "fail"))
    assert [document.place for document in last] == ["document 5001", "document 5002", "document 5003"]
    assert all(isinstance(document, RawDocument) and document.bits for document in last)


# -- encodings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "shift_jis", "iso2022_jp", "utf-7", "cp037"])
def test_files_of_other_encodings_are_cut_and_come_in_utf_8(tmp_path: Path, encoding: str) -> None:
    wanted = ["日本|表", "ソ"] if "jis" in encoding or "jp" in encoding else ["naïve §", "café|é"]
    (tmp_path / "a.txt").write_bytes("||".join(wanted).encode(encoding))
    (tmp_path / "b.jsonl").write_bytes(json.dumps({"text": wanted[0]}, ensure_ascii=False).encode(encoding))
    (tmp_path / "c.csv").write_bytes(f"text\n{wanted[1]}\n".encode(encoding))
    assert texts(path=str(tmp_path), encoding=encoding, delimiter="||") == [*wanted, *wanted]


def test_an_encoding_is_only_for_files_that_are_not_unicode_already(tmp_path: Path) -> None:
    for number, encoding in enumerate(("cp1252", "utf-8", "utf-8-sig", "utf-16")):
        (tmp_path / f"{number}.txt").write_bytes("naïve é".encode(encoding))
    assert texts(path=str(tmp_path), encoding="cp1252") == ["naïve é"] * 4


@given(st.binary(max_size=60), st.sampled_from(["cp1252", "shift_jis", "utf-16-le", "utf-16-be", "utf-7", "cp037"]))
@settings(max_examples=300, deadline=None)
def test_what_an_encoding_does_not_know_is_marked_as_undecodable_in_its_document(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, encoding: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "undecodable.txt"
    path.write_bytes(raw)
    found = read(path=str(path), encoding=encoding)
    (document,) = found
    assert isinstance(document, RawDocument)
    text, problem = decode(document.raw)
    if document.raw != raw and problem is None:
        codec = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") and raw[:4] != b"\xff\xfe\0\0" else encoding
        assert text == raw.decode("utf-32" if raw[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") else codec)


def test_utf_16_without_a_byte_order_mark_is_understood_if_the_order_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("ascii||only".encode("utf-16-le"))
    assert texts(path=str(tmp_path / "a.txt"), encoding="utf-16-le", delimiter="||") == ["ascii", "only"]
    refused = refusal(path=str(tmp_path / "a.txt"), encoding="utf-16", delimiter="||")
    assert refused.code == "bad-file" and "BOM" in refused.what


def test_only_the_damaged_document_of_an_encoded_file_is_damaged(tmp_path: Path) -> None:
    raw = "one--caf".encode("utf-16") + b"\x00\xd8" + "x--two".encode("utf-16-le") + b"\x00"
    (tmp_path / "a.txt").write_bytes(raw)
    found = [document.raw for document in read(path=str(tmp_path / "a.txt"), delimiter="--")]  # type: ignore[union-attr]
    assert found == [b"one", b"caf\xffx", b"two\xff"]


@pytest.mark.parametrize("encoding", ["cp9999", "hex", "a\0b"])
def test_an_unknown_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert refusal(path=str(tmp_path / "a.txt"), encoding=encoding).code == "bad-value"


def test_a_delimiter_of_lines_fits_both_kinds_of_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\ntwo\r\nlines\n\nthree\r\n\nfour")
    assert texts(path=str(tmp_path / "a.txt"), delimiter="\n\n") == ["one", "two\r\nlines", "three", "four"]


# -- what cannot be read -----------------------------------------------------------------------------------------------


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


LINES = b"".join(b'{"text": "%d %s"}\n' % (number, b"abcdefgh" * 9) for number in range(30_000))
STORIES = b"<end>".join(b"%d %s" % (number, b"abcdefgh" * 9) for number in range(30_000))


def bad_rows() -> dict[str, tuple[bytes, list[str], list[str]]]:
    """Contents of a file, what can be read of it, and where the rest is."""
    return {
        "syntax.jsonl": (b'{"text": "a"}\n{"text": "b"\n{"text": "c"}\n', ["a", "c"], ["line 2"]),
        "kind.jsonl": (b'{"text": "a"}\n["b"]\n{"text": 5}\n{"text": null}\n', ["a"], ["line 2", "line 3", "line 4"]),
        "key.jsonl": (b'{"text": "a"}\n{"body": "b"}\n{"text": "c"}', ["a", "c"], ["line 2"]),
        "first.jsonl": (b'no\n{"text": "a"}\n', ["a"], ["line 1"]),
        "deep.jsonl": (b'{"text": "a"}\n' + b"[" * 100_000 + b'\n{"text": "c"}', ["a", "c"], ["line 2"]),
        "number.jsonl": (b'{"text": "a"}\n' + b"1" * 10_000 + b'\n{"text": "c"}', ["a", "c"], ["line 2"]),
        "latin.jsonl": (b'{"text": "a"}\n{"text": "caf\xe9"}\n{"text": "c"}', ["a", "c"], ["line 2"]),
        "short.csv": (b"n,text\n1,a\n2\n3,c\n", ["a", "c"], ["row 2"]),
        "open.csv": (b'n,text\n1,a\n2,"b\n3,c\n', ["a"], ["row 2"]),
        "cut.parquet": (cut(as_parquet()), [], ["from its beginning"]),
        "not.parquet": (b"no parquet at all", [], ["from its beginning"]),
        "not.txt.gz": (b"no gzip at all", [], ["from its beginning"]),
        "not.jsonl.zst": (b"no zstd at all", [], ["from its beginning"]),
    }


@pytest.mark.parametrize("name", bad_rows())
def test_a_bad_row_stops_the_work_or_is_passed_over_alone(tmp_path: Path, name: str) -> None:
    raw, good, bad = bad_rows()[name]
    (tmp_path / name).write_bytes(raw)
    assert good_and_bad(tmp_path / name) == (good, bad)
    refused = refusal(path=str(tmp_path / name))
    assert refused.code == "bad-file" and f"{name}, {bad[0]}" in refused.what and "on_bad=skip" in refused.fix


@pytest.mark.parametrize("pack", [gzip.compress, zst])
@pytest.mark.parametrize(("kind", "raw"), [("jsonl", LINES), ("txt", STORIES), ("csv", b"text\n" + STORIES)])
def test_a_truncated_archive_gives_what_can_be_read_and_says_where_it_breaks(
    tmp_path: Path, pack: Callable[[bytes], bytes], kind: str, raw: bytes
) -> None:
    path = tmp_path / f"a.{kind}.{'gz' if pack is gzip.compress else 'zst'}"
    path.write_bytes(cut(pack(raw)))
    good, bad = good_and_bad(path, delimiter="<end>")
    if kind != "csv":
        assert 10 < len(good) < 29_999 and good == [f"{number} {'abcdefgh' * 9}" for number in range(len(good))]
        assert bad == [f"after {'line' if kind == 'jsonl' else 'document'} {len(good)}"]
    assert len(bad) == 1 and path.name in refusal(path=str(path), delimiter="<end>").what


def test_a_damaged_row_group_of_a_parquet_file_is_passed_over_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    wanted = [f"{number} " + "abc" * 50 for number in range(300)]
    pq.write_table(pa.table({"text": wanted}), path, row_group_size=100, compression="zstd", use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 200)
    good, bad = good_and_bad(path)
    assert good == [*wanted[:100], *wanted[200:]] and bad == ["rows 101 to 200"]


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(streams, "LARGEST_DOCUMENT", 1000)
    monkeypatch.setattr(streams, "BLOCK", 64)
    return 1000


@pytest.mark.parametrize("size", [10, 333, 10_000])
def test_a_document_that_is_too_large_is_bad_and_the_others_are_read(
    tmp_path: Path, small_limit: int, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", size)
    fits, large = "x" * small_limit, "y" * (small_limit + 1)
    (tmp_path / "a.txt").write_text("--".join(["one", large, fits, large * 5, "last"]))
    good, bad = good_and_bad(tmp_path / "a.txt", delimiter="--")
    assert good == ["one", fits, "last"] and len(bad) == 2
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("one", large, "last")))
    good, bad = good_and_bad(tmp_path / "b.jsonl")
    assert good == ["one", "last"] and len(bad) == 1
    refused = refusal(path=str(tmp_path / "b.jsonl"))
    assert refused.code == "bad-file" and "1,000 bytes" in refused.what and "b.jsonl" in refused.what


def test_no_format_gives_a_document_that_is_too_large(tmp_path: Path, small_limit: int) -> None:
    large = "y" * (small_limit + 1)
    (tmp_path / "a.txt").write_text(large)
    assert good_and_bad(tmp_path / "a.txt") == ([], ["document 1"])
    pq.write_table(pa.table({"text": ["one", large, "last"]}), tmp_path / "a.parquet")
    assert good_and_bad(tmp_path / "a.parquet") == (["one", "last"], ["row 2"])
    (tmp_path / "a.csv").write_text(f"text\none\n{large}\n")
    assert good_and_bad(tmp_path / "a.csv") == (["one"], ["after row 1"])
    (tmp_path / "b.csv").write_text('text\none\n"' + "y\n" * small_limit + '"\n')
    assert good_and_bad(tmp_path / "b.csv") == (["one"], ["after row 1"])
    (tmp_path / "a.raw").write_text(f" \n = A = \n \n a \n \n = B = \n \n {large} \n \n = C = \n \n c \n")
    good, bad = good_and_bad(tmp_path / "a.raw", corpus="wikitext-103")
    assert [text.split()[1] for text in good] == ["A", "C"] and bad == ["line 6"]


BOMB = """
import resource, sys
from groundup.data.sources import Bad, SourceFile, plan, read_chunk
from groundup.recipe.schema import Source
from pathlib import Path
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
source = Source(path=sys.argv[1], delimiter="<end>")
for chunk in plan(source, [SourceFile(Path(sys.argv[1]), None)]):
    print([(type(one).__name__, one.place) for one in read_chunk(chunk, source, "skip")])
print(peak() - before)
"""


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.jsonl.gz", "bomb.csv.gz", "bomb.txt.zst"])
def test_an_archive_that_expands_to_a_gigabyte_takes_bounded_memory(tmp_path: Path, name: str) -> None:
    pack = gzip.compress if name.endswith("gz") else zst
    (tmp_path / name).write_bytes(pack(b"text\n" * ("csv" in name) + bytes(16 << 20)) + pack(bytes(16 << 20)) * 63)
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / name)], capture_output=True, text=True, check=True, timeout=120
    )
    found, memory = done.stdout.splitlines()
    assert found.startswith("[('Bad'") and found.count("Bad") == 1
    assert float(memory) < 320  # MB: what a document may have, and a block


# -- what a source is --------------------------------------------------------------------------------------------------


def test_the_encoding_is_part_of_what_a_source_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    found = [SourceFile(tmp_path / "a.txt", None)]
    path = str(tmp_path / "a.txt")
    assert identity(Source(path=path), found) != identity(Source(path=path, encoding="cp1252"), found)


def test_the_known_corpora_are_described_in_full() -> None:
    known = sources.corpora()
    assert known.keys() == {"tinystories", "tinystories-v1", "wikitext-103", "fineweb-edu-sample"}
    for entry in known.values():
        assert len(entry["revision"]) == 40 and entry["files"]["train"]
        assert entry["license"] and entry["language"] and entry["defects"] and entry["filters"] == []
        for file in (file for group in entry["files"].values() for file in group):
            assert file["bytes"] > 0 and len(bytes.fromhex(file["sha256"])) == 32


def test_an_unknown_corpus_is_refused_with_the_known_ones() -> None:
    refused = refusal(corpus="tinystory")
    assert refused.code == "unknown-corpus" and "tinystories" in refused.fix and "world-stories" in refused.fix


@needs_real_data
def test_real_stories_and_passages_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (sources.CHUNK_BYTES, 1 << 20):
        monkeypatch.setattr(sources, "CHUNK_BYTES", size)
        stories = read(path=str(REAL / "tinystories/train.txt"), corpus="tinystories")
        assert sum(bool(story.raw.strip()) for story in stories if isinstance(story, RawDocument)) == 10_267
        assert len(read(path=str(REAL / "wikitext/passages.jsonl"))) == 15_209


def test_lines_are_cut_at_line_feeds_alone() -> None:
    assert [part for _, part in parts(io.BytesIO("a\rb\u2028c\r\nd".encode()), LINE)] == [
        "a\rb\u2028c\r".encode(),
        b"d",
    ]
