"""WikiText's numbers are lm-eval's: the page as it is read, by the words and bytes of the page as it was tokenised."""

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from tiny_models import MODERN, scrambled

from groundup.errors import GroundupError
from groundup.evaluate.wikitext import detokenise, evaluate, open_pages, pages, words
from groundup.train.precision import choose

PAGE = (
    ' = A Title = \n \n He said : " no " ( in 1 @,@ 234 days ) ; the bowl .\n'
    " = = Part = = \n It 's well @-@ known . \n"
)
CORPUS = f"\n{PAGE} \n = Another = \n \n Short .\n"

REAL = Path(__file__).parents[2] / "shared" / "data" / "wikitext"


class Letters:
    """A token for each character of ASCII, end-of-text first."""

    end, unknown, token_bytes, cuttable = 0, None, np.array([0] + [1] * 96), False

    def encode(self, text: str) -> list[int]:
        return [min(96, max(1, ord(letter) - 31)) for letter in text]


def test_a_page_begins_at_each_title_and_sections_belong_to_it() -> None:
    found = list(pages(iter(CORPUS.split("\n"))))
    assert len(found) == 2
    assert found[0].startswith(" = A Title =") and "= = Part = =" in found[0] and found[1].startswith(" = Another = ")


def test_detokenising_closes_up_marks_numbers_brackets_and_headings() -> None:
    plain = detokenise(PAGE)
    assert 'He said: "no" (in 1,234 days); the bowl .' in plain
    assert "== Part ==" in plain and "It's well-known." in plain and "\n\n" in plain


def test_words_are_those_of_the_original_with_the_empty_ones_at_its_ends() -> None:
    assert words(" a b ") == 4 and words("a b") == 2


def test_each_page_is_scored_alone_in_full_windows_and_divided_by_its_original() -> None:
    model, found = scrambled(MODERN), list(pages(iter(CORPUS.split("\n"))))
    scores, documents, counts = evaluate(model, found, Letters(), choose("cpu", "fp32"))  # type: ignore[arg-type]
    context, total = MODERN.context, 0.0
    for page, stated in zip(found, documents.nats, strict=True):
        flat, mine = [0, *Letters().encode(detokenise(page))], 0.0
        for place in range(1, len(flat)):
            window = (place - 1) // context
            end = min((window + 1) * context, len(flat) - 1)
            begin = max(0, end - context)  # the last window reaches back
            with torch.no_grad():
                logits = model(torch.tensor([flat[begin:place]]))[0, -1].double()
            mine -= float(logits.log_softmax(-1)[flat[place]])
        assert stated == pytest.approx(mine, rel=1e-5)
        total += mine
    assert counts.tolist() == [words(page) for page in found]
    assert scores["word_perplexity"] == pytest.approx(math.exp(total / sum(counts)), rel=1e-5)
    size = sum(len(page.encode()) for page in found)
    assert scores["bits_per_byte"] == pytest.approx(total / math.log(2) / size, rel=1e-5)
    assert scores["byte_perplexity"] == pytest.approx(2 ** scores["bits_per_byte"], rel=1e-9)


def test_a_file_without_a_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.raw").write_text("\n")
    with pytest.raises(GroundupError) as refused:
        open_pages(str(tmp_path / "empty.raw"), "test", None, tmp_path)
    assert refused.value.code == "bad-task"


def test_pages_are_detokenised_letter_by_letter_as_lm_eval_does_it() -> None:
    theirs = pytest.importorskip("lm_eval.tasks.wikitext.preprocess_wikitext")
    random, signs = Random(1), [*" '=@-,.\n:;!?()[]{}\"°N1as", *" " * 20]
    texts = ["".join(random.choice(signs) for _ in range(random.randrange(60))) for _ in range(3000)]
    for text in [PAGE, *texts]:
        assert detokenise(text) == theirs.wikitext_detokenizer({"page": text})


@pytest.mark.skipif(not REAL.exists(), reason="WikiText is not on this machine")
def test_the_real_splits_have_the_pages_that_lm_evals_data_set_has(tmp_path: Path) -> None:
    for split, number in (("valid", 60), ("test", 62)):
        path = str(REAL / f"wiki.{split}.raw")
        assert len(open_pages(path, "test", None, tmp_path).pages) == number
