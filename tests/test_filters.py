"""Bad documents are left out for the reason given, good ones stay, and the quick way judges like the slow one."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.clean import normalise
from groundup.data.filters import REASONS, SENTENCE_END, SPACE_BEYOND_ASCII, Verdict, count_words, judge
from groundup.data.ngrams import canonical
from groundup.data.repetition import MOST_REPEATED, MOST_TOP, find_repetition
from groundup.errors import GroundupError
from groundup.recipe.schema import Filters

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")
ALL = ["length", "symbols", "c4", "repetition", "language"]

GOOD = """The old lighthouse stands on a rock in the bay, and nobody has lived there for thirty years. My grandfather
was its last keeper. He used to say that the sea would have it back one day, with its lamp and its two hundred steps.

When I was nine he took me there in a boat. We climbed up slowly, because his knees were bad, and at the top he showed
me how the lens had to be cleaned. "Never with water," he said. Then we ate our bread and looked at the ships.
"""
NUMBERS = " ".join(map(str, range(100, 200)))
BAD = {
    "too-short": "Only a few words that say nothing.",
    "too-long": "a long word list " * 30_000,
    "word-length": "so I go to it as we do on an ox " * 10,
    "symbols": GOOD + "# " * 20,
    "bullets": "\n".join(f"• {line}, and that is all that there is to say of {line}" for line in "abcdefghijkl"),
    "ellipsis-lines": "\n".join(f"He found out about {line} and then to his surprise..." for line in GOOD.split()[:20]),
    "few-letters": GOOD + NUMBERS,
    "digits": " ".join(f"x{number}12345" for number in range(100)),
    "stop-words": " ".join(f"Wooden chair no{chr(97 + i % 26)}{chr(97 + i // 26)}, brown," for i in range(50)),
    "lorem-ipsum": GOOD + "Lorem Ipsum dolor sit amet.",
    "curly-bracket": GOOD + "if (ready) { start(); }",
    "few-sentences": GOOD.replace(".", ",").replace("\n", " "),
    "repeated-lines": GOOD + "\nBuy one of these now.\n" * 10,
    "repeated-paragraphs": "\n\n".join(
        f"{name} has one line\nand another, of {name},\nand {name} a third\n\nBuy now."
        for name in ("Tom", "Ann", "Joe")
    ),
    "top-ngram": GOOD + "extraordinarily inexpensive flights, " * 20,
    "repeated-ngrams": GOOD.replace("\n", " ") + " But then: " + GOOD.replace("\n", " "),
    "other-language": """Der alte Leuchtturm steht auf einem Felsen in der Bucht, und seit dreißig Jahren hat dort
    niemand mehr gewohnt. Mein Großvater war sein letzter Wärter. Er sagte immer, das Meer werde ihn sich einmal
    wieder holen, mit seiner Lampe und den zweihundert Stufen.""",
}


def verdict(
    text: str, rules: list[str] = ALL, limits: Filters | None = None, language: str | None = "en"
) -> str | None:
    [found] = judge([normalise(text)], rules, limits or Filters(), language)
    return found and found.reason


def test_every_reason_belongs_to_a_rule_and_is_explained() -> None:
    assert {reason.rule for reason in REASONS.values()} == set(ALL)
    for reason in REASONS.values():
        assert reason.text.endswith(".") and reason.origin


def test_a_good_text_keeps_every_rule() -> None:
    assert verdict(GOOD) is None


@pytest.mark.parametrize("reason", REASONS)
def test_a_bad_text_is_left_out_for_the_reason_that_is_given(reason: str) -> None:
    assert verdict(BAD[reason], [REASONS[reason].rule]) == reason


@pytest.mark.parametrize("reason", REASONS)
def test_a_bad_text_stays_where_its_rule_is_not_asked_for(reason: str) -> None:
    others = [rule for rule in ALL if rule != REASONS[reason].rule]
    [found] = judge([normalise(BAD[reason])], others, Filters(), "en")
    assert found is None or REASONS[found.reason].rule in others
    assert judge([BAD[reason]], [], Filters(), None) == judge([BAD[reason]], ["boilerplate"], Filters(), None) == [None]


def test_a_verdict_says_what_was_measured_and_what_is_allowed() -> None:
    assert judge(["Twelve words " * 6], ["length"], Filters(), None) == [
        Verdict("too-short", "12 words, at least 50 wanted")
    ]
    [found] = judge([BAD["top-ngram"]], ["repetition"], Filters(), None)
    assert found == Verdict("top-ngram", "51.6% of the text is one run of 2 words, at most 20% allowed")


def test_thresholds_come_from_the_recipe() -> None:
    words = "one two three four five"
    assert verdict(words, ["length"], Filters(min_words=5)) is None
    assert verdict(words, ["length"], Filters(min_words=6)) == "too-short"
    assert verdict(words, ["length"], Filters(min_words=0, max_words=4)) == "too-long"
    assert verdict(words, ["length"], Filters(min_words=0, max_word_length=3.7)) == "word-length"
    assert verdict(BAD["symbols"], ["symbols"], Filters(max_symbols=0.5)) is None
    assert verdict(BAD["bullets"], ["symbols"], Filters(max_bullet_lines=1)) is None
    assert verdict(BAD["ellipsis-lines"], ["symbols"], Filters(max_ellipsis_lines=1, max_symbols=1)) is None
    assert verdict(BAD["few-letters"], ["symbols"], Filters(min_alphabetic_words=0.4, max_digits=0.5)) is None
    assert verdict(BAD["digits"], ["symbols"], Filters(max_digits=1, min_stop_words=0)) is None
    assert verdict(BAD["stop-words"], ["symbols"], Filters(min_stop_words=0)) is None
    assert verdict("One. Two.", ["c4"], Filters(min_sentences=2)) is None
    assert verdict("One. Two.", ["c4"], Filters(min_sentences=3)) == "few-sentences"
    assert verdict(BAD["other-language"], ["language"], Filters(min_language=0)) is None


def test_english_stop_words_are_looked_for_in_english_text_only() -> None:
    assert verdict(BAD["stop-words"], ["symbols"], language="en-GB") == "stop-words"
    assert verdict(BAD["stop-words"], ["symbols"], language="de") is verdict(
        BAD["stop-words"], ["symbols"], language=None
    )
    assert verdict(BAD["other-language"], ["symbols"], language="de") is None


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He came. She went! Why? Nobody knew…", 4),
        ('"He came." She said: "Why?" (Nobody knew.) _So._', 4),
        ("3.5 and a.b and e.g, and .net", 0),
        ("他来了。她走了！为什么？", 3),
        ("He came...\nShe went", 1),
    ],
)
def test_sentences_are_counted_by_the_marks_at_their_ends(text: str, sentences: int) -> None:
    assert len(SENTENCE_END.findall(text)) == sentences


@given(st.text() | st.text(st.sampled_from("ab.é中\u0301 \t\n\x0b\x1c\x85\xa0\u1680\u2003\u200b\u2028\u3000")))
def test_words_and_their_characters_are_counted_as_splitting_at_white_space_does(text: str) -> None:
    words = text.split()
    assert count_words(text) == len(words)
    limits = Filters(min_words=1, min_word_length=1e9, max_word_length=1e9)
    if words:
        [found] = judge([text], ["length"], limits, None)
        assert found and found.detail.startswith(f"{sum(map(len, words)) / len(words):.1f} characters")


def test_every_space_beyond_ascii_is_known() -> None:
    spaces = [chr(code) for code in range(128, 0x110000) if chr(code).isspace()]
    assert SPACE_BEYOND_ASCII.findall("".join(map(chr, range(0x110000)))) == spaces


@given(st.lists(st.sampled_from(["a", "1", "—", "é3", "“”", "$5", "3.5%", "中", "_", "4th", "…"]), min_size=1))
def test_words_with_a_letter_are_counted(words: list[str]) -> None:
    lettered = sum(any(one.isalpha() for one in word) for word in words)
    limits = Filters(max_symbols=1, max_ellipsis_lines=1, max_digits=1, min_alphabetic_words=lettered / len(words))
    assert verdict("\u2003".join(words), ["symbols"], limits, None) is None
    if lettered < len(words):
        limits = limits.model_copy(update={"min_alphabetic_words": (lettered + 0.5) / len(words)})
        assert verdict(" ".join(words), ["symbols"], limits, None) == "few-letters"


@given(st.lists(st.sampled_from([GOOD, "", "  ", *BAD.values()]), max_size=8), st.sets(st.sampled_from(ALL)))
@settings(max_examples=50, deadline=None)
def test_a_document_is_judged_alike_in_any_company(texts: list[str], rules: set[str]) -> None:
    together = judge(texts, sorted(rules), Filters(), "en")
    assert together == [judge([text], sorted(rules, reverse=True), Filters(), "en")[0] for text in texts]


# -- repetition --------------------------------------------------------------------------------------------------------


def slowly_find_repetition(text: str) -> str | None:
    """Table A1 of the Gopher paper, one definition after the other."""
    for name, separator in (("lines", "\n"), ("paragraphs", "\n\n")):
        parts = [part for part in text.split(separator) if part]
        repeats = [part for index, part in enumerate(parts) if part in parts[:index]]
        if parts and len(repeats) / len(parts) > 0.30:
            return f"repeated-{name}: {len(repeats) / len(parts):.1%} of the {name} are repeated, at most 30% allowed"
        share = sum(map(len, repeats)) / max(1, sum(map(len, parts)))
        if share > 0.20:
            return f"repeated-{name}: {share:.1%} of the text are repeated {name}, at most 20% allowed"
    words = canonical(text).split()
    total = max(1, sum(len(word.encode()) for word in words))
    for n, most in MOST_TOP.items():
        counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        sizes = {gram: sum(len(word.encode()) for word in gram) for gram in counts}
        repeated = [(count, sizes[gram]) for gram, count in counts.items() if count > 1]
        count, size = max(repeated, default=(0, 0))
        if count * size / total > most:
            share = min(1, count * size / total)
            return f"top-ngram: {share:.1%} of the text is one run of {n} words, at most {most:.0%} allowed"
    for n, most in MOST_REPEATED.items():
        seen, covered = set(), set()
        for i in range(len(words) - n + 1):
            gram = tuple(words[i : i + n])
            if gram in seen:
                covered.update(range(i, i + n))
            seen.add(gram)
        share = sum(len(words[i].encode()) for i in covered) / total
        if share > most:
            return (
                f"repeated-ngrams: {share:.1%} of the text is in repeated runs of {n} words, at most {most:.0%} allowed"
            )
    return None


RANDOM = st.text(st.sampled_from("ab \n"), max_size=60) | st.lists(
    st.sampled_from(
        ["a", "the", "cat", "sat", "on", "a", "étage", "\n", "\n\n", "many", "more", "w1", "w2", "w3", "w4"]
    )
).map(" ".join)


@st.composite
def copied(draw: st.DrawFn) -> str:
    """Words that stand nowhere else, and between them runs that were copied from before."""
    words = [f"word{number}" for number in range(20)]
    for length, place, fresh in draw(st.lists(st.tuples(st.integers(1, 14), st.floats(0, 1), st.integers(1, 80)))):
        start = int(place * len(words))
        words += words[start : start + length] + [f"word{len(words) + number}" for number in range(fresh)]
    return " ".join(words)


@given(st.lists(RANDOM | copied(), max_size=6))
@settings(max_examples=400, deadline=None)
def test_repetition_is_found_as_its_definition_says(texts: list[str]) -> None:
    found = [finding and ": ".join(finding) for finding in find_repetition(texts)]
    assert found == [slowly_find_repetition(text) for text in texts]


@needs_real_data
def test_repetition_of_real_pages_is_found_as_its_definition_says() -> None:
    texts = [normalise(json.loads(line)["text"]) for line in (REAL / "noisy/c4_sample.jsonl").open()][:300]
    found = [finding and ": ".join(finding) for finding in find_repetition(texts)]
    assert found == [slowly_find_repetition(text) for text in texts]
    assert 5 < sum(finding is not None for finding in found) < 60


# -- language ----------------------------------------------------------------------------------------------------------


def test_the_rule_language_needs_a_language_that_it_knows() -> None:
    for language, code in ((None, "recipe-conflict"), ("english", "bad-value")):
        with pytest.raises(GroundupError, match="language") as caught:
            judge([GOOD], ["language"], Filters(), language)
        assert caught.value.code == code


@pytest.mark.parametrize(("text", "language"), [(GOOD, "en"), (GOOD, "EN-gb"), (BAD["other-language"], "de")])
def test_text_in_its_source_s_language_stays(text: str, language: str) -> None:
    assert verdict(text, ["language"], language=language) is None


def test_the_language_is_found_without_any_network() -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from groundup.data.filters import judge; from groundup.recipe.schema import Filters\n"
        "print(judge(['Das ist ein deutscher Satz, und noch einer dazu.'], ['language'], Filters(), 'en')[0].detail)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "likeliest: de" in done.stdout, done.stderr


# -- real text ---------------------------------------------------------------------------------------------------------


@needs_real_data
def test_most_of_the_stories_keep_every_rule() -> None:
    stories = (REAL / "tinystories/train.txt").read_text().split("<|endoftext|>")[:3000]
    verdicts = judge([normalise(story) for story in stories], ALL, Filters(), "en")
    reasons = Counter(verdict.reason for verdict in verdicts if verdict)
    assert sum(reasons.values()) < 0.01 * len(stories), reasons


@needs_real_data
def test_web_pages_are_left_out_for_many_reasons() -> None:
    pages = [normalise(json.loads(line)["text"]) for line in (REAL / "noisy/c4_sample.jsonl").open()]
    reasons = Counter(verdict.reason for verdict in judge(pages, ALL, Filters(), "en") if verdict)
    assert 150 < sum(reasons.values()) < 350 and len(reasons) >= 7, reasons
