"""Near-duplicates: pairs of documents that share most of their word 3-grams.

MinHash (Broder 1997) with banding (Leskovec et al., Mining of Massive Datasets, ch. 3): 192 hashes in 48 bands of 4
rows find a pair of Jaccard similarity s with probability 1 - (1 - s^4)^48, which is 0.95 at s = 0.5 and 0.999 at 0.6.
Each pair that is found so is then measured exactly.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import daft
import daft.functions as F
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from daft import DataFrame, DataType, Series, col

from groundup.console import progress, say
from groundup.data.ngrams import batch_ngram_hashes, ngram_hashes

WORDS, BANDS, ROWS = 3, 48, 4
SEED = 1
ALL_PAIRS = 8  # documents in a bucket of which every pair is measured
PAIRS_AT_ONCE = 100_000  # pairs whose 3-grams are held in memory: some 300 MB for documents of 350 words


@dataclass(frozen=True)
class Pairs:
    """Documents by rank, `left` < `right`, with their Jaccard similarity."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


def find_pairs(staged: DataFrame, without: np.ndarray, threshold: float, work: Path) -> Pairs:
    """Pairs of documents at or above a Jaccard similarity, those `without` left aside.

    `staged` has rank and text; `work` is a directory for the band keys, 384 bytes a document.
    """
    texts = staged.where(col("compared")).select("rank", "text")
    if len(without):
        texts = texts.join(daft.from_pydict({"rank": without}), on="rank", how="anti", strategy="hash")
    left, right = _candidates(texts, work)
    if not len(left):
        return Pairs(left, right, np.empty(0))
    shares = similarities(texts, left, right)
    same = shares >= threshold
    return Pairs(left[same], right[same], shares[same])


def _candidates(texts: DataFrame, work: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that share the four hashes of at least one band, in order."""
    plain = F.normalize(col("text"), remove_punct=True, lowercase=True, white_space=True)
    signature = F.minhash(plain, num_hashes=BANDS * ROWS, ngram_size=WORDS, seed=SEED, hash_function="xxhash")
    keys = texts.select("rank", _band_keys(signature).alias("keys"))
    names = [f"band{band:02}" for band in range(BANDS)]
    keys = keys.select("rank", *(F.get(col("keys"), band).alias(name) for band, name in enumerate(names)))
    folder = str(work / "bands")
    say("near-duplicates: hashing every document")
    keys.write_parquet(folder, compression="none", write_mode="overwrite")
    ranks = _stored(folder, "rank")
    order = np.argsort(ranks)
    found = np.empty(0, np.int64)
    with progress("near-duplicates: bands", BANDS, "bands") as advance:
        for name in names:  # one at a time: 16 bytes a document in memory, however many bands there are
            first, second = _bucket_pairs(_stored(folder, name)[order])
            found = np.union1d(found, first * len(ranks) + second)
            advance(1)
    first, second = np.divmod(found, max(1, len(ranks)))
    return ranks[order][first], ranks[order][second]


def _stored(folder: str, name: str) -> np.ndarray:
    return pq.read_table(folder, columns=[name])[name].to_numpy()


def _bucket_pairs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of equal keys, the lower one first: all pairs in a small bucket, a chain and a star in a large one."""
    by_key = np.argsort(keys, kind="stable")
    if not len(keys):
        return by_key, by_key
    same = keys[by_key][1:] == keys[by_key][:-1]
    shared = by_key[np.append(same, False) | np.append(False, same)]  # most keys stand alone
    begins = np.flatnonzero(np.append(True, keys[shared][1:] != keys[shared][:-1])[: len(shared)])
    sizes = np.diff(np.append(begins, len(shared)))
    begin, size = np.repeat(begins, sizes), np.repeat(sizes, sizes)
    place = np.arange(len(shared))
    pairs = []
    for ahead in range(1, ALL_PAIRS):
        one = place[(place + ahead < begin + size) & ((size <= ALL_PAIRS) | (ahead == 1))]
        pairs.append((one, one + ahead))
    far = place[(size > ALL_PAIRS) & (place - begin > 1)]  # a bucket of a million would have 10^12 pairs
    pairs.append((begin[far], far))
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    return shared[first], shared[second]


@daft.func.batch(return_dtype=DataType.list(DataType.uint64()))
def _band_keys(signature: Series) -> Series:
    """One 64-bit key for each band of four 32-bit hashes, different for equal hashes in different bands."""
    values = signature.to_arrow().flatten().to_numpy().reshape(-1, BANDS, ROWS).astype(np.uint64)
    factors = np.random.Generator(np.random.Philox(SEED)).integers(0, 2**64, (BANDS, ROWS), np.uint64) | np.uint64(1)
    keys = (values * factors).sum(axis=2, dtype=np.uint64) + np.arange(BANDS, dtype=np.uint64)
    offsets = np.arange(0, keys.size + 1, BANDS)
    return Series.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(keys.ravel())))


def similarities(texts: DataFrame, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Jaccard similarity of the word 3-grams of each pair, so many at a time that memory stays bounded."""
    found = []
    for start in range(0, len(left), PAIRS_AT_ONCE):
        block = slice(start, start + PAIRS_AT_ONCE)
        involved = daft.from_pydict({"rank": np.unique(np.concatenate([left[block], right[block]]))})
        chosen = texts.join(involved, on="rank", how="semi", strategy="hash")
        table = chosen.select("rank", _grams(col("text")).alias("grams")).to_arrow().combine_chunks()
        lists = table["grams"].chunk(0)
        values, ends = lists.values.to_numpy(), lists.offsets.to_numpy()
        place = {rank: number for number, rank in enumerate(table["rank"].to_pylist())}
        for a, b in zip(left[block].tolist(), right[block].tolist(), strict=True):
            first, second = (values[ends[place[rank]] : ends[place[rank] + 1]] for rank in (a, b))
            found.append(jaccard(first, second))
    return np.array(found)


@daft.func.batch(return_dtype=DataType.list(DataType.uint32()))
def _grams(text: Series) -> Series:
    """The set of a text's word 3-grams as sorted hashes. 32 bits: a chance collision moves a similarity by 1e-6."""
    hashes, ends = batch_ngram_hashes(text.to_pylist(), WORDS)
    sets = [_gram_set(hashes[start:end]) for start, end in itertools.pairwise(ends)]
    offsets = np.cumsum([0, *map(len, sets)])
    values = np.concatenate(sets) if sets else np.empty(0, np.uint32)
    return Series.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values)))


def _gram_set(hashes: np.ndarray) -> np.ndarray:
    """Sorted, without repeats: six times as fast as np.unique, which works by hashing since numpy 2.3."""
    ordered = np.sort(hashes.astype(np.uint32))
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of the word 3-grams of two texts."""
    return jaccard(*(_gram_set(ngram_hashes(text, WORDS)) for text in (a, b)))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Shared by all, of two sorted arrays without repeats; 0 where both are empty."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / max(1, len(a) + len(b) - shared)
