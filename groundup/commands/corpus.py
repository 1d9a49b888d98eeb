"""The verbs before a model: `data` and `tokenizer`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from groundup.commands.options import Json, Lab, Overrides, Recipe, emit

data = App(name="data", help="Make the corpus: read, clean, drop duplicates, split, look for leaks.")


@data.default
def corpus(recipe: Recipe, *overrides: Overrides, lab: Lab = None, json: Json = False) -> None:
    """Make the corpus: read, clean, drop duplicates, split, look for leaks."""
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_corpus
    from groundup.science.summary import corpus_lines
    from groundup.store.runs import lab_directory

    made = make_corpus(resolve(recipe, list(overrides), model=False).recipe, lab_directory(lab))
    emit(made.manifest | {"path": str(made.path)}, json, corpus_lines(made))


@data.command(name="report")
def data_report(
    recipe: Recipe,
    *overrides: Overrides,
    output: Annotated[Path | None, Parameter(help="The page's file (default: LAB/reports/CORPUS.html).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Make the corpus if need be, and a page of what was read, left out and kept. With --json, its figures."""
    from groundup.data.report import figures, write
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_corpus
    from groundup.store.runs import lab_directory

    where = lab_directory(lab)
    made = make_corpus(resolve(recipe, list(overrides), model=False).recipe, where)
    page = write(made.path, output or where / "reports" / f"{made.id}.html")
    emit(figures(made.path) | {"page": str(page)}, json, [str(page)])


tokenizer = App(name="tokenizer", help="Make the corpus and train its tokenizer; report on it, or compare several.")


@tokenizer.default
def trained(recipe: Recipe, *overrides: Overrides, lab: Lab = None, json: Json = False) -> None:
    """Make the corpus and train its tokenizer."""
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_tokenizer
    from groundup.store.runs import lab_directory

    _, made = make_tokenizer(resolve(recipe, list(overrides), model=False).recipe, lab_directory(lab))
    size = made.manifest["counts"]["vocab_size"]
    facts = made.manifest | {"path": str(made.path)}
    emit(facts, json, [f"tokenizer  {made.path / 'tokenizer.json'}", f"vocabulary {size:,}"])


@tokenizer.command(name="report")
def tokenizer_report(
    recipe: Recipe,
    *overrides: Overrides,
    output: Annotated[Path | None, Parameter(help="The page's file (default: in LAB/reports).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Make the tokenizer if need be, and a page: bytes per token by source, unused tokens, splits, round trip."""
    from groundup.science.tokenizers import write_report
    from groundup.store.runs import lab_directory

    facts, lines = write_report(recipe, list(overrides), lab_directory(lab), output)
    emit(facts, json, lines)


@tokenizer.command(name="compare")
def tokenizer_compare(
    recipe: Recipe,
    *tokenizers: Annotated[
        str,
        Parameter(
            help="What tokenizer.use takes (a tokenizer.json, a directory, an artifact, a run), or changes to the "
            "recipe's tokenizer, such as vocab_size=4096 or kind=unigram,digits=1. key.sub=value changes the recipe "
            "for all of them."
        ),
    ],
    output: Annotated[Path | None, Parameter(help="The page's file (default: in LAB/reports).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Put the recipe's tokenizer beside others, on the same text: the recipe's own is the first column."""
    from groundup.science.tokenizers import write_comparison
    from groundup.store.runs import lab_directory

    facts, lines = write_comparison(recipe, list(tokenizers), lab_directory(lab), output)
    emit(facts, json, lines)


@tokenizer.command(name="sweep")
def tokenizer_sweep(
    *words: Annotated[
        str,
        Parameter(
            help="A recipe (default: 20m), values to try, such as vocab=1k,2k,4k,8k kind=bpe,unigram digits=1,3 "
            "seed=1,2,3 (k is 1,024; several lists are combined), and overrides as key.sub=value."
        ),
    ],
    train: Annotated[
        bool, Parameter(help="Train the same model with each, too, and rank by bpb.", negative="")
    ] = False,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Try several vocabularies; with --train, at equal parameters and equal text, ranked by bits per byte."""
    from groundup.recipe.load import resolve
    from groundup.science import sweep
    from groundup.store.runs import lab_directory

    recipe, overrides, axes = sweep.parse(list(words))
    facts = sweep.sweep(resolve(recipe, overrides), axes, lab_directory(lab), train)
    emit(facts, json, sweep.lines(facts))
