"""A tokenizer ready for use: text to ids and back, without loss, and the bytes that each token stands for.

Special tokens have the same names and ids in every run. Text that looks like one is encoded as text, so no document
can forge the end of a document.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from groundup.errors import GroundupError
from groundup.store.files import LARGEST_JSON, parse_json, read_bounded

FILE = "tokenizer.json"
CONFIG = "tokenizer_config.json"  # what transformers wants to know besides
END, PAD, UNKNOWN = "<|endoftext|>", "<|pad|>", "<|unk|>"  # ids 0, 1 and, for the kinds that need it, 2

MOST_STEPS, MOST_GROWTH = 16, 64  # of a part of tokenizer.json: far more than known ones have

PART = 3_000  # characters
BREAK = re.compile(r"\n(?=\S)")

# Text that a damaged or lossy tokenizer changes: white space, marks that combine, special tokens' names, every byte.
HARD = (
    "  two spaces,\ttab\r\n\n\n and trailing ",
    "I'm sure they'll say it's 3,141.59 or 1/2 (about 2024-11-25).",
    f"{END}{PAD}{UNKNOWN} <0x41> \u2581 \u0120",
    "e\u0301 \u00e9 \ufb01 \uff21 \u212b",  # normalisation would change these
    "na\u00efve \u201cquotes\u201d \u2014 \u6771\u4eac \u0645\u0631\u062d\u0628\u0627 \U0001f469\u200d\U0001f680",
    "".join(map(chr, range(0x100))),
)


@dataclass(frozen=True)
class Encoding:
    """A tokenizer with what its users need to know of it."""

    tokenizer: Tokenizer
    end: int  # id of the end-of-text token, which also begins a text
    token_bytes: np.ndarray  # (vocabulary,) int64: UTF-8 bytes that each token stands for; 0 for special tokens
    unknown: int | None = None  # id of the token for what the vocabulary cannot spell; None where it spells all
    cuttable: bool = False  # whether no token spans a line end and what follows

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """A text in parts that encode to the same ids as the whole, and whether each is the last: see `cut`."""
        if not self.cuttable:
            yield text, True
            return
        parts = list(cut(text))
        yield from zip(parts, [False] * (len(parts) - 1) + [True], strict=True)

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)


def pieces(digits: int) -> str:
    """The rule by which text is cut into pieces, no token spanning two, as a regular expression.

    Contractions; a word with the one space or mark before it; up to `digits` digits; marks with the line ends behind
    them; white space. With 3 digits these are the pieces of Llama 3, with 1 those of Qwen 2 and 3: transformers,
    llama.cpp and gigatoken know both.
    """
    number = r"\p{N}" if digits == 1 else rf"\p{{N}}{{1,{digits}}}"
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        rf"{number}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def cut(text: str) -> Iterator[str]:
    """A text in parts of some `PART` characters, cut behind line ends, where no piece of `pieces` crosses.

    tokenizers works on the texts of a batch side by side, and on a long one ever more slowly.
    """
    start = 0
    while len(text) - start > PART:
        end = BREAK.search(text, start + PART)
        if end is None:
            break
        yield text[start : end.end()]
        start = end.end()
    yield text[start:]


def open_tokenizer(path: Path) -> Encoding:
    """Read a tokenizer.json.

    Raises GroundupError `bad-tokenizer` unless it is whole, has an end-of-text token, and gives back all text as it
    was (or, where it has an unknown token, all text that its alphabet spells).
    """
    fix = "name a tokenizer.json of one of groundup's kinds, or of another byte-level BPE"
    try:
        raw = read_bounded(path, LARGEST_JSON)
        written = parse_json(raw)
        _refuse_explosive(written)
        tokenizer = Tokenizer.from_str(raw.decode())
        tokenizer.no_padding()  # a library's setting for its own batches: here it would add tokens to a text,
        tokenizer.no_truncation()  # or take some away
        unknown_name = written["model"].get("unk_token") or _unigram_unknown(written["model"])
    except (KeyboardInterrupt, SystemExit, OSError):
        raise
    except BaseException as error:  # the library raises bare Exception on a damaged file, or panics, which is neither
        raise GroundupError("bad-tokenizer", f"{path} cannot be read: {error}", fix) from None
    tokenizer.encode_special_tokens = True  # text that looks like a special token stays text
    names: dict[int, str] = {id: name for name, id in tokenizer.get_vocab(with_added_tokens=True).items()}
    end = tokenizer.token_to_id(END)
    if end is None:
        problem: str | None = f"has no {END} token"
    elif sorted(names) != list(range(len(names))):
        problem = f"has {len(names):,} tokens whose ids are not 0 to {len(names) - 1:,}"
    else:
        special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        lengths = _token_bytes(written.get("decoder"), names, special)
        unknown = tokenizer.token_to_id(unknown_name) if unknown_name and not _spells_bytes(written) else None
        ours = any(json.dumps(pieces(digits)) in json.dumps(written.get("pre_tokenizer")) for digits in (1, 3))
        encoding = Encoding(tokenizer, end, lengths, unknown, ours)
        problem = _loses(encoding)
    if problem is not None:
        raise GroundupError("bad-tokenizer", f"{path} {problem}", fix)
    return encoding


def _refuse_explosive(written: dict[str, Any]) -> None:
    """Raise ValueError where steps one behind the other could make a short text too long for memory: each byte-level
    step doubles what is not ASCII, and each replacement may be longer than what it replaces."""
    for part in ("normalizer", "pre_tokenizer", "decoder", "post_processor"):
        steps = list(_steps(written.get(part)))
        words = [step.get(key) for step in steps for key in ("content", "prepend")]
        growth = math.prod(len(word) for word in words if isinstance(word, str) and word)
        if (
            len(steps) > MOST_STEPS
            or sum(step.get("type") == "ByteLevel" for step in steps) > 1
            or growth > MOST_GROWTH
        ):
            raise ValueError(f"its {part} has {len(steps)} steps that could make a text very long")


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """The steps of a part, also of those inside sequences."""
    if isinstance(part, list):
        for one in part:
            yield from _steps(one)
    elif isinstance(part, dict):
        yield part
        for key in ("normalizers", "pretokenizers", "decoders", "processors"):
            yield from _steps(part.get(key))


def _unigram_unknown(model: dict[str, Any]) -> str | None:
    number = model.get("unk_id")
    return None if number is None else str(model["vocab"][number][0])


def _spells_bytes(written: dict[str, Any]) -> bool:
    """Whether every text has a spelling: by bytes, or by characters with bytes to fall back on."""
    decoder = written.get("decoder") or {}
    return decoder.get("type") == "ByteLevel" or bool(written["model"].get("byte_fallback"))


def _token_bytes(decoder: Any, names: dict[int, str], special: set[int]) -> np.ndarray:
    """UTF-8 bytes of each token."""
    byte_level = isinstance(decoder, dict) and decoder.get("type") == "ByteLevel"

    def size(id: int, name: str) -> int:
        if id in special:
            return 0
        if byte_level:
            return len(name)  # each character of the name stands for one byte
        return 1 if len(name) == 6 and name.startswith("<0x") else len(name.encode())

    return np.array([size(id, names[id]) for id in range(len(names))], dtype=np.int64)


def _loses(encoding: Encoding) -> str | None:
    """How the tokenizer changes text, or None."""
    for text in HARD:
        try:
            ids = encoding.encode(text)
            if encoding.unknown in ids:
                continue
            same, size = encoding.decode(ids) == text, int(encoding.token_bytes[ids].sum())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # as above
            return f"cannot encode {text[:20]!r}: {error}"
        if not same or size != len(text.encode()):
            return f"does not give back {text[:20]!r} as it was"
    return None
