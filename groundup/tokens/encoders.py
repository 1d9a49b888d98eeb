"""Whole batches of documents to ids: through gigatoken where it is installed and agrees, else through tokenizers."""

import json
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from groundup.console import say
from groundup.tokens.encoding import HARD, Encoding

Encode = Callable[[pa.Array], tuple[np.ndarray, np.ndarray]]
"""Texts (n,) to their ids, one behind the other, (N,) uint32, and the number of ids of each, (n,) int64."""

CHECKED = 2_000_000  # characters of text that both encoders must agree on


def choose(encoding: Encoding, sample: list[str]) -> tuple[Encode, str]:
    """The fastest encoder that gives the ids of tokenizers on HARD and on `sample`, and its name and version."""
    slow = f"tokenizers {version('tokenizers')}"
    try:
        fast = _gigatoken(encoding)
        name = f"gigatoken {version('gigatoken')}"
    except ImportError:
        return _tokenizers(encoding), slow
    except Exception as error:  # it says in its own way which tokenizers it does not know
        why = " ".join(str(error).split())[:100]
        say(f"encode: gigatoken does not know this kind of tokenizer ({why}); tokenizers encodes")
        return _tokenizers(encoding), slow
    texts, size = [*HARD], 0
    for text in sample:
        texts.append(text)
        size += len(text)
        if size > CHECKED:
            break
    try:
        same = all(map(np.array_equal, fast(pa.array(texts)), _tokenizers(encoding)(pa.array(texts))))
    except BaseException as error:  # a panic of its Rust code is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        same = False
    if same:
        return fast, name
    say("warning: encode: gigatoken gives other ids than tokenizers on a sample of this text; tokenizers encodes")
    return _tokenizers(encoding), slow


def _tokenizers(encoding: Encoding) -> Encode:
    def encode(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        parts = [part for text in texts.to_pylist() for part in encoding.parts(text)]
        ids = [
            np.array(one.ids, np.uint32) for one in encoding.tokenizer.encode_batch_fast([text for text, _ in parts])
        ]
        lengths, lengths_so_far = [], 0
        for (_, last), one in zip(parts, ids, strict=True):
            lengths_so_far += len(one)
            if last:
                lengths.append(lengths_so_far)
                lengths_so_far = 0
        return np.concatenate([np.empty(0, np.uint32), *ids]), np.array(lengths, np.int64)

    return encode


def _gigatoken(encoding: Encoding) -> Encode:
    """Raises ImportError where it is not installed, and whatever it raises for a tokenizer that it does not know."""
    import awkward
    import gigatoken

    written = json.loads(encoding.tokenizer.to_str())
    written["added_tokens"] = []  # it would find their names in the text
    tokenizer = gigatoken.Tokenizer.from_json(json.dumps(written))

    def encode(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        texts = texts.cast(pa.large_string())
        if not len(texts):
            return np.empty(0, np.uint32), np.empty(0, np.int64)
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        characters = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
        content = awkward.contents.NumpyArray(characters, parameters={"__array__": "char"})
        strings = awkward.contents.ListOffsetArray(
            awkward.index.Index64(ends), content, parameters={"__array__": "string"}
        )
        ids = tokenizer.encode_batch(awkward.Array(strings))
        return np.asarray(awkward.flatten(ids)), np.asarray(awkward.num(ids))

    return encode
