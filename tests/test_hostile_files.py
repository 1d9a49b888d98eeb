"""Files made to do harm: nothing in them is run, followed or believed, and each ends in one error with a code."""

import gzip
import hashlib
import itertools
import json
import os
import pickle
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_recipe import small_recipe

from groundup.cli import main
from groundup.errors import CODES, GroundupError
from groundup.recipe.load import resolve
from groundup.report.reading import Folder
from groundup.store.arrays import open_array
from groundup.store.artifacts import load, make
from groundup.store.files import Unreadable, digest, read_json, read_lines
from groundup.store.plain_yaml import parse_yaml
from groundup.store.runs import Run, all_runs, find
from groundup.store.tensors import check_tensors
from groundup.tokens.encoding import open_tokenizer

HOSTILE_JSON: dict[str, bytes] = {
    "nothing": b"",
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "deep and closed": b'{"a":' * 200 + b"1" + b"}" * 200,
    "many values": b"[" + b"0," * 5_000_000 + b"0]",
    "many lists": b"[" + b"[]," * 3_000_000 + b"[]]",
    "a long number": b'{"step": ' + b"9" * 1_000_000 + b"}",
    "a key twice": b'{"id": 1, "id": 2}',
    "a key twice inside": b'{"files": {"a": 1, "a": 2}}',
    "not a number": b'{"step": NaN}',
    "infinity": b'{"step": -Infinity}',
    "a number that overflows": b'{"step": 1e999}',
    "a zero byte": b'{"a\x00b": 1}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate for a key": b'{"\\uDFFF": 1}',
    "bytes of a surrogate": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a list": b"[1]",
    "a word": b'"manifest"',
    "null": b"null",
    "a tail": b'{"a": 1} {"b": 2}',
}


@pytest.fixture(autouse=True)
def small_memory() -> Iterator[None]:
    """A file of some bytes that asks for more than 4 GB beyond what is there gets a MemoryError, and the test fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def code_of(action: Callable[[], Any]) -> str:
    with pytest.raises(GroundupError) as caught:
        action()
    return caught.value.code


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_hostile_json_is_unreadable_and_why_is_said_in_few_words(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(HOSTILE_JSON[kind])
    with pytest.raises(Unreadable) as caught:
        read_json(path)
    assert 5 < len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_each_reader_of_json_turns_it_into_its_own_error(tmp_path: Path, kind: str) -> None:
    def fill(directory: Path) -> dict[str, Any]:
        (directory / "a.txt").write_text("hello")
        return {}

    made, run = make(tmp_path, "corpus", 1, {}, [], fill), Run(tmp_path / "runs" / "one")
    run.path.mkdir(parents=True)
    for path in (made.path / "manifest.json", run.path / "lineage.json", run.path / "tokenizer.json"):
        path.write_bytes(HOSTILE_JSON[kind])
    assert code_of(lambda: load(made.path)) == "artifact-damaged"
    assert code_of(run.shards) == "run-damaged"
    assert code_of(lambda: open_tokenizer(run.path / "tokenizer.json")) == "bad-tokenizer"
    folder = Folder(run.path)
    assert isinstance(folder.table("lineage.json"), dict)


def test_json_that_is_deep_or_long_within_reason_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    value = {"pair": "😀", "deep": {}, "many": list(range(100_000)), "float": 1e300, "long": 10**4000}
    at = value["deep"]
    for _ in range(50):
        at["a"] = {}  # type: ignore[index, call-overload]
        at = at["a"]  # type: ignore[index, call-overload]
    path.write_text(json.dumps(value))
    assert read_json(path) == value


@pytest.mark.parametrize(
    "kind", ["brackets", "a long number", "a key twice", "a lone surrogate", "not UTF-8", "a list"]
)
def test_a_hostile_line_is_damage_of_the_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + HOSTILE_JSON[kind] + b"\n")
    assert code_of(lambda: list(read_lines(path))) == "run-damaged"


def special(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)  # opening it for reading would wait for a writer
    elif kind == "a directory":
        path.mkdir()
    else:
        path.symlink_to({"zeros": "/dev/zero", "itself": path.name, "memory": "/proc/self/mem"}[kind])


@pytest.mark.parametrize("kind", ["a pipe", "a directory", "zeros", "itself", "memory"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, kind: str) -> None:
    run = Run(tmp_path / "runs" / "one")
    run.path.mkdir(parents=True)
    for name in ("lineage.json", "metrics.jsonl", "recipe.yaml", "tokenizer.json", "a.npy", "model.safetensors"):
        special(run.path / name, kind)
    assert code_of(lambda: run.read_json("lineage.json")) == "run-damaged"
    assert code_of(lambda: list(run.metrics())) == "run-damaged"
    assert code_of(lambda: open_tokenizer(run.path / "tokenizer.json")) == "bad-tokenizer"
    assert code_of(lambda: resolve(str(run.path / "recipe.yaml"))) in ("no-such-recipe", "recipe-syntax")
    for reader in (lambda path: open_array(path, [np.uint16]), check_tensors, read_json):
        with pytest.raises(Unreadable):
            reader(run.path / ("a.npy" if reader is not check_tensors else "model.safetensors"))
    folder = Folder(run.path)
    assert folder.rows("metrics.jsonl") == [] and folder.table("recipe.yaml") == {} and len(folder.notes) >= 2


def test_a_file_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.touch()
    os.truncate(path, 1 << 40)  # a hole: it takes no room on the disk
    for reader in (read_json, lambda path: read_json(path, 10)):
        with pytest.raises(Unreadable):
            reader(path)
    assert code_of(lambda: open_tokenizer(path)) == "bad-tokenizer"
    assert Folder(tmp_path).table("x.json") == {}


# -- YAML --------------------------------------------------------------------------------------------------------------

HOSTILE_YAML: dict[str, str] = {
    "a billion laughs": "a: &a [x,x]\n"
    + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in itertools.pairwise("abcdefghi")),
    "an anchor in itself": "a: &a [*a]",
    "an object": "a: !!python/object/apply:os.system ['true']",
    "a module": "a: !!python/name:os.system",
    "a tag of its own": "a: !evil {x: 1}",
    "deep lists": "[" * 50_000,
    "deep and closed": "[" * 200 + "]" * 200,
    "deep mappings": "".join(f"{' ' * depth}a:\n" for depth in range(300)),
    "questions": "? " * 20_000,
    "a key twice": "train: {steps: 1}\ntrain: {steps: 2}",
    "a long number": "a: " + "9" * 90_000,
    "a long hexadecimal number": "a: 0x" + "f" * 90_000,
    "a long binary number": "a: 0b" + "1" * 90_000,
    "a long time": "a: 1" + ":59" * 30_000,
    "a day that there is not": "a: 2026-13-99",
    "a lone surrogate": 'a: "\\ud800"',
    "no code point": 'a: "\\UFFFFFFFF"',
    "a zero byte": "a: \x00",
    "a key that is a list": "? [a]\n: 1",
    "a merge of nothing": "<<: 5",
    "an equals sign": "a: =",
    "a large file": "a: " + "x" * 100_001,
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_hostile_yaml_is_a_recipe_with_a_mistake(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(HOSTILE_YAML[kind])
    assert code_of(lambda: resolve(str(path))) in ("recipe-syntax", "unknown-key", "bad-value")
    with pytest.raises(Unreadable):
        parse_yaml(HOSTILE_YAML[kind])
    assert Folder(tmp_path).table("recipe.yaml") == {}


@pytest.mark.parametrize("name", ["../up", "/tmp/x", "a/b", "..", ".", "a\0b", "a b", "é", "x" * 65, "", "~", "$HOME"])
@pytest.mark.parametrize("key", ["name", "source", "mix", "benchmark"])
def test_a_name_that_is_more_than_a_name_becomes_no_path(tiny: Path, name: str, key: str) -> None:
    values = yaml.safe_load(tiny.read_text())
    data = values["data"]
    if key == "name":
        values["name"] = name
    elif key == "source":
        data["sources"][name] = data["sources"]["mine"]
    elif key == "mix":
        data["mix"] = {name: 1.0}
    else:
        data["benchmarks"] = {name: "text.txt"}
    tiny.write_text(yaml.safe_dump(values))
    assert code_of(lambda: resolve(str(tiny))) in ("bad-value", "recipe-syntax")


@pytest.mark.parametrize(
    "value",
    ["9" * 900, "0x" + "f" * 900, "x" * 50_000, ["x"] * 20_000, {str(number): 1 for number in range(5000)}],
    ids=["a long number", "a long hexadecimal number", "a long word", "a long list", "a large mapping"],
)
def test_a_wrong_value_is_quoted_in_few_words(tiny: Path, value: Any) -> None:
    values = yaml.safe_load(tiny.read_text())
    values["train"]["steps"] = "VALUE"
    tiny.write_text(yaml.safe_dump(values).replace("VALUE", value if isinstance(value, str) else json.dumps(value)))
    with pytest.raises(GroundupError) as caught:
        resolve(str(tiny))
    assert len(caught.value.what) < 1000


# -- arrays and tensors ------------------------------------------------------------------------------------------------


def npy(header: str, data: bytes = b"\1\0" * 8, version: bytes = b"\1\0") -> bytes:
    raw = header.encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(raw)) + raw + data


GOOD = "{'descr': '<u2', 'fortran_order': False, 'shape': (8,), }"
HOSTILE_ARRAYS: dict[str, bytes] = {
    "nothing": b"",
    "half a header": npy(GOOD)[:20],
    "no array": b"PK\x03\x04" * 20,
    "an archive": b"PK\x05\x06" + b"\0" * 18,
    "a pickle": pickle.dumps([1, 2, 3]),
    "10^18 elements": npy(GOOD.replace("(8,)", "(1000000000000000000,)")),
    "10^30 elements": npy(GOOD.replace("(8,)", "(10**30,)")),
    "2^63 elements": npy(GOOD.replace("(8,)", f"({2**63},)")),
    "2^64 bytes and a few": npy(GOOD.replace("(8,)", f"({2**63 + 8},)")),
    "elements fewer than none": npy(GOOD.replace("(8,)", "(-8,)")),
    "fewer than there are": npy(GOOD.replace("(8,)", "(7,)")),
    "two dimensions": npy(GOOD.replace("(8,)", "(4, 2)")),
    "no dimension": npy(GOOD.replace("(8,)", "()"), b"\1\0"),
    "a shape that is a number": npy(GOOD.replace("(8,)", "8")),
    "a shape of booleans": npy(GOOD.replace("(8,)", "(True,)"), b"\1\0\1"),
    "objects": npy(GOOD.replace("<u2", "|O")),
    "other numbers": npy(GOOD.replace("<u2", "<f8").replace("(8,)", "(2,)")),
    "the other end first": npy(GOOD.replace("<u2", ">u2")),
    "a type that there is not": npy(GOOD.replace("<u2", "<u3")),
    "a type of 4 GB": npy(GOOD.replace("'<u2'", "'V4000000000'")),
    "a call": npy("__import__('os').getpid()"),
    "deep brackets": npy("(" * 60_000),
    "a long header": npy(GOOD + " " * 60_000),
    "another key": npy(GOOD.replace("}", "'x': 1}")),
    "a header of 4 GB": b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b" " * 100,
}


@pytest.mark.parametrize("kind", HOSTILE_ARRAYS)
def test_a_shard_that_is_not_what_groundup_writes_is_refused(tmp_path: Path, kind: str) -> None:
    from groundup.tokens.pack import read_shards

    path = tmp_path / "mine.train.00000-000.npy"
    path.write_bytes(HOSTILE_ARRAYS[kind])
    assert code_of(lambda: read_shards(tmp_path, "mine", "train")) == "artifact-damaged"


def test_a_shard_as_numpy_writes_it_is_read(tmp_path: Path) -> None:
    for kind in (np.uint16, np.uint32):
        np.save(tmp_path / "a.npy", np.arange(5, dtype=kind))
        assert open_array(tmp_path / "a.npy", [np.uint16, np.uint32]).tolist() == [0, 1, 2, 3, 4]
    np.save(tmp_path / "a.npy", np.empty(0, np.uint16))
    assert len(open_array(tmp_path / "a.npy", [np.uint16])) == 0


def tensors(header: Any, data: bytes = b"\0" * 16, length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(**change: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | change


HOSTILE_TENSORS: dict[str, bytes] = {
    "nothing": b"",
    "half a length": b"\1\0\0",
    "a header of 2^63 bytes": tensors({"a": tensor()}, length=2**63),
    "a header longer than the file": tensors({"a": tensor()}, length=1000),
    "a header of brackets": tensors(b"[" * 100_000),
    "a header that is a list": tensors([]),
    "a header of noise": tensors(b"\xff\0" * 20),
    "a name twice": tensors(b'{"a":%s,"a":%s}' % ((json.dumps(tensor()).encode(),) * 2)),
    "an overlap": tensors({"a": tensor(), "b": tensor(data_offsets=[8, 24])}, b"\0" * 24),
    "one inside another": tensors({"a": tensor(), "b": tensor(shape=[1], data_offsets=[4, 8])}),
    "a gap": tensors({"a": tensor(data_offsets=[4, 20])}, b"\0" * 20),
    "a tail": tensors({"a": tensor()}, b"\0" * 17),
    "an end beyond the file": tensors({"a": tensor(shape=[2, 2000], data_offsets=[0, 16000])}),
    "an end before the beginning": tensors({"a": tensor(data_offsets=[16, 0])}),
    "negative": tensors({"a": tensor(data_offsets=[-16, 0])}),
    "a shape that overflows": tensors({"a": tensor(shape=[2**62, 2**62])}),
    "a shape of fractions": tensors({"a": tensor(shape=[4.0])}),
    "a shape of booleans": tensors({"a": tensor(shape=[True], dtype="F32", data_offsets=[0, 4])}, b"\0" * 4),
    "a shape of 1000 dimensions": tensors({"a": tensor(shape=[1] * 1000, data_offsets=[0, 4])}, b"\0" * 4),
    "a type that lies": tensors({"a": tensor(dtype="F64")}),
    "a type that there is not": tensors({"a": tensor(dtype="O")}),
    "no type": tensors({"a": {"shape": [4], "data_offsets": [0, 16]}}),
    "more than a tensor": tensors({"a": tensor(evil=1)}),
    "metadata that are a tensor": tensors({"__metadata__": tensor(), "a": tensor()}),
    "a pickle": pickle.dumps({"a": [1.0]}),
}


@pytest.mark.parametrize("kind", HOSTILE_TENSORS)
def test_a_weights_file_whose_header_lies_is_refused_before_it_is_loaded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE_TENSORS[kind])
    with pytest.raises(Unreadable):
        check_tensors(path)


def test_a_weights_file_as_the_library_writes_it_is_taken_with_its_shapes(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    kinds = (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.uint8)
    save_file(
        {str(kind): torch.zeros(3, 5, dtype=kind) for kind in kinds} | {"none": torch.zeros(0, 4)}, tmp_path / "x"
    )
    shapes = check_tensors(tmp_path / "x")
    assert set(shapes.values()) == {(3, 5), (0, 4)} and len(shapes) == 7


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10**9},
        {"width": 10**9, "heads": 1},
        {"vocab_size": 2**62},
        {"context": 10**12},
        {"width": 0, "layers": 10**9},
        {"layers": -1},
        {"heads": 0},
        {"layers": 1.0},
        {"layers": True},
        {"layers": "1"},
        {"dropout": "x"},
        {"family": "evil"},
        {"evil": 1},
        {"norm": None, "bias": "yes"},
    ],
    ids=str,
)
def test_a_shape_that_the_weights_do_not_have_is_not_built(made: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    import torch

    from groundup.train.checkpoint import Checkpoint, load_model

    shutil.copytree(max((made / "lab").glob("runs/*/checkpoints/step-*")), tmp_path / "step")
    shape = json.loads((tmp_path / "step" / "model.json").read_bytes())
    load_model(Checkpoint(tmp_path / "step", {}), torch.device("cpu"))
    (tmp_path / "step" / "model.json").write_text(json.dumps(shape | change))
    action = lambda: load_model(Checkpoint(tmp_path / "step", {}), torch.device("cpu"))  # noqa: E731
    assert code_of(action) == "checkpoint-damaged"


# -- names and paths in manifests and lineages -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "link", "loop", "a/../../../secret", "\0", ".", ""])
def test_a_manifest_that_vouches_for_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"")

    def fill(directory: Path) -> dict[str, Any]:
        (directory / "a.txt").write_text("hello")
        return {}

    path = make(tmp_path, "corpus", 1, {}, [], fill).path
    (path / "link").symlink_to(tmp_path / "secret")
    (path / "loop").symlink_to("loop")
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["files"][name] = {
        "bytes": 0,
        "sha256": hashlib.sha256(b"").hexdigest(),
    }
    (path / "manifest.json").write_text(json.dumps(manifest | {"sha256": digest(manifest)}))
    assert code_of(lambda: load(path)) == "artifact-damaged"


def test_a_file_that_was_slipped_into_an_artifact_is_found(tmp_path: Path) -> None:
    def fill(directory: Path) -> dict[str, Any]:
        (directory / "mine.train.00000-000.npy").write_bytes(npy(GOOD))
        return {}

    path = make(tmp_path, "shards", 1, {}, [], fill).path
    (path / ".DS_Store").write_text("what a file browser leaves")
    assert load(path)
    (path / "mine.train.00001-000.npy").write_bytes(npy(GOOD))
    assert code_of(lambda: load(path)) == "artifact-damaged"


@pytest.mark.parametrize(
    "id", ["shards-/../../../evil", "shards-../evil", "shards-", "shards-0123456789ABCDEF", "shards-\0"]
)
def test_a_lineage_that_names_shards_elsewhere_is_not_followed(tmp_path: Path, id: str) -> None:
    run = Run(tmp_path / "lab" / "runs" / "one")
    run.path.mkdir(parents=True)
    (run.path / "lineage.json").write_text(json.dumps({"chain": [{"id": id}], "model": {"parameters": 1}}))
    assert code_of(run.shards) == "run-damaged"


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a\0b", "*", "[a]", "\udcff", "~root", "x" * 5000])
def test_a_run_s_name_finds_runs_and_nothing_else(tmp_path: Path, name: str) -> None:
    assert code_of(lambda: find(tmp_path, name)) == "no-such-run"


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
EXPLOSIVE: dict[str, dict[str, Any]] = {
    "byte level upon byte level": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTE_LEVEL] * 30}},
    "in sequences": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Sequence", "pretokenizers": [BYTE_LEVEL] * 6}] * 6,
        }
    },
    "longer and longer": {"normalizer": {"type": "Sequence", "normalizers": [REPLACE] * 12}},
    "longer when it comes back": {"decoder": {"type": "Sequence", "decoders": [REPLACE] * 12}},
}


@pytest.mark.parametrize("kind", EXPLOSIVE)
def test_a_tokenizer_that_makes_a_short_text_endless_is_not_tried(made: Path, tmp_path: Path, kind: str) -> None:
    path = next((made / "lab").glob("artifacts/tokenizer-*/tokenizer.json"))
    open_tokenizer(path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(json.loads(path.read_text()) | EXPLOSIVE[kind]))
    with pytest.raises(GroundupError, match="very long"):
        open_tokenizer(tmp_path / "tokenizer.json")


SENSELESS = [
    "{}",
    '{"chain": [], "model": 5, "counts": [], "files": 3, "event": 1, "kind": 1, "step": "x"}',
    '{"kind": "valid", "source": "all", "step": 1, "bpb": "x", "event": "finished"}',
    '{"kind": "valid", "step": true, "event": ["x"], "checkpoint": "final", "text": 1, "prompt": 2, "seed": 3}',
]


@pytest.mark.parametrize("name", ["lineage.json", "corpus.json", "shards.json", "*.jsonl", "recipe.yaml"])
@pytest.mark.parametrize("text", SENSELESS)
def test_json_of_a_run_that_says_something_else_is_no_traceback(
    made: Path, tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing vouches for these files: a person may have opened them in an editor."""
    shutil.copytree(made / "lab", tmp_path / "lab")
    run = next((tmp_path / "lab" / "runs").iterdir())
    for path in run.glob(name):
        path.write_text(text + "\n")
    for command in (["ls"], ["report", str(run)], ["eval", str(run)], ["train", str(made / "tiny.yaml")]):
        assert main([*command, "--lab", str(tmp_path / "lab")]) in (0, 2, 3)
    assert "Traceback" not in capsys.readouterr().err


# -- nothing is unpickled ----------------------------------------------------------------------------------------------


class Canary:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_the_canary_sings(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Canary(tmp_path / "sang")))
    assert (tmp_path / "sang").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert main(["train", str(small_recipe(folder)), "--lab", str(folder / "lab")]) == 0
    return folder


READ = [
    "runs/*/recipe.yaml",
    "runs/*/lineage.json",
    "runs/*/shards.json",
    "runs/*/corpus.json",
    "runs/*/tokenizer.json",
    "runs/*/metrics.jsonl",
    "runs/*/events.jsonl",
    "runs/*/samples.jsonl",
    "runs/*/checkpoints/*/MANIFEST.json",
    "runs/*/checkpoints/*/model.json",
    "runs/*/checkpoints/*/state.json",
    "runs/*/checkpoints/*/model.safetensors",
    "runs/*/checkpoints/*/optimizer.safetensors",
    "artifacts/*/manifest.json",
    "artifacts/shards-*/*.npy",
    "artifacts/corpus-*/*.parquet",
    "artifacts/corpus-*/report.json",
    "artifacts/tokenizer-*/tokenizer.json",
]


def rehash(lab: Path) -> None:
    """Let every manifest vouch for the files as they are now: who can write files can write hashes, too."""
    from groundup.store.files import file_record, write_json

    for path in lab.glob("artifacts/*"):
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
        except ValueError:
            continue
        manifest["files"] = {name: one for name, one in file_record(path).items() if name != "manifest.json"}
        manifest.pop("sha256")
        write_json(path / "manifest.json", manifest | {"sha256": digest(manifest)})
    for path in lab.glob("runs/*/checkpoints/*"):
        files = {name: one for name, one in file_record(path).items() if name != "MANIFEST.json"}
        if b"format" in (path / "MANIFEST.json").read_bytes():
            write_json(path / "MANIFEST.json", {"format": 1, "files": files})
    for path in lab.glob("runs/*/shards.json"):
        try:
            shards = json.loads(path.read_bytes())
            manifest = json.loads(next(lab.glob("artifacts/shards-*/manifest.json")).read_bytes())
        except ValueError:
            continue
        write_json(path, shards | {"files": manifest["files"]})


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize("pattern", READ)
def test_a_pickle_in_a_file_s_place_is_never_run(
    made: Path, tmp_path: Path, pattern: str, protocol: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "lab", tmp_path / "lab")
    lab, canary = tmp_path / "lab", tmp_path / "sang"
    found = sorted(lab.glob(pattern))
    assert found
    for path in found:
        path.write_bytes(pickle.dumps(Canary(canary), protocol))
    rehash(lab)
    run = str(next((lab / "runs").iterdir()))
    for command in (["ls"], ["report", run], ["sample", run], ["eval", run], ["train", str(made / "tiny.yaml")]):
        code = main([*command, "--lab", str(lab)])
        said = capsys.readouterr().err
        assert code in (0, *(one.exit_code for one in CODES.values())) and "Traceback" not in said
    assert not canary.exists()


def test_a_pickle_among_the_texts_is_never_run(tiny: Path, tmp_path: Path) -> None:
    """Also where Parquet's schema asks for it: pyarrow unpickled the type arrow.py_extension_type until version 14."""
    canary = tmp_path / "sang"
    raw = pickle.dumps(Canary(canary))
    texts = tmp_path / "texts"
    texts.mkdir()
    name, data = b"ARROW:extension:name", b"ARROW:extension:metadata"
    field = pa.field("text", pa.string(), metadata={name: b"arrow.py_extension_type", data: raw})
    pq.write_table(pa.table({"text": ["a text"] * 3}, schema=pa.schema([field])), texts / "a.parquet")
    (texts / "b.parquet").write_bytes(raw)
    (texts / "c.jsonl.gz").write_bytes(gzip.compress(raw))
    (texts / "d.txt.zst").write_bytes(raw)
    (texts / "e.csv").write_bytes(raw)
    for file in sorted(texts.iterdir()):
        main(["data", str(tiny), f"data.sources.mine.path={file}", "--lab", str(tmp_path / "lab")])
    main(["tokenizer", str(tiny), f"tokenizer.use={texts / 'b.parquet'}", "--lab", str(tmp_path / "lab")])
    assert not canary.exists()


def test_every_run_of_a_lab_is_listed_though_one_is_hostile(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "lab", tmp_path / "lab")
    evil = tmp_path / "lab" / "runs" / "evil"
    evil.mkdir()
    for number, raw in enumerate(HOSTILE_JSON.values()):
        if len(raw) < 1_000_000:
            (evil.with_name(f"evil-{number}")).mkdir()
            (evil.with_name(f"evil-{number}") / "lineage.json").write_bytes(raw)
    special(evil / "lineage.json", "a pipe")
    assert len(all_runs(tmp_path / "lab")) > 15
    assert main(["ls", "--lab", str(tmp_path / "lab")]) == 0
