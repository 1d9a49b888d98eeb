"""What choice items give away to those who know no language: word counts, neighbours, lengths, words seen before.

Each baseline gives every option a score and chooses the highest. An item is worth 1 to a baseline that chooses right,
and where several options tie, its share of guessing among them: one that knows nothing stands at chance.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.evaluate.items import SuiteItem, chance
from groundup.evaluate.ngram import Ngram, fit, log_probabilities

# Words with their apostrophes, numbers, and each mark by itself.
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d+|[^\w\s]")
START, OTHER = 0, 1  # ids of a document's edge, and of all words that were seen once
Scorer = Callable[[SuiteItem], list[float]]


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


@dataclass(frozen=True)
class WordModel:
    """Counts of words, and of three in a row, in a training text."""

    ids: dict[str, int]
    unigram: Ngram
    trigram: Ngram

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.ids.get(word, OTHER) for word in words(text)], np.int64)


def learn(texts: Iterable[str]) -> WordModel:
    """A word model of training documents. Words seen once count as one word, so that unknown ones have a share."""
    documents = [words(text) for text in texts]
    counts = Counter(word for document in documents for word in document)
    ids = {word: 2 + rank for rank, (word, count) in enumerate(counts.most_common()) if count > 1}
    coded = [np.array([ids.get(word, OTHER) for word in document], np.int64) for document in documents]
    return WordModel(ids, *(fit(coded, 2 + len(ids), START, order) for order in (1, 3)))


def baselines(model: WordModel) -> dict[str, Scorer]:
    """Scorers by name: functions of an item to a score for each option."""

    def frequencies(option: str) -> np.ndarray:
        return np.log(model.unigram.unigram[model.encode(option)])

    def trigram(item: SuiteItem) -> list[float]:
        before = len(words(item.context))
        return [float(log_probabilities(model.trigram, model.encode(text))[before:].sum()) for text in item.texts]

    def overlap(item: SuiteItem) -> list[float]:
        seen = set(words(item.context))
        options = [set(words(option)) for option in item.options]
        return [len(option & seen) / max(1, len(option)) for option in options]

    return {
        "unigram": lambda item: [float(frequencies(option).sum()) for option in item.options],
        "trigram": trigram,
        "commonest": lambda item: [float(frequencies(option).mean()) for option in item.options],
        "shortest": lambda item: [-float(len(option)) for option in item.options],
        "overlap": overlap,
    }


def association(texts: Sequence[str], items: Sequence[SuiteItem]) -> Scorer:
    """Which option's words stand in one document with the context's most often: the pointwise mutual information
    (Church and Hanks 1990) of their documents, summed over the context's words, averaged over the option's.

    Not a flaw of an item where it does well: to know what goes with what is part of a fact. It says how much of a score
    needs no order of words.
    """
    wanted = {word for item in items for text in item.texts for word in words(text)}
    found: dict[str, np.ndarray] = {word: np.zeros(len(texts), bool) for word in wanted}
    for number, text in enumerate(texts):
        for word in wanted.intersection(words(text)):
            found[word][number] = True

    def information(one: str, other: str) -> float:
        together = int((found[one] & found[other]).sum()) + 0.5  # so that what never met has a finite value
        return math.log(together * len(texts) / ((found[one].sum() + 1) * (found[other].sum() + 1)))

    def score(item: SuiteItem) -> list[float]:
        context = sorted(set(words(item.context)))
        options = [sorted(set(words(option))) for option in item.options]
        return [sum(information(a, b) for a in option for b in context if a != b) / len(option) for option in options]

    return score


def credit(scores: Sequence[float], gold: int) -> float:
    """1 where the right option alone scores highest, its share where it ties, else 0."""
    best = [math.isclose(score, max(scores), rel_tol=1e-9, abs_tol=1e-9) for score in scores]
    return best[gold] / sum(best)


def accuracy(items: Sequence[SuiteItem], scorer: Scorer) -> float:
    return sum(credit(scorer(item), item.gold) for item in items) / len(items)


def standard_error(items: Sequence[SuiteItem]) -> float:
    """Of the accuracy of guessing, were the items independent."""
    shares = [1 / len(item.options) for item in items]
    return math.sqrt(sum(share * (1 - share) for share in shares)) / len(items)


def review(items: Sequence[SuiteItem], scorers: dict[str, Scorer]) -> list[dict[str, Any]]:
    """A row for the whole (phenomenon "all") and for each phenomenon: n, chance, its standard error, accuracies."""
    groups: dict[str, list[SuiteItem]] = {"all": list(items)}
    for item in items:
        groups.setdefault(item.phenomenon, []).append(item)
    return [
        {"phenomenon": name, "n": len(group), "chance": chance(group), "error": standard_error(group)}
        | {scorer: accuracy(group, function) for scorer, function in scorers.items()}
        for name, group in groups.items()
    ]
