"""Whatever a user, a disk or a signal does: one error, with a code and a fix, and never a traceback."""

import errno
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_recipe import small_recipe

import groundup
from groundup.cli import app, main
from groundup.errors import CODES
from groundup.store.artifacts import load
from groundup.store.runs import Run, all_runs
from groundup.train import checkpoint, preflight


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error:")]

    def done(self) -> "Outcome":
        assert self.exit_code == 0 and not self.errors, self.err
        return self

    def refused(self, code: str, *words: str) -> "Outcome":
        """One error line with its code, a fix, and the exit code that the table promises."""
        assert len(self.errors) == 1, self.err
        assert self.errors[0].endswith(f"[{code}]"), self.errors[0]
        assert self.exit_code == CODES[code].exit_code
        following = self.err[self.err.index("error:") :].splitlines()
        assert following[1].startswith("  fix: ") and len(following[1]) > len("  fix: ")
        assert f"groundup explain {code}" in following[2]
        for word in words:
            assert word in self.errors[0] or word in following[1], (word, self.err)
        return self


Go = Callable[..., Outcome]


@pytest.fixture
def go(capsys: pytest.CaptureFixture[str]) -> Go:
    """The command line in this process."""

    def call(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        exit_code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        outcome = Outcome(exit_code, captured.out, captured.err)
        assert "Traceback" not in outcome.out + outcome.err
        return outcome

    return call


def process(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "groundup.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    return subprocess.Popen(command, **(pipes | options))


@dataclass(frozen=True)
class Lab:
    recipe: Path
    path: Path

    @property
    def run(self) -> Run:
        return all_runs(self.path)[0]

    def artifact(self, stage: str) -> Path:
        return next((self.path / "artifacts").glob(f"{stage}-*"))

    def checkpoints(self) -> list[Path]:
        return sorted(checkpoint.directory(self.run).glob("step-*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A trained run, to be copied and never touched."""
    import torch

    torch.set_num_threads(1)  # what is this small only gets slower with more
    folder = tmp_path_factory.mktemp("made")
    lab = Lab(small_recipe(folder), folder / "lab")
    assert main(["train", str(lab.recipe), "--lab", str(lab.path)]) == 0
    return lab


@pytest.fixture
def lab(made: Lab, tmp_path: Path) -> Lab:
    """A trained run to do harm to."""
    shutil.copytree(made.path, tmp_path / "lab")
    return Lab(made.recipe, tmp_path / "lab")


def flip(path: Path, at: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [""],
        ["trian", "quickstart"],
        ["--bogus"],
        ["run"],
        ["show", "quickstart", "--bogus"],
        ["show", "quickstart", "--bogus=1"],
        ["sample", "last", "--temperature", "warm"],
        ["sample", "last", "--top-k", "many"],
        ["sample", "last", "--prompt"],
        ["sample"],
        ["eval", "last", "extra"],
        ["ls", "--lab"],
        ["explain", "disk-full", "disk-full"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(go: Go, arguments: list[str]) -> None:
    go(*arguments).refused("usage")


def test_no_command_at_all_shows_the_help(go: Go) -> None:
    assert all(verb in go().done().out for verb in ("run", "train", "sample", "explain"))


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["show", "quickstrat"], "no-such-recipe", "quickstart"),
        (["show", "nothing/like/it.yaml"], "no-such-recipe", "nothing/like/it.yaml"),
        (["show", "x" * 5000], "no-such-recipe", ""),
        (["show", "quickstart\0"], "no-such-recipe", ""),
        (["run", "quickstart", "train.stepz=5"], "unknown-key", "train.steps"),
        (["run", "quickstart", "train.steps=0"], "bad-value", "train.steps"),
        (["run", "quickstart", "model.heads=7"], "recipe-conflict", "divisible"),
        (["run", "quickstart", "train.steps"], "recipe-syntax", "key.sub=value"),
        (["run", "quickstart", "data.sources.stories.path=\udcff"], "recipe-syntax", ""),
        (["data", "quickstart", "data.sources.stories.corpus=tinystory"], "unknown-corpus", "tinystories"),
        (["explain", "disk-ful"], "unknown-code", "disk-full"),
        (["explain", "zzz"], "unknown-code", "groundup explain"),
        (["sample", "nobody"], "no-such-run", "nobody"),
        (["sample", "x" * 5000], "no-such-run", ""),
        (["eval", "last"], "no-such-run", ""),
        (["report", "last"], "no-such-run", ""),
    ],
)
def test_what_does_not_exist_is_refused_by_name(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str, word: str
) -> None:
    monkeypatch.setenv("GROUNDUP_LAB", str(tmp_path / "lab"))
    go(*arguments).refused(code, word)
    assert not list(tmp_path.glob("lab/artifacts/*"))


# -- texts -------------------------------------------------------------------------------------------------------------

JSONL = "".join(json.dumps({"text": f"document {number} " * 20}) + "\n" for number in range(200)).encode()


def parquet() -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"document {number}" for number in range(1000)]}), out)
    return out.getvalue().to_pybytes()


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty.txt": (b"", "no-text"),
    "empty.jsonl": (b"", "no-text"),
    "empty.csv": (b"", "no-text"),
    "empty.txt.gz": (b"", "no-text"),
    "blank.txt": (b" \n\n\t\n", "no-text"),
    "empty.parquet": (b"", "bad-file"),
    "cut.jsonl": (cut(JSONL), "bad-file"),
    "list.jsonl": (b'{"text": "x"}\n["x"]\n', "bad-file"),
    "number.jsonl": (b'{"text": "x"}\n{"text": 5}\n', "bad-file"),
    "column.jsonl": (b'{"text": "x"}\n{"body": "x"}\n', "bad-file"),
    "latin.jsonl": (b'{"text": "x"}\n{"text": "caf\xe9"}\n', "bad-file"),
    "deep.jsonl": (b'{"text": "x"}\n' + b"[" * 100_000 + b"\n", "bad-file"),
    "column.csv": (b"body\nx\n", "bad-file"),
    "cut.txt.gz": (cut(gzip.compress(os.urandom(100_000))), "bad-file"),
    "cut.jsonl.gz": (cut(gzip.compress(JSONL)), "bad-file"),
    "cut.txt.zst": (cut(pa.Codec("zstd").compress(os.urandom(100_000), asbytes=True)), "bad-file"),
    "cut.jsonl.zst": (cut(pa.Codec("zstd").compress(JSONL, asbytes=True)), "bad-file"),
    "cut.parquet": (cut(parquet()), "bad-file"),
    "flipped.jsonl.gz": (gzip.compress(JSONL)[:-8] + b"\0" * 8, "bad-file"),
    "text.txt.gz": (b"no gzip at all", "bad-file"),
    "text.txt.zst": (b"no zstd at all", "bad-file"),
    "text.parquet": (b"no parquet at all", "bad-file"),
    "text.docx": (b"PK", "no-text"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(go: Go, tiny: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "files" / name
    path.parent.mkdir()
    raw, code = BAD_FILES[name]
    path.write_bytes(raw)
    outcome = go("data", tiny, f"data.sources.mine.path={path}", "--lab", tmp_path / "lab")
    outcome.refused(code, name if code == "bad-file" else "")
    if name.endswith("jsonl") and code == "bad-file" and not name.startswith("cut"):
        assert f"{name}, line 2" in outcome.errors[0]
    assert not list((tmp_path / "lab").glob("artifacts/*"))  # nothing half made


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere.txt", "no-such-file"),
        ("nowhere/*.txt", "no-such-file"),
        ("[nowhere.txt, here.txt]", "no-such-file"),
        ("folder", "no-text"),
        ("folder/*.png", "no-text"),
        ("broken-link.txt", "no-such-file"),
        ("unreadable.txt", "no-such-file"),
        ("x" * 300 + ".txt", "no-such-file"),
    ],
)
def test_a_path_that_leads_to_no_text_is_refused(
    go: Go, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("here")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(b"")
    (tmp_path / "broken-link.txt").symlink_to("gone.txt")
    (tmp_path / "unreadable.txt").symlink_to("/proc/self/mem")  # reading it is an input/output error, for root, too
    go("data", tiny, f"data.sources.mine.path={path}", "--lab", "lab").refused(code)


def test_a_vocabulary_larger_than_the_text_supports_is_refused_with_one_that_works(
    go: Go, tiny: Path, tmp_path: Path
) -> None:
    outcome = go("tokenizer", tiny, "tokenizer.vocab_size=50000", "--lab", tmp_path / "lab").refused(
        "vocabulary-too-large"
    )
    override = re.search(r"tokenizer\.vocab_size=\d+", outcome.err)
    assert override
    go("tokenizer", tiny, override.group(), "--lab", tmp_path / "lab").done()


def test_a_text_shorter_than_one_window_is_refused(go: Go, tiny: Path, tmp_path: Path) -> None:
    go("train", tiny, "model.context=65536", "train.tokens_per_update=65536", "--lab", tmp_path / "lab").refused(
        "text-too-short", "mine"
    )


@pytest.mark.parametrize("use", ["nowhere.json", "text.txt", "folder", "tokenizer-0123456789abcdef"])
def test_a_tokenizer_that_is_none_is_refused(
    go: Go, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    go("tokenizer", tiny, f"tokenizer.use={use}", "--lab", "lab").refused("bad-tokenizer", use)


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "name"),
    [("corpus", "mine.train.00000.parquet"), ("tokenizer", "tokenizer.json"), ("shards", "mine.train.00000-000.npy")],
)
def test_a_flipped_byte_in_an_artifact_stops_training_and_its_fix_works(
    go: Go, lab: Lab, stage: str, name: str
) -> None:
    path = lab.artifact(stage)
    flip(path / name, 300)
    command = ("train", lab.recipe, "seed=2", "--lab", lab.path)
    go(*command).refused("artifact-damaged", name, str(path))
    if stage == "shards":
        go("eval", "last", "--lab", lab.path).refused("artifact-damaged", name)
    shutil.rmtree(path)  # what the fix says
    go(*command).done()


def flip_manifest(path: Path) -> None:
    manifest = json.loads((path / "MANIFEST.json").read_bytes())
    del manifest["files"]["model.safetensors"]
    (path / "MANIFEST.json").write_text(json.dumps(manifest))


def empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


CHECKPOINT_DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a flipped byte of the model": lambda path: flip(path / "model.safetensors", 5000),
    "a flipped byte of the optimizer": lambda path: flip(path / "optimizer.safetensors"),
    "a flipped byte of the state": lambda path: flip(path / "state.json", 12),
    "a truncated model": lambda path: os.truncate(path / "model.safetensors", 1000),
    "a missing model": lambda path: (path / "model.safetensors").unlink(),
    "a missing manifest": lambda path: (path / "MANIFEST.json").unlink(),
    "a manifest of noise": lambda path: (path / "MANIFEST.json").write_bytes(b"\xff\0" * 50),
    "a manifest that lists no model": flip_manifest,
    "an empty directory": empty,
}


@pytest.mark.parametrize("kind", CHECKPOINT_DAMAGE)
def test_training_goes_back_behind_a_damaged_checkpoint_with_a_warning(go: Go, lab: Lab, kind: str) -> None:
    newest = lab.checkpoints()[-1]
    CHECKPOINT_DAMAGE[kind](newest)
    outcome = go("train", lab.recipe, "--lab", lab.path).done()
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 1 and str(newest) in warnings[0] and "[checkpoint-damaged]" in warnings[0]
    assert "step-00000006" in outcome.err and checkpoint.problem(newest) is None  # made again


@pytest.mark.parametrize("kind", CHECKPOINT_DAMAGE)
def test_when_every_checkpoint_is_damaged_nothing_is_built_on_any(go: Go, lab: Lab, kind: str) -> None:
    for path in lab.checkpoints():
        CHECKPOINT_DAMAGE[kind](path)
    for command in (
        ("train", lab.recipe),
        ("sample", "last"),
        ("eval", "last"),
        ("sample", "last", "--checkpoint", "8"),
    ):
        go(*command, "--lab", lab.path).refused("checkpoint-damaged")


def test_a_damaged_checkpoint_that_was_asked_for_is_not_silently_replaced(go: Go, lab: Lab) -> None:
    newest = lab.checkpoints()[-1]
    flip(newest / "model.safetensors")
    go("sample", "last", "--checkpoint", "8", "--lab", lab.path).refused("checkpoint-damaged", str(newest))
    for which in ("last", "best"):
        outcome = go("sample", "last", "--checkpoint", which, "--lab", lab.path)
        assert "[checkpoint-damaged]" in outcome.err


@pytest.mark.parametrize("which", ["7", "first", "-1", "²", "", "9" * 40, "../x"])
def test_a_checkpoint_that_does_not_exist_is_refused_with_those_that_do(go: Go, lab: Lab, which: str) -> None:
    outcome = go("sample", "last", f"--checkpoint={which}", "--lab", lab.path)
    outcome.refused("no-checkpoint", "6, 8") if which else outcome.refused(outcome.errors[0].split("[")[-1][:-1])


def test_a_run_without_a_checkpoint_is_refused(go: Go, lab: Lab) -> None:
    shutil.rmtree(checkpoint.directory(lab.run))
    for verb in ("sample", "eval"):
        go(verb, "last", "--lab", lab.path).refused("no-checkpoint")


@pytest.mark.parametrize(
    ("name", "code", "verb"),
    [
        ("recipe.yaml", "run-damaged", "sample"),
        ("lineage.json", "run-damaged", "eval"),
        ("corpus.json", "run-damaged", "eval"),
        ("tokenizer.json", "bad-tokenizer", "sample"),
        ("tokenizer.json", "bad-tokenizer", "eval"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\xff\x00noise", b"[]", b"{}"])
def test_a_damaged_file_of_a_run_is_named(go: Go, lab: Lab, name: str, code: str, verb: str, content: bytes) -> None:
    (lab.run.path / name).write_bytes(content)
    go(verb, lab.run.path, "--lab", lab.path).refused(code, name)


def test_a_run_without_its_recipe_is_damaged(go: Go, lab: Lab) -> None:
    (lab.run.path / "recipe.yaml").unlink()
    go("sample", "last", "--lab", lab.path).refused("run-damaged", "recipe.yaml")


@pytest.mark.parametrize("name", ["lineage.json", "metrics.jsonl", "events.jsonl"])
def test_one_damaged_run_does_not_hide_the_others(go: Go, lab: Lab, name: str) -> None:
    broken = lab.run.path.with_name("broken-run")
    shutil.copytree(lab.run.path, broken)
    (broken / name).write_bytes(b'{"half\x00\n' * 3)
    outcome = go("ls", "--lab", lab.path).done()
    assert "tiny-" in outcome.out and "broken-run" in outcome.out


def test_a_log_cut_in_the_middle_of_a_line_does_not_stop_the_run(go: Go, lab: Lab) -> None:
    shutil.rmtree(lab.checkpoints()[-1])
    for name in ("metrics.jsonl", "samples.jsonl", "events.jsonl"):
        os.truncate(lab.run.path / name, (lab.run.path / name).stat().st_size - 7)
    for _ in range(2):
        go("run", lab.recipe, "--lab", lab.path).done()
    steps = [row["step"] for row in lab.run.metrics() if row["kind"] == "train"]
    assert steps == sorted(set(steps)) and steps[-1] == 8


# -- prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", ["", "😀 naïve", "a: b # c", "[x", "*x", "'", '"', "\\", "\x00", "\x7f\x85\u2028", "a\nb", "- x", "null"]
)
def test_any_prompt_is_taken_as_it_is(go: Go, made: Lab, prompt: str) -> None:
    outcome = go("sample", "last", f"--prompt={prompt}", "--max-tokens=1", "--json", "--lab", made.path).done()
    (row,) = json.loads(outcome.out)["samples"]
    assert row["prompt"] == prompt and row["text"].startswith(prompt)


def test_a_prompt_that_is_no_text_is_refused(go: Go, made: Lab) -> None:
    outcome = go("sample", "last", "--prompt=\udcff", "--lab", made.path)
    assert outcome.exit_code == 2 and len(outcome.errors) == 1


def test_a_prompt_longer_than_the_context_is_refused(go: Go, made: Lab) -> None:
    go("sample", "last", "--prompt", "word " * 100, "--lab", made.path).refused("bad-prompt", "15")


@pytest.mark.parametrize(
    "option",
    [
        "--temperature=-1",
        "--top-k=-1",
        "--top-p=0",
        "--top-p=2",
        "--max-tokens=0",
        "--seed=-1",
        "--temperature=nan",
        "--temperature=inf",
    ],
)
def test_an_impossible_way_to_sample_is_refused(go: Go, made: Lab, option: str) -> None:
    go("sample", "last", option, "--lab", made.path).refused("bad-value")


def test_a_split_that_does_not_exist_is_refused(go: Go, made: Lab) -> None:
    go("eval", "last", "--split", "dev", "--lab", made.path).refused("usage", "dev")


def test_a_device_that_is_not_there_is_refused(go: Go, made: Lab) -> None:
    import torch

    missing = "mps" if torch.cuda.is_available() else "cuda"
    for device in (missing, "tpu"):
        outcome = go("sample", "last", "--device", device, "--lab", made.path)
        assert len(outcome.errors) == 1 and outcome.exit_code in (2, 3)
    go("train", made.recipe, f"train.device={missing}", "--lab", made.path).refused("no-device")


def test_an_ambiguous_run_is_refused_with_what_it_could_mean(go: Go, lab: Lab) -> None:
    go("train", lab.recipe, "seed=2", "--lab", lab.path).done()
    names = [run.name for run in all_runs(lab.path)]
    outcome = go("sample", "tiny", "--lab", lab.path).refused("no-such-run", *names)
    assert "several" in outcome.errors[0]


def test_a_run_that_another_process_trains_is_refused(go: Go, lab: Lab) -> None:
    with lab.run.lock():
        go("train", lab.recipe, "--lab", lab.path).refused("run-busy", lab.run.name)
        go("sample", "last", "--lab", lab.path).done()  # looking is free
        go("ls", "--lab", lab.path).done()


@pytest.mark.parametrize("arguments", [("ls",), ("ls", "--json"), ("run", "quickstart"), ("eval", "last")])
def test_a_lab_whose_name_is_not_utf_8_is_refused(go: Go, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The libraries that read tokenizers and weights cannot open such a path."""
    go(*arguments, "--lab", str(tmp_path / "lab-\udcff")).refused("not-writable", "not UTF-8")


# -- the disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 4 MB in memory, which preflight takes for a large one: others may fill a disk later."""
    monkeypatch.setattr(preflight, "judge", lambda _: None)
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small file system can be mounted by root only")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], capture_output=True).returncode:
        pytest.skip("this machine does not let a file system be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def leave(disk: Path, free: int) -> None:
    """Fill a disk until `free` bytes are left."""
    now = os.statvfs(disk)
    with (disk / "ballast").open("wb") as file:
        file.write(b"\0" * max(0, now.f_bavail * now.f_frsize - free))


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A recipe on a text of 400 KB."""
    recipe = small_recipe(tmp_path)
    texts = [
        f"The cat number {n} has {n * 7919 % 10007} mice and {n * 104729 % 100003} fleas, it says." for n in range(6000)
    ]
    (tmp_path / "text.txt").write_text("\n---\n".join(texts))
    return recipe


def test_a_disk_that_fills_while_packing_leaves_what_was_made_and_the_same_command_finishes(
    go: Go, wide: Path, small_disk: Path
) -> None:
    lab = small_disk / "lab"
    go("tokenizer", wide, "--lab", lab).done()
    before = sorted((lab / "artifacts").iterdir())
    leave(small_disk, 100_000)
    command = ("train", wide, "train.steps=2", "train.valid_bytes=4000", "--lab", lab)
    go(*command).refused("disk-full")
    assert sorted((lab / "artifacts").iterdir()) == before and all(load(path) for path in before)
    (small_disk / "ballast").unlink()
    go(*command).done()


def test_a_disk_that_fills_while_saving_leaves_the_older_checkpoints_and_the_same_command_finishes(
    go: Go, tiny: Path, small_disk: Path
) -> None:
    lab = small_disk / "lab"
    go("train", tiny, "seed=2", "--lab", lab).done()
    leave(small_disk, 450_000)
    go("train", tiny, "--lab", lab).refused("disk-full")
    run = next(run for run in all_runs(lab) if len(checkpoint.whole(run)[0]) < 3)
    found, problems = checkpoint.whole(run)
    assert [one.step for one in found] == [2] and not problems
    assert not list(checkpoint.directory(run).glob(".*"))
    (small_disk / "ballast").unlink()
    outcome = go("train", tiny, "--lab", lab).done()
    assert "resumed from" in outcome.err and checkpoint.select(run, "last").step == 8


def test_wherever_the_disk_fills_it_is_said_and_the_same_command_finishes(go: Go, tiny: Path, small_disk: Path) -> None:
    for free in (0, 8192, 20_480, 49_152, 98_304, 200_704):
        lab = small_disk / f"lab-{free}"
        leave(small_disk, free)
        go("run", tiny, "train.steps=2", "--lab", lab).refused("disk-full")
        (small_disk / "ballast").unlink()
        go("run", tiny, "train.steps=2", "--lab", lab).done()
        assert (all_runs(lab)[0].path / "report.html").is_file()
        shutil.rmtree(lab)


def test_a_report_that_the_disk_had_no_room_for_is_written_the_next_time(
    go: Go, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundup.science import run_report

    def fail(path: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(run_report, "write", fail)
        go("run", tiny, "--lab", tmp_path / "lab").refused("disk-full")
    go("run", tiny, "--lab", tmp_path / "lab").done()
    run = all_runs(tmp_path / "lab")[0]
    assert (run.path / "report.html").is_file()
    final = [row for row in (json.loads(line) for line in (run.path / "samples.jsonl").open()) if "checkpoint" in row]
    assert len(final) == 1  # one prompt, once


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/proc/nowhere/lab"])
def test_a_lab_that_cannot_be_made_is_refused(go: Go, tiny: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")
    go("train", tiny, "--lab", tmp_path / place).refused("not-writable", "--lab")


def test_a_lab_on_a_read_only_disk_can_be_looked_at_and_not_trained_in(go: Go, made: Lab, small_disk: Path) -> None:
    shutil.copytree(made.path, small_disk / "lab")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    lab = small_disk / "lab"
    go("ls", "--lab", lab).done()
    go("sample", "last", "--lab", lab).done()
    go("train", made.recipe, "seed=2", "--lab", lab).refused("not-writable", "--lab")
    go("eval", "last", "--lab", lab).refused("not-writable")
    go("report", "last", "--lab", lab).refused("not-writable")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with Path("/dev/full").open("w") as full, process("show", "quickstart", stdout=full) as shown:
        err = shown.communicate(timeout=60)[1]
    Outcome(shown.returncode, "", err).refused("disk-full")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with process("show", "quickstart") as shown:
        assert shown.stdout and shown.stderr
        shown.stdout.close()
        err = shown.stderr.read()
    assert shown.returncode == 0 and not err


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on_and_the_same_command_finishes(
    go: Go, lab: Lab, number: signal.Signals
) -> None:
    rarely = [f"train.{what}_every=300" for what in ("valid", "checkpoint", "sample")]
    command: list[str | Path] = [
        "train",
        lab.recipe,
        "train.steps=300",
        "train.log_every=1",
        *rarely,
        "--lab",
        lab.path,
    ]
    with process(*command) as training:
        assert training.stderr and training.stdout
        seen = []
        for line in training.stderr:
            seen.append(line)
            if line.startswith("step 3/"):
                training.send_signal(number)
                break
        err = "".join(seen) + training.stderr.read()
        out = training.stdout.read()
    outcome = Outcome(training.returncode, out, err).refused("interrupted", "same command again")
    assert "Traceback" not in out + err and number.name in err
    run = next(run for run in all_runs(lab.path) if run.path != lab.run.path)
    (kept,) = checkpoint.whole(run)[0][-1:]
    assert f"step {kept.step} of 300" in outcome.errors[0] and 3 <= kept.step < 300
    finished = go(*command).done()
    assert f"resumed from {kept.path}" in finished.err and checkpoint.select(run, "last").step == 300


# -- the table of codes, imports, JSON ---------------------------------------------------------------------------------

SOURCES = sorted(Path(groundup.__file__).parent.rglob("*.py"))


def test_every_code_in_use_is_explained_and_every_explained_code_is_in_use() -> None:
    used = {code for path in SOURCES for code in re.findall(r'GroundupError\(\s*"([^"]+)"', path.read_text())}
    named = {
        code
        for path in SOURCES
        if path.name != "errors.py"
        for code in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', path.read_text())
    }
    assert used <= CODES.keys()
    assert not CODES.keys() - named


def test_every_code_is_explained_in_words_and_with_a_documented_exit_code(go: Go) -> None:
    assert go("explain").done().out.split() == list(CODES)
    for code, explanation in CODES.items():
        outcome = go("explain", code).done()
        assert explanation.text in outcome.out and f"exit code {explanation.exit_code}" in outcome.out
        assert explanation.exit_code in range(1, 6) and len(explanation.text) > 40


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["explain", "disk-full"]])
def test_help_needs_none_of_the_heavy_libraries(arguments: list[str]) -> None:
    heavy = ("torch", "daft", "pyarrow", "pydantic", "numpy", "transformers", "tokenizers", "matplotlib")
    body = f"main({arguments}); sys.exit(' '.join(set({heavy}) & set(sys.modules)) or 0)"
    code = f"import sys; from groundup.cli import main; {body}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_verb_prints_exactly_one_json_object_on_stdout(go: Go, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"The\n")))
    commands: dict[str, list[str | Path]] = {
        "show": ["quickstart"],
        "data": [lab.recipe, "--lab", lab.path],
        "tokenizer": [lab.recipe, "--lab", lab.path],
        "train": [lab.recipe, "seed=3", "--lab", lab.path],
        "run": [lab.recipe, "--lab", lab.path],
        "eval": ["last", "--lab", lab.path],
        "sample": ["last", "--lab", lab.path],
        "chat": ["last", "--max-tokens", "4", "--lab", lab.path],
        "texts": ["last", "--prompts", "recipe", "--per-prompt", "2", "--max-tokens", "4", "--lab", lab.path],
        "report": ["last", "--lab", lab.path],
        "resume": ["last", "--lab", lab.path],
        "checkpoints": ["last", "--lab", lab.path],
        "ls": ["--lab", lab.path],
        "explain": ["disk-full"],
    }
    assert commands.keys() == {name for name in app if not name.startswith("-")}  # a new verb belongs here, too
    for verb, arguments in commands.items():
        out = go(verb, *arguments, "--json").done().out
        assert isinstance(json.loads(out), dict) and out.count("\n") == 1, verb


@pytest.mark.parametrize(
    "arguments", [["show", "quickstrat"], ["show", "--bogus"], ["sample", "nobody"], ["explain", "zzz"]]
)
def test_an_error_is_one_json_object_too(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("GROUNDUP_LAB", str(tmp_path))
    outcome = go(*arguments, "--json")
    error = json.loads(outcome.out)["error"]
    assert outcome.exit_code == CODES[error["code"]].exit_code and error["what"] and error["fix"]
    outcome.refused(error["code"])


def test_data_goes_to_stdout_and_everything_else_to_stderr(go: Go, made: Lab) -> None:
    outcome = go("tokenizer", made.recipe, "--lab", made.path).done()
    assert "reused" in outcome.err and "reused" not in outcome.out
