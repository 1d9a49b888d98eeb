"""The report of a recipe's tokenizer, and its comparison with others."""

import re
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.recipe.load import resolve
from groundup.recipe.schema import Tokenizer
from groundup.science.pipeline import make_tokenizer, sample_shares
from groundup.store.files import digest, write_output
from groundup.tokens import compare_page, report, report_page, tokenizer
from groundup.tokens.compare import compare

Row = dict[str, Any]

CHANGES = re.compile(r"\w+=")
OVERRIDE = re.compile(r"\w+(\.[\w-]+)+=")


def write_report(recipe: str, overrides: list[str], lab: Path, output: Path | None) -> tuple[Row, list[str]]:
    """Make the tokenizer if need be, and its page; its figures, and lines that say the same in short."""
    resolved = resolve(recipe, overrides, model=False).recipe
    corpus, trained = make_tokenizer(resolved, lab)
    figures = report.figures(corpus, trained, sample_shares(resolved, corpus))
    name = f"{trained.id}-on-{corpus.id}.html"  # a tokenizer that is taken over is measured on several corpora
    page = write_output(output or lab / "reports" / name, report_page.render(figures))
    return figures | {"page": str(page)}, [*report_page.lines(figures), str(page)]


def write_comparison(recipe: str, words: list[str], lab: Path, output: Path | None) -> tuple[Row, list[str]]:
    """The recipe's tokenizer beside others, and the page of it. `words`: tokenizers, and overrides of the recipe.

    An override, key.sub=value, holds for all. A tokenizer is what tokenizer.use takes, or changes to the recipe's
    tokenizer: key=value, several of them joined by commas. Raises GroundupError `usage` where none is given.
    """
    overrides = [word for word in words if OVERRIDE.match(word)]
    others = [word for word in words if not OVERRIDE.match(word)]
    if not others:
        fix = "name what to compare it with: vocab_size=4096, kind=unigram,digits=1, or a tokenizer.json"
        raise GroundupError("usage", "there is nothing to compare the recipe's tokenizer with", fix)
    resolved = resolve(recipe, overrides, model=False).recipe
    variants = {word: _variant(recipe, overrides, word) for word in others}
    corpus, own = make_tokenizer(resolved, lab)
    mix = sample_shares(resolved, corpus)
    columns = [("recipe", own)]
    columns += [(word, tokenizer.build(part, mix, corpus, lab)) for word, part in variants.items()]
    figures = compare(corpus, columns, mix)
    name = f"tokenizers-{digest([corpus.id, *(artifact.id for _, artifact in columns)])[:16]}.html"
    page = write_output(output or lab / "reports" / name, compare_page.render(figures))
    return figures | {"page": str(page)}, [*compare_page.lines(figures), str(page)]


def _variant(recipe: str, overrides: list[str], word: str) -> Tokenizer:
    if not CHANGES.match(word):
        return resolve(recipe, overrides, model=False).recipe.tokenizer.model_copy(update={"use": word})
    changes = [f"tokenizer.{change}" for change in word.split(",")]
    return resolve(recipe, [*overrides, "tokenizer.use=null", *changes], model=False).recipe.tokenizer
