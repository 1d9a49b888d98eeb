"""The benchmark of the corpus pipeline measures what it says: what is planted is known, and every outcome scored."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform == "win32":
    pytest.skip("the benchmark measures processes as Unix has them", allow_module_level=True)

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))

from measured import measure  # noqa: E402
from planted import EDITS, EXACT, LONGEST, SHORTEST, Planted, cut, edit, plant, read_texts  # noqa: E402
from scoring import Outcome, proof, score, similarity  # noqa: E402


def book(seed: int, words: int = 40_000) -> str:
    """Paragraphs of made-up words."""
    dice = random.Random(seed)
    vocabulary = ["".join(dice.choices("aeioubcdfg", k=dice.randint(2, 9))) for _ in range(3000)]
    paragraphs = []
    while words > 0:
        size = dice.randint(5, 120)
        paragraphs.append(" ".join(dice.choices(vocabulary, k=size)) + ".")
        words -= size
    return "\n\n".join(paragraphs)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Planted], dict[str, str], list[str]]:
    """The truth, the texts by id, and the ids in the order of the file."""
    folder = tmp_path_factory.mktemp("planted")
    truth = plant((book(seed) for seed in range(12)), folder, size=2_000_000)
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    return truth, {row["url"]: row["text"] for row in rows}, [row["url"] for row in rows]


def members(truth: list[Planted]) -> dict[int, list[Planted]]:
    found = defaultdict(list)
    for planted in truth:
        found[planted.family].append(planted)
    return found


def test_the_truth_names_every_document_of_the_corpus_once(corpus: tuple) -> None:
    truth, texts, order = corpus
    assert sorted(order) == sorted(planted.id for planted in truth)
    assert len(texts) == len(order) > 300
    assert sum(len(text.encode()) for text in texts.values()) >= 2_000_000
    assert order != sorted(order)


def test_each_family_has_one_original_and_copies_within_the_bounds_of_edits(corpus: tuple) -> None:
    truth, texts, _ = corpus
    for family in members(truth).values():
        original, *copies = family
        assert original.copy == 0
        assert original.edits == 0
        assert [copy.copy for copy in copies] == list(range(1, len(copies) + 1))
        for copy in copies:
            if copy.edits:
                assert EDITS[0] <= copy.edits <= EDITS[1]
                assert texts[copy.id] != texts[original.id]
                assert similarity(texts[copy.id], texts[original.id]) > 0.3
            else:
                assert texts[copy.id] == texts[original.id]


def test_a_fifth_of_the_documents_has_edited_copies_and_a_twentieth_an_equal_one(corpus: tuple) -> None:
    families = members(corpus[0]).values()
    edited = sum(any(one.edits for one in family) for family in families)
    equal = sum(any(one.copy and not one.edits for one in family) for family in families)
    assert 0.13 < edited / len(families) < 0.27
    assert EXACT / 3 < equal / len(families) < 3 * EXACT


def test_documents_are_whole_paragraphs_of_varied_length() -> None:
    text = book(1)
    documents = list(cut(text, random.Random(1)))
    assert "\n\n".join(documents) == text.strip() or text.startswith("\n\n".join(documents))
    lengths = [len(document.split()) for document in documents]
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST + 120
    assert sum(length < 250 for length in lengths) > len(lengths) / 4


def test_the_same_seed_plants_the_same_corpus_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        plant([book(0), book(1)], tmp_path / name, size=1_000_000, seed=seed)
    one, again, other = ((tmp_path / name / "corpus.jsonl").read_bytes() for name in ("one", "again", "other"))
    assert one == again != other
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["corpus.jsonl", "truth.jsonl"]


def test_a_truth_can_be_read_back_from_its_file(tmp_path: Path) -> None:
    truth = plant([book(0)], tmp_path, size=1_000_000)
    assert [Planted(**json.loads(line)) for line in (tmp_path / "truth.jsonl").open()] == truth


@given(st.integers(50, 400), st.floats(*EDITS), st.integers(0, 2**32))
def test_an_edited_copy_has_as_many_edits_as_it_says(words: int, share: float, seed: int) -> None:
    """Each of the 2 to 10 edits a hundred words changes the words by one step of a swap, a deletion or an insertion."""
    dice = random.Random(seed)
    original = " ".join(f"w{number}" for number in range(words))
    copy, edits = edit(original, share, [f"v{number}" for number in range(50)], dice)
    assert EDITS[0] <= edits <= EDITS[1]
    assert abs(edits - share) <= 1 / words
    number = round(edits * words)
    assert copy != original
    assert abs(len(copy.split()) - words) <= number
    assert len(set(original.split()) - set(copy.split())) <= number


def test_edits_leave_paragraphs_where_they_are() -> None:
    text = book(3, 500)
    copy, _ = edit(text, 0.02, ["other"], random.Random(0))
    assert abs(copy.count("\n\n") - text.count("\n\n")) <= 2


def test_texts_come_from_jsonl_from_zst_and_from_txt(tmp_path: Path) -> None:
    import pyarrow as pa

    line = json.dumps({"title": "t", "text": "of jsonl"}) + "\n"
    (tmp_path / "a.jsonl").write_text(line * 2)
    with pa.output_stream(str(tmp_path / "b.jsonl.zst"), compression="zstd") as stream:
        stream.write(line.replace("jsonl", "zst").encode())
    (tmp_path / "c.txt").write_text("of txt")
    assert list(read_texts(tmp_path)) == ["of jsonl", "of jsonl", "of zst", "of txt"]


# A family of an original, an equal copy and two edited ones; a document on its own.
TRUTH = [
    Planted("1.0", 1, 0, 0.0),
    Planted("1.1", 1, 1, 0.05),
    Planted("1.2", 1, 2, 0.02),
    Planted("1.3", 1, 3, 0.0),
    Planted("2.0", 2, 0, 0.0),
]


def test_all_is_well_when_one_document_of_each_family_stays() -> None:
    for stays in ("1.0", "1.1", "1.2", "1.3"):
        result = score(TRUTH, {"1.0", "1.1", "1.2", "1.3"} - {stays})
        assert (result.recall, result.precision, result.recall_exact, result.lost) == (1, 1, 1, [])


def test_a_copy_that_stays_lowers_recall_by_its_share() -> None:
    assert score(TRUTH, {"1.1", "1.3"}).recall == 0.5
    assert score(TRUTH, {"1.3"}).recall == 0
    assert score(TRUTH, set()).recall == 0


def test_equal_copies_count_for_exact_recall_alone() -> None:
    assert score(TRUTH, {"1.1", "1.2"}).recall == 1
    assert score(TRUTH, {"1.1", "1.2"}).recall_exact == 0
    assert score(TRUTH, {"1.0"}).recall_exact == 1


def test_a_family_of_which_nothing_stays_lowers_precision() -> None:
    result = score(TRUTH, {"1.1", "1.2", "1.3", "2.0"})
    assert (result.recall, result.gone) == (1, 3)
    assert result.precision == pytest.approx(1 - 1 / 3)
    assert result.lost == [["2.0"]]


def test_what_a_filter_removed_is_not_looked_at() -> None:
    result = score(TRUTH, {"1.1"}, filtered={"1.2", "1.3", "2.0"})
    assert (result.recall, result.precision, result.recall_exact, result.gone) == (1, 1, 1, 1)


def test_nothing_planted_is_nothing_missed() -> None:
    result = score(TRUTH[-1:], set())
    assert (result.recall, result.precision) == (1, 1)


@given(st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=5), max_size=6))
def test_recall_and_precision_are_shares_whatever_happens(families: list[list[tuple[bool, bool]]]) -> None:
    truth, gone = [], set()
    for number, family in enumerate(families):
        for copy, (removed, equal) in enumerate(family):
            truth.append(Planted(f"{number}.{copy}", number, copy, 0.0 if equal or not copy else 0.05))
            gone |= {truth[-1].id} if removed else set()
    result = score(truth, gone)
    assert 0 <= result.recall <= 1
    assert 0 <= result.recall_exact <= 1
    assert 0 <= result.precision <= 1
    assert len(result.lost) == sum(all(removed for removed, _ in family) for family in families)


def test_a_lost_family_is_proven_to_be_a_near_duplicate_of_another_or_a_mistake(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(60)]
    texts = {"1.0": words, "2.0": words[5:], "3.0": [word.upper() for word in words], "4.0": words[::-1]}
    lines = [json.dumps({"url": id, "text": " ".join(text)}) + "\n" for id, text in texts.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    # 3.0 is like 1.0 but for its case; 4.0 is like none of them
    outcome = Outcome(set(), {"2.0": "1.0", "3.0": "1.0", "4.0": "1.0"})
    rows = proof([["2.0"], ["3.0"], ["4.0"]], outcome, tmp_path / "corpus.jsonl", 0.6)
    assert [(row["id"], row["natural"]) for row in rows] == [("4.0", False), ("2.0", True), ("3.0", True)]
    assert rows[0]["similarity"] == 0
    assert rows[2]["similarity"] == 1


def test_similarity_is_the_share_of_common_word_3_grams() -> None:
    assert similarity("One, two; three four.", "one two THREE four five") == pytest.approx(2 / 3)
    assert similarity("a b", "a b") == 0  # there is no 3-gram to share


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc")
def test_the_cost_of_a_command_is_that_of_all_of_its_processes() -> None:
    work = """
import time
block = bytearray(b"x") * 50_000_000
while time.process_time() < 0.3:
    pass
time.sleep(0.4)
"""
    program = f"""
import subprocess, sys
workers = [subprocess.Popen([sys.executable, "-c", {work!r}]) for _ in range(2)]
print(sum(worker.wait() for worker in workers))
"""
    printed, cost = measure([sys.executable, "-c", program])
    assert printed == "0\n"
    assert cost.wall_s >= 0.7
    assert 0.6 <= cost.cpu_s < 5
    assert cost.peak_mb is not None
    assert 100 < cost.peak_mb < 300


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_without_real_text_the_benchmark_refuses_and_says_what_it_wants(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "GROUNDUP_BOOKS"}
    command = [sys.executable, str(BENCH / "data.py"), "--quick", "--books", str(tmp_path / folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--books" in done.stderr if folder == "absent" else ".jsonl" in done.stderr
