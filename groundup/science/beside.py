"""What stands beside a trained model: itself before its first step, and a trigram model of its training text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from groundup.errors import GroundupError
from groundup.evaluate import choice, ngram
from groundup.evaluate.choice import Answer
from groundup.evaluate.score import pooled, score_split
from groundup.evaluate.tasks import Task
from groundup.model.transformer import Transformer
from groundup.science.changes import recipe_of
from groundup.science.evaluation_record import Judged
from groundup.tokens.pack import read_documents, read_shards

NAMES = ("untrained", "trigram")
TRIGRAM_TOKENS = 5_000_000  # of each source, its first documents: counted in some seconds, in about a GB


def check(names: Sequence[str]) -> None:
    """Raise GroundupError `usage` for a name that is no baseline's."""
    if wrong := set(names) - set(NAMES):
        raise GroundupError("usage", f"there is no baseline {sorted(wrong)[0]!r}", f"they are {' and '.join(NAMES)}")


def untrained(judged: Judged) -> Judged:
    """The same with the weights of step 0, which the run's seed decides."""
    torch.manual_seed(recipe_of(judged.run).seed)
    return replace(judged, model=Transformer(judged.model.config).to(judged.device.device))


def trigram(judged: Judged) -> ngram.Ngram:
    """Counted from the run's own training shards. Raises GroundupError `artifact-damaged`, `run-damaged`."""
    shards = judged.run.shards()
    documents = [ids for source in shards.manifest["counts"] for ids in _first(shards.path, source)]
    return ngram.fit(documents, judged.encoding.vocab_size, judged.encoding.end)


def _first(shards: Any, source: str) -> Iterator[np.ndarray]:
    left = TRIGRAM_TOKENS
    for ids in _documents(shards, source, "train"):
        yield ids[:left]
        if (left := left - len(ids)) <= 0:
            return


def _documents(shards: Any, source: str, split: str) -> Iterator[np.ndarray]:
    """Each document's ids, without the end-of-text token behind it."""
    parts = zip(read_shards(shards, source, split), read_documents(shards, source, split), strict=True)
    for tokens, records in parts:
        ends = np.append(records["start"][1:], len(tokens)).astype(np.int64)
        for start, end in zip(records["start"].astype(np.int64), ends, strict=True):
            yield np.asarray(tokens[start : end - 1], dtype=np.int64)


class Baselines:
    """The baselines that are asked for, each made when it is needed, and once."""

    def __init__(self, judged: Judged, names: Sequence[str]) -> None:
        self.judged, self.names = judged, sorted(names)

    @cached_property
    def untrained(self) -> Judged:
        return untrained(self.judged)

    @cached_property
    def trigram(self) -> ngram.Ngram:
        return trigram(self.judged)

    def accuracies(self, opened: Task, answers: Callable[[Judged, Task], tuple[list[Answer], int]]) -> dict[str, float]:
        """Accuracy of each on a choice task, by the reading of the log-probabilities that is its headline."""
        found, judged = {}, self.judged
        if "untrained" in self.names:
            given, _ = answers(self.untrained, opened)
            found["untrained"] = _accuracy(opened, [answer.scores(opened.reading) for answer in given])
        if "trigram" in self.names:
            scores = []
            for item in opened.items:
                options, _ = choice.encode(item, judged.encoding, judged.model.config.context)
                nats = [
                    -float(ngram.log_probabilities(self.trigram, np.array(one.ids[1:]))[one.first - 1 :].sum())
                    for one in options
                ]
                tokens = [len(one.ids) - one.first for one in options]
                scores.append(Answer(nats, tokens, choice.option_bytes(item), []).scores(opened.reading))
            found["trigram"] = _accuracy(opened, scores)
        return found

    def bits(self, split: str, masked: bool, stride: int | None) -> dict[str, dict[str, float]]:
        """Bits per byte of a split by source and of `all`, of each. The trigram sees nothing from before a document."""
        judged, shards = self.judged, self.judged.run.shards()
        sources, found = list(shards.manifest["counts"]), dict[str, dict[str, float]]()
        if "untrained" in self.names:
            model = self.untrained.model
            scores = score_split(
                model, shards.path, sources, split, judged.encoding, judged.device, masked, None, stride
            )
            found["untrained"] = {one.source: one.to_json()["bpb"] for one in scores}
        if "trigram" in self.names:
            scores = []
            for source in sources:
                size = sum(int(records["bytes"].sum()) for records in read_documents(shards.path, source, split))
                if size:
                    documents = _documents(shards.path, source, split)
                    scores.append(ngram.score(self.trigram, documents, size, judged.encoding, source))
            found["trigram"] = {one.source: one.to_json()["bpb"] for one in [*scores, pooled(scores)] if one.tokens}
        return found


def _accuracy(opened: Task, scores: list[list[float]]) -> float:
    return sum(choice.credit(item, one) for item, one in zip(opened.items, scores, strict=True)) / len(scores)
