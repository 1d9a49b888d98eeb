"""One pass over documents: how many tokens they are, which tokens they use, and whether their text comes back."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from groundup.tokens.encoders import Encode
from groundup.tokens.encoding import Encoding
from groundup.tokens.spelling import Vocabulary

BATCH_BYTES = 4 << 20  # text encoded in one call: enough for all cores, little enough for any memory
DECODED = 50  # one document in so many is decoded by the tokenizer itself, besides
NAMED = 10  # documents that did not return, by place
AROUND = 20  # bytes shown before and behind the first one that differs


@dataclass
class Count:
    """What one source and split has. Words are what white space separates; no end-of-text token is counted."""

    documents: int = 0
    bytes: int = 0
    words: int = 0
    tokens: int = 0
    unknown: int = 0  # tokens for characters that the vocabulary cannot spell
    broken: int = 0  # documents that their tokens do not give back

    def add(self, other: "Count") -> None:
        for key, value in vars(other).items():
            setattr(self, key, getattr(self, key) + value)

    def to_json(self) -> dict[str, Any]:
        """With bytes per token and tokens per word; None where there are none to divide by."""
        per_token = self.bytes / self.tokens if self.tokens else None
        return vars(self) | {
            "bytes_per_token": per_token,
            "tokens_per_word": self.tokens / self.words if self.words else None,
        }


@dataclass
class Usage:
    """`counts` by source and split; `uses`, by split, of each token (vocabulary,) int64; `broken`: the first ones."""

    counts: dict[tuple[str, str], Count] = field(default_factory=lambda: defaultdict(Count))
    uses: dict[str, np.ndarray] = field(default_factory=dict)
    broken: list[dict[str, str]] = field(default_factory=list)

    def pooled(self, split: str) -> Count:
        """The sums over all sources."""
        total = Count()
        for (_, one), count in self.counts.items():
            if one == split:
                total.add(count)
        return total


def measure(
    documents: Iterable[tuple[str, str, str]],
    vocabulary: Vocabulary,
    encode: Encode,
    advance: Callable[[int], None] = lambda _: None,
) -> Usage:
    """Encode every document, given as (source, split, text), and compare what its tokens spell with its bytes.

    What they spell is the tokens' bytes, one behind the other; one document in DECODED is decoded by the tokenizer,
    too. `advance` is told of the bytes that are done.
    """
    encoding, usage = vocabulary.encoding, Usage()
    spelt = pa.array(vocabulary.spelt, pa.large_binary())
    for source, split, texts in _batches(documents):
        batch = pa.array(texts, pa.large_string())
        flat, lengths = encode(batch)
        size = len(_content(batch))
        broken = _broken(batch, texts, flat, lengths, spelt, encoding)
        count = usage.counts[source, split]
        for row, difference in broken[: NAMED - len(usage.broken)]:
            place = f"document {count.documents + row + 1:,}"
            usage.broken.append({"source": source, "split": split, "place": place, "text": difference})
        unknown = 0 if encoding.unknown is None else int((flat == encoding.unknown).sum())
        words = sum(len(text.split()) for text in texts)
        count.add(Count(len(texts), size, words, len(flat), unknown, len(broken)))
        found = np.bincount(flat, minlength=encoding.vocab_size)
        usage.uses[split] = usage.uses.get(split, 0) + found
        advance(size)
    return usage


def _batches(documents: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Neighbours of one source and split by some BATCH_BYTES characters of text."""
    texts: list[str] = []
    size, at = 0, ("", "")
    for source, split, text in documents:
        if texts and (size >= BATCH_BYTES or at != (source, split)):
            yield *at, texts
            texts, size = [], 0
        at = source, split
        texts.append(text)
        size += len(text)
    if texts:
        yield *at, texts


def _broken(
    batch: pa.Array, texts: list[str], flat: np.ndarray, lengths: np.ndarray, spelt: pa.Array, encoding: Encoding
) -> list[tuple[int, str]]:
    """(row, the text where it first differs) of each document of a batch that its tokens do not give back."""
    want, got = _content(batch), _content(spelt.take(pa.array(flat)))
    sizes = np.concatenate([[0], np.cumsum(encoding.token_bytes[flat])])
    ids = np.concatenate([[0], np.cumsum(lengths)])
    want_at, got_at = _offsets(batch), sizes[ids]
    rows = range(0, len(texts), DECODED)
    decoded = encoding.tokenizer.decode_batch([flat[ids[row] : ids[row + 1]].tolist() for row in rows])
    wrong = {row: texts[row][:AROUND] for row, text in zip(rows, decoded, strict=True) if text != texts[row]}
    if not (np.array_equal(want_at, got_at) and np.array_equal(want, got)):
        for row in range(len(texts)):
            one, other = want[want_at[row] : want_at[row + 1]], got[got_at[row] : got_at[row + 1]]
            if not np.array_equal(one, other):
                wrong[row] = _difference(one, other)
    return sorted(wrong.items())


def _difference(one: np.ndarray, other: np.ndarray) -> str:
    """The text around the first byte in which two texts differ."""
    shorter = min(len(one), len(other))
    differ = np.flatnonzero(one[:shorter] != other[:shorter])
    at = int(differ[0]) if len(differ) else shorter
    return one[max(0, at - AROUND) : at + AROUND].tobytes().decode(errors="replace")


def _offsets(array: pa.Array) -> np.ndarray:
    """(n + 1,) where each of the texts of a whole array begins and ends."""
    return np.frombuffer(array.buffers()[1], np.int64)[: len(array) + 1]


def _content(array: pa.Array) -> np.ndarray:
    """The bytes of all texts of a whole array, one behind the other."""
    data = array.buffers()[2]
    return np.frombuffer(data, np.uint8)[: _offsets(array)[-1]] if data else np.empty(0, np.uint8)
