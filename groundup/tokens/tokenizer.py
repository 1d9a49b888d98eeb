"""Byte-level BPE: trained on the mix, or taken over from elsewhere.

Special tokens have the same names and ids in every run. Text that looks like one is encoded as text, so no document
can forge the end of a document.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from groundup.console import progress
from groundup.data.corpus import texts
from groundup.errors import GroundupError
from groundup.recipe import schema
from groundup.store.artifacts import Artifact, load, make
from groundup.store.files import sha256, write_atomic
from groundup.store.runs import Run

VERSION = 1
END, PAD = "<|endoftext|>", "<|pad|>"  # ids 0 and 1
FILE = "tokenizer.json"


@dataclass(frozen=True)
class Encoding:
    """A tokenizer ready for use."""

    tokenizer: Tokenizer
    end: int  # id of the end-of-text token, which also begins a text
    token_bytes: np.ndarray  # (vocabulary,) int64: UTF-8 bytes that each token stands for; 0 for special tokens

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)


def open_tokenizer(path: Path) -> Encoding:
    """Read a tokenizer.json. Raises GroundupError `bad-tokenizer` unless it is byte-level with an end-of-text token."""
    fix = "name a tokenizer.json of a byte-level BPE, such as groundup's own"
    try:
        tokenizer = Tokenizer.from_file(str(path))
        decoder = json.loads(path.read_bytes())["decoder"]
    except Exception as error:  # the library raises bare Exception on a damaged file
        raise GroundupError("bad-tokenizer", f"{path} cannot be read: {error}", fix) from None
    end = tokenizer.token_to_id(END)
    if end is None or not isinstance(decoder, dict) or decoder.get("type") != "ByteLevel":
        missing = "is not byte-level" if end is not None else f"has no {END} token"
        raise GroundupError("bad-tokenizer", f"{path} {missing}", fix)
    tokenizer.encode_special_tokens = True  # text that looks like a special token stays text
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    # In a byte-level vocabulary each character of a token's name stands for one byte.
    lengths = [0 if id in special else len(tokenizer.id_to_token(id) or "") for id in range(size)]
    return Encoding(tokenizer, end, np.array(lengths, dtype=np.int64))


def build(part: schema.Tokenizer, mix: dict[str, float], corpus: Artifact, lab: Path) -> Artifact:
    """The tokenizer of a recipe. `mix` gives each source's share of the sample.

    Raises GroundupError `vocabulary-too-large`, `bad-tokenizer`.
    """
    if part.use is not None:
        return _existing(part.use, lab)

    def fill(directory: Path) -> dict[str, Any]:
        size = sum(corpus.manifest["counts"][source]["train"]["bytes"] for source in mix)
        budget = min(part.sample_mb * 1e6, size)
        sample = _sample(corpus, mix, budget)
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=part.vocab_size,
            special_tokens=[END, PAD],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        with progress("tokenizer: reading the sample", round(budget), "B") as advance:
            tokenizer.train_from_iterator(_watched(sample, advance), trainer)
        learned = tokenizer.get_vocab_size()
        if learned < part.vocab_size:
            what = f"the text supports {learned:,} tokens, not tokenizer.vocab_size = {part.vocab_size:,}"
            raise GroundupError("vocabulary-too-large", what, f"tokenizer.vocab_size={learned} or less, or more text")
        write_atomic(directory / FILE, tokenizer.to_str(pretty=True))
        return {"counts": {"vocab_size": learned, "sample_bytes": round(budget)}}

    kept = part.model_dump(exclude={"use"}) | {"mix": mix}
    return make(lab, "tokenizer", VERSION, kept, [corpus], fill)


def _watched(sample: Iterator[str], advance: Any) -> Iterator[str]:
    for text in sample:
        advance(len(text.encode()))
        yield text


def _sample(corpus: Artifact, mix: dict[str, float], budget: float) -> Iterator[str]:
    """About `budget` bytes of training text, each source in proportion to its share.

    Documents are picked at equal distances, so the sample is the same each time and does not favour a file's
    beginning. A source that is too small for its share is repeated, since pair counts follow the mix, too.
    """
    for source, share in mix.items():
        size = corpus.manifest["counts"][source]["train"]["bytes"]
        rate = budget * share / size
        for index, text in enumerate(texts(corpus, source, "train")):
            for _ in range(int((index + 1) * rate) - int(index * rate)):
                yield text


def _existing(use: str, lab: Path) -> Artifact:
    """The artifact of a tokenizer that a recipe names: an artifact or run of this lab, a file or a directory."""
    artifact = lab / "artifacts" / use
    if artifact.is_dir() and use.startswith("tokenizer-"):
        return load(artifact)
    path = Path(use).expanduser()
    if (lab / "runs" / use / FILE).is_file():
        path = lab / "runs" / use
    if path.is_dir():
        path /= FILE
    if not path.is_file():
        what = f"tokenizer.use = {use} is no file, no directory with a {FILE}, and no artifact or run of this lab"
        raise GroundupError("bad-tokenizer", what, "`groundup ls` lists the runs")
    content = sha256(path)
    for manifest in sorted((lab / "artifacts").glob("tokenizer-*/manifest.json")):
        known = json.loads(manifest.read_bytes())
        if known["files"][FILE]["sha256"] == content:
            return load(manifest.parent)  # the same bytes: what was packed with it stays usable
    encoding = open_tokenizer(path)

    def fill(directory: Path) -> dict[str, Any]:
        write_atomic(directory / FILE, path.read_bytes())
        return {"counts": {"vocab_size": encoding.vocab_size}}

    return make(lab, "tokenizer", VERSION, {"sha256": content}, [], fill)


def of_run(run: Run) -> Encoding:
    """The tokenizer of a run: its own copy."""
    return open_tokenizer(run.path / FILE)
