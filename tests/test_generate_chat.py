"""What a person sees: sample prints as it writes, chat goes on from each line, and names a mistake."""

import io
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from generate_parts import CPU, byte_encoding
from small_recipe import small_recipe

from groundup import console
from groundup.cli import main
from groundup.console import harmless
from groundup.errors import GroundupError
from groundup.generate import engine
from groundup.generate.chat import Chat
from groundup.generate.sampler import Writer
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.sampling import PRESETS
from groundup.recipe.schema import Sample


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    torch.manual_seed(0)
    model = Transformer(ModelConfig("modern", 258, 1, 16, 2, 2, 32, 24))
    return Writer(model, byte_encoding(tmp_path_factory.mktemp("tokenizer")), CPU)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    assert main(["train", str(small_recipe(folder)), "--lab", str(folder / "lab")]) == 0
    return folder / "lab"


class Person:
    """A chat with what it showed and noted."""

    def __init__(self, writer: Writer, careful: bool = False, **given: Any) -> None:
        self.shown, self.notes = list[str](), list[str]()
        given = {"max_tokens": 6} | given
        self.chat = Chat(writer, lambda some: Sample(**some), given, self.shown.append, self.notes.append, careful)

    def says(self, *lines: str) -> str:
        """What is shown in answer."""
        before = len(self.shown)
        self.chat.go(iter(lines))
        return "".join(self.shown[before:])


def test_each_line_is_gone_on_from_with_the_next_seed(writer: Writer) -> None:
    person = Person(writer, seed=4)
    assert person.says("ab", "ab").count("ab") >= 2
    assert [text.seed for text in person.chat.texts] == [4, 5]
    first, second = person.chat.texts
    assert first.text.startswith("ab") and first.text != second.text
    assert person.says("/seed 4", "ab").removesuffix("\n\n") == first.text


def test_again_takes_the_last_prompt_and_more_goes_on_where_the_text_ended(writer: Writer) -> None:
    person = Person(writer, temperature=0.0, max_tokens=5)
    person.says("ab")
    assert len(person.chat.texts[0].tokens) == 5
    again = person.says("/again")
    assert len(person.chat.texts) == 2 and person.chat.texts[1].tokens == person.chat.texts[0].tokens
    more = person.says("/more")
    assert len(person.chat.texts) == 2 and more.startswith(again.removesuffix("\n\n").rstrip("\ufffd"))
    whole = Person(writer, temperature=0.0, max_tokens=10)
    whole.says("ab")
    assert person.chat.texts[1].tokens == whole.chat.texts[0].tokens


def test_settings_change_what_follows_and_a_preset_replaces_what_it_sets(writer: Writer) -> None:
    person = Person(writer)
    person.says("/temperature 0", "/no-repeat-ngram 2")
    assert (person.chat.options.temperature, person.chat.options.no_repeat_ngram) == (0, 2)
    person.says("/preset wild")
    options = person.chat.options
    assert {key: getattr(options, key) for key in PRESETS["wild"]} == PRESETS["wild"] and options.no_repeat_ngram == 2
    person.says("/top_k 3", "/top_k", r"/stop \n")
    assert person.chat.options.top_k == PRESETS["wild"]["top_k"] and person.chat.options.stop == ["\n"]
    person.says("/settings")
    assert "preset wild" in person.notes[-1] and "no_repeat_ngram 2" in person.notes[-1]


def test_a_line_that_begins_with_two_slashes_is_text(writer: Writer) -> None:
    assert Person(writer).says("//quit").startswith("/quit")


def test_quit_ends_and_help_and_history_tell(writer: Writer) -> None:
    person = Person(writer)
    assert "one" in person.says("one", "/history", "/help", "/quit", "two")
    assert len(person.chat.texts) == 1
    assert person.notes[0].startswith("1. [seed 0] one") and "/preset" in person.notes[1]


def test_ctrl_c_stops_the_text_and_not_the_program(writer: Writer) -> None:
    person = Person(writer, max_tokens=1000, temperature=3.0, top_k=0)

    def interrupting(text: str) -> None:
        person.shown.append(text)
        if len(person.shown) == 4:
            raise KeyboardInterrupt

    person.chat.show = interrupting
    person.says("ab", "cd")
    first, second = person.chat.texts
    assert len(first.tokens) < 10 and second.prompt == "cd" and len(second.tokens) > 10


@pytest.mark.parametrize("line", ["/temperature -1", "/top_p 0", "/seed x", "/preset wid", "/more", "/quti", "x" * 99])
def test_a_mistake_is_named_and_the_next_line_is_answered(writer: Writer, line: str) -> None:
    def settle(given: dict[str, Any]) -> Sample:
        try:
            return Sample(**given)
        except ValueError as error:
            raise GroundupError("bad-value", str(error), "correct it") from None

    person = Person(writer)
    person.chat.settle, before = settle, person.chat.options
    assert person.says(line, "ab").startswith("ab") and person.chat.options == before
    assert len(person.notes) == 1 and ("usage]" in person.notes[0] or "bad-" in person.notes[0])
    careful = Person(writer, careful=True)
    careful.chat.settle = settle
    with pytest.raises(GroundupError):
        careful.says(line, "ab")


# -- the commands ------------------------------------------------------------------------------------------------------

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """A command on the run, with what comes in at stdin: its exit code, stdout and stderr."""

    def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([words[0], "last", *words[1:], "--lab", str(lab)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_lines_come_in_and_texts_go_out_where_there_is_no_terminal(say: Say) -> None:
    code, out, err = say("chat", "--max-tokens", "5", "--seed", "3", stdin="The cat\n\nThe hén\r\n".encode())
    assert code == 0 and out.startswith("The cat") and "\n\nThe hén" in out
    assert err == ""
    code, out, _ = say("chat", "--json", "--max-tokens", "5", "--seed", "3", stdin=b"The\nThe\n")
    texts = json.loads(out)["texts"]
    assert (
        code == 0
        and [text["seed"] for text in texts] == [3, 4]
        and texts[0]["text"] in say("sample", "--prompt", "The", "--max-tokens", "5", "--seed", "3")[1]
    )


def test_input_that_is_not_utf8_is_refused_with_its_line(say: Say) -> None:
    code, out, err = say("chat", stdin=b"The\nThe \xff\n")
    assert code == 2 and out.startswith("The") and "[bad-prompt]" in err and "line 2" in err


def test_sample_prints_each_text_behind_a_line_about_it_and_json_has_the_same(say: Say) -> None:
    words = ("sample", "--prompt", "The", "--samples", "3", "--max-tokens", "8", "--preset", "wild")
    code, out, _ = say(*words)
    rows = json.loads(say(*words, "--json", "--logprobs", "2")[1])["samples"]
    assert code == 0 and len(rows) == 3
    assert out == "".join(f'--- "The" at step 8, seed {row["seed"]}\n{row["text"]}\n\n' for row in rows)
    for row in rows:
        assert (row["temperature"], row["top_k"], row["top_p"]) == tuple(PRESETS["wild"].values())
        assert [one["id"] for one in row["logprobs"]][: len(row["tokens"])] == row["tokens"]
        assert all(len(one["top"]) == 2 and one["logprob"] <= 0 for one in row["logprobs"])


def test_a_preset_given_replaces_what_the_recipe_sets_and_a_value_given_stays(say: Say) -> None:
    row = json.loads(say("sample", "--preset", "safe", "--top-k", "7", "--json")[1])["samples"][0]
    assert (row["temperature"], row["top_k"], row["top_p"]) == (0.5, 7, 0.85)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--temperature=-1",), "bad-value"),
        (("--top-p", "0"), "bad-value"),
        (("--top-p", "nan"), "bad-value"),
        (("--preset", "mild"), "bad-value"),
        (("--stop", ""), "bad-value"),
        (("--samples", "0"), "bad-value"),
        (("--logprobs", "3"), "usage"),
        (("--samples", "100000000000000"), "sample-too-large"),
        (("--prompt", "cat " * 99), "bad-prompt"),
        (("--prompt", "caf\udce9"), "bad-prompt"),
    ],
)
def test_what_makes_no_sense_is_refused(say: Say, words: tuple[str, ...], code: str) -> None:
    exit_code, out, err = say("sample", *words)
    assert exit_code == 2 and f"[{code}]" in err and out == ""


def test_a_text_that_outgrows_the_context_is_told_of_once_on_stderr(say: Say) -> None:
    code, _, err = say("sample", "--samples", "4", "--max-tokens", "40", "--temperature", "2")
    assert code == 0 and err.count("outgrew the model's context of 16 tokens") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM") or sys.platform == "win32", reason="terminals are those of Unix")
def test_at_a_terminal_ctrl_d_ends_and_the_prompt_is_not_data(
    lab: Path, say: Say, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["The", KeyboardInterrupt, "/quti", EOFError])

    def typed(prompt: str) -> str:
        line = next(lines)
        if isinstance(line, str):
            return line
        raise line

    before = signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr("builtins.input", typed)
        monkeypatch.setattr(sys, "stdin", Terminal())
        assert main(["chat", "last", "--max-tokens", "3", "--lab", str(lab)]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    assert out.startswith("The") and "/help for more" in err and "did you mean /quit?" in err


def test_what_a_model_writes_cannot_steer_a_terminal() -> None:
    assert harmless("\x1b[2J a\tb\né\u200d\r\x9b") == "\ufffd[2J a\tb\né\u200d\ufffd\ufffd"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("spelt", "given", "seen"),
    [
        ("a€b", {"max_tokens": 2}, "a€b"),  # the limit falls into a character
        ("Hi. Yo. Z", {"max_tokens": 5, "stop": ["."]}, "Hi. Yo. Z"),  # what the model read holds the stop string
        ("aExy", {"max_tokens": 2, "stop": ["END"]}, "aExy"),  # the beginning of a stop string was held back
    ],
)
def test_more_shows_the_text_that_the_model_goes_on_from(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, spelt: str, given: dict[str, Any], seen: str
) -> None:
    coming = iter([writer.spellings.index(bytes([byte])) for byte in spelt.encode()])
    monkeypatch.setattr(engine, "_next", lambda logits, *rest: torch.tensor([next(coming)]))
    person = Person(writer, **given)
    person.says("x")
    for _ in range(5):
        if len(person.chat.texts[0].tokens) == len(spelt.encode()):
            break
        left = len(spelt.encode()) - len(person.chat.texts[0].tokens)
        shown = person.says(f"/max_tokens {min(3, left)}", "/more")
    text = person.chat.texts[0]
    assert text.text == "x" + seen.removesuffix(".") and shown.startswith("x")
    assert b"".join(writer.spellings[token] for token in text.tokens).decode() == seen


def test_a_closed_stdin_or_stdout_ends_in_no_traceback(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdin", None)
        assert main(["chat", "last", "--lab", str(lab), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["texts"] == []
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdout", None)
        assert main(["sample", "last", "--lab", str(lab), "--prompt", "a"]) == 0


def test_json_asked_for_with_a_value_is_given_for_an_error_too(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "nobody", "--lab", str(lab), "--json=true"]) != 0
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-such-run"


def test_notes_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    console.say("a \x1b]0;b\x07 c")
    assert capsys.readouterr().err == "a \ufffd]0;b\ufffd c\n"
