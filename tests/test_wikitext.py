"""WikiText's articles are whole, read well, and can be put back to the character."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.sources import RawDocument, find_files, plan, read_chunk
from groundup.data.wikitext import articles, detokenise, retokenise
from groundup.recipe.schema import Source

REAL = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"real text for tests is not at {REAL}")

WIKI = [
    " \n", " = Robert Boulter = \n", " \n", " Robert is an actor . \n", " \n", " = = Career = = \n", " \n",
    " He had a role . \n", " = not a title = \n", " | = x = | \n", " = = = Deep = = = \n", " \n", " More . \n", " \n",
    " = A = \n", " \n", " A is a letter . \n", " \n",
    " = E = mc2 = \n", " \n", " Energy . \n",
]  # fmt: skip


def read(path: Path) -> Iterator[RawDocument]:
    source = Source(path=str(path), corpus="wikitext-103")
    for chunk in plan(source, find_files(source, None, path)):
        for document in read_chunk(chunk, source, "fail"):
            assert isinstance(document, RawDocument)
            yield document


# -- articles ----------------------------------------------------------------------------------------------------------


def test_wikitext_lines_become_articles_that_begin_at_their_titles() -> None:
    found = [(number, (raw or b"").decode()) for number, raw in articles([line.encode() for line in WIKI], 10_000)]
    assert "".join(text for _, text in found) == "".join(WIKI)  # nothing is lost
    assert [text.split("\n")[0 if number > 1 else 1] for number, text in found] == [
        " = Robert Boulter = ",
        " = A = ",
        " = E = mc2 = ",
    ]
    assert [number for number, _ in found] == [1, 15, 19] and WIKI[14] == " = A = \n"
    first = found[0][1]
    assert "= = Career = =" in first and "= not a title =" in first and "More ." in first


def test_wikitext_comes_the_same_from_lines_and_from_rows(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_text("".join(WIKI))
    # the hub's rows are lines; blank ones are empty strings
    pq.write_table(pa.table({"text": ["" if line == " \n" else line for line in WIKI]}), tmp_path / "b.parquet")
    from_lines, from_rows = list(read(tmp_path / "a.raw")), list(read(tmp_path / "b.parquet"))
    assert [one.raw.split() for one in from_lines] == [one.raw.split() for one in from_rows] and len(from_rows) == 3
    assert [one.place for one in from_lines] == ["line 1", "line 15", "line 19"]
    assert [one.place for one in from_rows] == ["row 1", "row 15", "row 19"]
    assert b"He had a role ." in from_lines[0].raw  # the original, to score by the convention


@given(st.lists(st.sampled_from([*WIKI, " = B = \n", "\n", ""]), max_size=60))
def test_articles_are_the_lines_again(lines: list[str]) -> None:
    found = [raw or b"" for _, raw in articles([line.encode() for line in lines], 10_000)]
    assert b"".join(found).decode() == "".join(lines)


# -- tokenisation marks ------------------------------------------------------------------------------------------------


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
        # quotations
        ('( " The Cat " ) , " I said , " and \n " Next', '("The Cat"), "I said," and\n"Next'),
        ('never closed : " I said \n ( " but " ) this', 'never closed: "I said\n("but") this'),
        ('was a " fan " ; " Oh " ', 'was a "fan"; "Oh"'),
        ('said . " \n " Yes " , he', 'said."\n"Yes", he'),
        ("called an ' ironclad ' .", "called an 'ironclad'."),
        ("Both ' A ' and ' B ' Squadrons", "Both 'A' and 'B' Squadrons"),
        ("the dogs ' bowl and the Coaches ' Poll", "the dogs' bowl and the Coaches' Poll"),
        ("the U.S. ' s role in the late ' 90s", "the U.S.'s role in the late '90s"),
        ("d 'Étang and O 'Hehir", "d'Étang and O'Hehir"),
        ("you don ’ t , “ he ” said", "you don’t, “he” said"),
        # numbers and units
        ("at 12 : 30 , population : 265 @,@ 046", "at 12:30, population: 265,046"),
        ("pages 5 – 6 and 1934 – 37 , 1 @.@ 5 – 4 @.@ 9", "pages 5–6 and 1934–37, 1.5–4.9"),
        ("( 15 July 1914 – 23 December 1976 )", "(15 July 1914 – 23 December 1976)"),
        ("the Smith – Jones talks - not these", "the Smith – Jones talks - not these"),
        ("cost US $ 5 or £ 6 , # 1 , 12 % of it", "cost US$5 or £6, #1, 12% of it"),
        ("20 ° C at 9 ° 24 ′ 38 ″ S , 5 ° left", "20 °C at 9°24′38″S, 5° left"),
        ("110 km / h and / or R & B , not Brown & Blue", "110 km/h and/or R&B, not Brown & Blue"),
        ("below − 80 and 3 + 2", "below −80 and 3 + 2"),
        ("a visit — in spring — ended", "a visit—in spring—ended"),
        # lines
        (" \n = Title = \n \n = = Part = = \n \n Text . \n", "\n= Title =\n\n== Part ==\n\nText.\n"),
    ],
)
def test_the_marks_of_wikitext_are_taken_out_and_can_be_put_back(marked: str, plain: str) -> None:
    assert detokenise(marked)[0] == plain
    assert retokenise(*detokenise(marked)) == marked


MARKED = st.lists(
    st.sampled_from(
        [*"\"'’“”.,:;()[]$#%°′″/–—‑−&=", *" \n\t", "@-@", " @,@ ", "@.@", " 's", "s", "US", "12", "Ab", "é"]
    )
).map("".join)


@given(st.text() | MARKED | st.lists(MARKED | st.sampled_from(["A", "of"])).map(" ".join))
@settings(max_examples=1000)
def test_any_text_can_be_put_back_to_the_character(text: str) -> None:
    plain, edits = detokenise(text)
    assert retokenise(plain, edits) == text
    assert len(plain) + sum(len(taken) for _, taken in edits) == len(text)
    assert {one for _, taken in edits for one in taken} <= {" ", "@"}  # nothing else is ever taken out
    assert [place for place, _ in edits] == sorted({place for place, _ in edits})


# -- real text ---------------------------------------------------------------------------------------------------------


@needs_real_data
@pytest.mark.parametrize("name", ["valid", "test"])
def test_real_wikitext_has_its_60_articles_which_read_well_and_can_be_put_back(name: str) -> None:
    path = REAL / f"wikitext/wiki.{name}.raw"
    raws = [document.raw for document in read(path)]
    assert len(raws) == 60 and b"".join(raws) == path.read_bytes()
    for raw in raws:
        text = raw.decode()
        plain, edits = detokenise(text)
        assert retokenise(plain, edits) == text
        assert plain.strip().startswith("= ")
        for mark in (" @-@ ", " @,@ ", " @.@ ", " , ", " . ", " ; ", "( ", " )", ' " ', " 's ", " \n", "\n ", "= ="):
            assert mark not in plain
