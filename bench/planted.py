"""A corpus of real text with duplicates planted in it, and the truth about which documents belong together.

Books are cut into documents of whole paragraphs, 50 to 1,500 words long (log-uniform). A fifth of the documents get
one to three copies with 2 to 10 edits for each 100 words; one in twenty gets a copy that is the same byte for byte.
The original and its copies are a family. Everything follows from the seed.
"""

import io
import json
import math
import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

SHORTEST, LONGEST = 50, 1500  # words
EDITED, EXACT = 0.2, 0.05  # shares of the documents with edited copies, with an exact copy
MOST_COPIES = 3
EDITS = (0.02, 0.1)  # of a copy, by the words of the original
PILES = 64  # files that the documents are dealt to, so that shuffling holds one of them in memory
VOCABULARY = 20_000  # the last words read, which substituted and inserted words are drawn from
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Planted:
    """One document of the corpus: `edits` is how many edits were made, by the words of the original."""

    id: str
    family: int
    copy: int  # 0: the original
    edits: float


def read_texts(folder: Path) -> Iterator[str]:
    """The texts of a folder: `text` of each line of *.jsonl and *.jsonl.zst, and whole *.txt files, in order of name.

    Raises FileNotFoundError if there is none.
    """
    paths = sorted(path for end in ("*.jsonl", "*.jsonl.zst", "*.txt") for path in folder.glob(end))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no *.jsonl, *.jsonl.zst or *.txt")
    for path in paths:
        if path.suffix == ".txt":
            yield path.read_text(encoding="utf-8")
            continue
        compression = "zstd" if path.suffix == ".zst" else None
        with pa.input_stream(str(path), compression=compression) as stream:
            for line in io.BufferedReader(stream, 1 << 20):
                yield json.loads(line)["text"]


def cut(text: str, dice: random.Random) -> Iterator[str]:
    """Documents of consecutive paragraphs; what is too short at the end of a book is left out."""
    paragraphs: list[str] = []
    words, wanted = 0, _length(dice)
    for paragraph in text.split("\n\n"):
        paragraphs.append(paragraph)
        words += len(paragraph.split())
        if words >= wanted:
            yield "\n\n".join(paragraphs).strip()
            paragraphs, words, wanted = [], 0, _length(dice)
    if words >= SHORTEST:
        yield "\n\n".join(paragraphs).strip()


def _length(dice: random.Random) -> float:
    return SHORTEST * math.exp(dice.random() * math.log(LONGEST / SHORTEST))


def edit(text: str, share: float, vocabulary: Sequence[str], dice: random.Random) -> tuple[str, float]:
    """A copy in which about a share of the words is substituted, deleted, swapped with the next or followed by another.

    Returns it with the number of edits by the words of the original, which is always within EDITS.
    """
    words = WORD.findall(text)
    spaces = WORD.split(text)  # what stands before each word, and after the last
    fewest, most = (bound * len(words) for bound in EDITS)
    edits = min(max(round(share * len(words)), math.ceil(fewest)), math.floor(most))
    for place in dice.sample(range(len(words)), edits):
        kind = dice.choice(("substitute", "delete", "insert", "swap"))
        if kind == "swap" and place + 1 < len(words) and words[place + 1] not in ("", words[place]):
            words[place], words[place + 1] = words[place + 1], words[place]
        elif kind == "delete":
            words[place] = ""
        elif kind == "insert":
            words[place] += " " + _other(words[place], vocabulary, dice)
        else:
            words[place] = _other(words[place], vocabulary, dice)
    pairs = zip(spaces[:-1], words, strict=True)
    return "".join(space + word for space, word in pairs if word).strip(), edits / len(words)


def _other(word: str, vocabulary: Sequence[str], dice: random.Random) -> str:
    while (other := dice.choice(vocabulary)).lower() == word.lower():
        pass
    return other


def families(texts: Iterable[str], seed: int) -> Iterator[list[tuple[Planted, str]]]:
    """Each document cut from the texts, with the copies planted of it, the original first."""
    dice = random.Random(seed)
    vocabulary: deque[str] = deque(maxlen=VOCABULARY)
    number = 0
    for text in texts:
        for original in cut(text, dice):
            vocabulary.extend(WORD.findall(original))
            copies = [(original, 0.0)]
            if dice.random() < EDITED:
                for _ in range(dice.randint(1, MOST_COPIES)):
                    copies.append(edit(original, dice.uniform(*EDITS), vocabulary, dice))
            if dice.random() < EXACT:
                copies.append((original, 0.0))
            yield [
                (Planted(f"{number:07}.{copy}", number, copy, share), changed)
                for copy, (changed, share) in enumerate(copies)
            ]
            number += 1


def plant(texts: Iterable[str], folder: Path, size: float, seed: int = 1) -> list[Planted]:
    """Write about `size` bytes of text to corpus.jsonl (url, text), shuffled, and the truth to truth.jsonl beside it.

    The document's id stands under `url`, which the pipeline passes through. Memory: one text and a 64th of the corpus.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(f"shuffle {seed}")
    truth: list[Planted] = []
    paths = [folder / f"{number:02}.part" for number in range(PILES)]
    piles = [path.open("w", encoding="utf-8") for path in paths]
    written = 0
    try:
        for family in families(texts, seed):
            for planted, text in family:
                row = json.dumps({"url": planted.id, "text": text}, ensure_ascii=False)
                piles[dice.randrange(PILES)].write(row + "\n")
                truth.append(planted)
                written += len(text.encode())
            if written >= size:
                break
    finally:
        for pile in piles:
            pile.close()
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus:
        for path in paths:
            with path.open(encoding="utf-8", newline="\n") as pile:
                lines = pile.readlines()
            dice.shuffle(lines)
            corpus.writelines(lines)
            path.unlink()
    with (folder / "truth.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(planted)) + "\n" for planted in truth)
    return truth
