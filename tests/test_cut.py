"""Long documents are cut where a reader would cut them, and nothing is lost."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data import cut as cutting
from groundup.data.cut import cut

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")


def prose(words: int) -> str:
    """Paragraphs of 20 words in sentences of 5."""
    sentences = [f"The {number}th cat sat down." for number in range(words // 5)]
    return "\n\n".join(" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4))


def beginnings(pieces: list[str]) -> list[str]:
    return [piece.strip().split("\n")[0] for piece in pieces]


TEXT = st.lists(
    st.sampled_from(
        [
            "a ",
            "Bb. ",
            "x" * 20,
            "\n",
            "\n\n",
            "\r\n\r\n",
            "\n## H\n",
            " ",
            "\n\nCHAPTER I\n\n",
            "\t",
            "é? ",
            "\n\nIV\n\n",
        ]
    )
).map("".join)


@given(TEXT | st.text(), st.integers(1, 30))
@settings(max_examples=1000)
def test_the_pieces_are_the_text_and_none_is_too_long(text: str, words: int) -> None:
    pieces = cut(text, words)
    assert "".join(pieces) == text
    assert all(len(piece.split()) <= words for piece in pieces)
    assert sum(len(piece.split()) for piece in pieces) == len(text.split())  # no word is cut
    if len(text.split()) <= words:
        assert pieces == [text]


@given(TEXT, st.integers(1, 5))
def test_words_are_counted_slab_by_slab(text: str, slab: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SLAB", slab)
        assert cutting._words(text) == len(text.split())


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER I", "Chapter 3. The Hunt", "CHAPTER ONE", "BOOK II", "Part the First", "## The Hunt", "#### IV", "XIV",
        "III.", "ACT I", "SCENE II. A wood.", "Canto XXXIII", "LETTER 4", "PROLOGUE", "Epilogue.", "*CHAPTER II*",
        "Kapitel 3", "CHAPITRE IV", "Глава 5",
    ],
)  # fmt: skip
def test_a_book_is_cut_at_its_headings(heading: str) -> None:
    chapters = [prose(100), f"{heading}\n\n{prose(60)}", f"{heading}\n\n{prose(100)}"]
    pieces = cut("\n\n".join(chapters), 200)
    assert [piece.strip() for piece in pieces] == chapters


@pytest.mark.parametrize(
    "line",
    [
        "Part of the reason was the cat.", "Book lovers read on.", "I", "1984", "Chapter and verse were given.",
        "#hashtag", "Letter by letter it was read.", "MIX",
    ],
)  # fmt: skip
def test_a_paragraph_that_only_looks_like_a_heading_is_none(line: str) -> None:
    pieces = cut(f"{prose(60)}\n\n{line} {prose(20)}\n\n{prose(220)}", 200)
    assert len(pieces) == 2 and not any(beginning.startswith(line) for beginning in beginnings(pieces))


def test_a_title_page_and_a_heading_without_text_go_with_what_follows() -> None:
    title, chapter = "# Title: Cats\n\n## Author: A. Cat\n\n## Book I", prose(100)
    pieces = cut(f"{title}\n\n### 1\n\n{chapter}\n\n### 2\n\n{chapter}\n\n## The End", 200)
    assert beginnings(pieces) == ["# Title: Cats", "### 2"] and pieces[1].endswith("## The End")


def test_small_chapters_stay_apart() -> None:
    text = "\n\n".join(f"## {number}\n\n{prose(40)}" for number in range(10))
    assert beginnings(cut(text, 200)) == [f"## {number}" for number in range(10)]


def test_a_long_chapter_is_cut_between_paragraphs_into_pieces_of_about_equal_size() -> None:
    pieces = cut(prose(2000), 300)
    assert all(piece.endswith("\n\n") for piece in pieces[:-1])
    assert (
        len(pieces) == 8
        and max(len(piece.split()) for piece in pieces) - min(len(piece.split()) for piece in pieces) <= 20
    )


def test_a_long_paragraph_is_cut_between_sentences_and_a_long_sentence_between_words() -> None:
    paragraph = prose(1000).replace("\n\n", " ")
    pieces = cut(f"Before.\n\n{paragraph}\n\nAfter.", 300)
    assert all(piece.rstrip().endswith(".") for piece in pieces) and len(pieces) <= 5
    sentence = "word " * 1000
    assert [len(piece.split()) for piece in cut(sentence, 300)] == [250, 250, 250, 250]


@needs_real_data
def test_real_books_come_in_chapters() -> None:
    with (REAL / "books/valid.jsonl").open() as file:
        books = {book["title"]: book["text"] for book in map(json.loads, file)}
    pieces = {title: cut(text, 2000) for title, text in books.items()}
    assert all("".join(pieces[title]) == text for title, text in books.items())
    assert all(100 < len(piece.split()) <= 2000 for found in pieces.values() for piece in found)
    horse = beginnings(pieces["Black Beauty"])
    assert [title for title in horse if title.startswith("#")][:2] == [
        "# Title: Black Beauty",
        "## Chapter 2 - The Hunt ",
    ]
    assert sum(title.startswith("#") for title in horse) == 49  # of 51 pieces: two long chapters are cut once
