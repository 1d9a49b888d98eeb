"""What the tokens of a vocabulary spell: their bytes, how a reader sees them, what sort of text each is."""

import json
import unicodedata
from dataclasses import dataclass
from typing import Any

from groundup.tokens.encoding import Encoding

# The characters by which byte-level vocabularies name the bytes: a printable one names itself, the others are numbered
# from U+0100 on (Radford et al. 2019, GPT-2's bytes_to_unicode).
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {
    chr(0x100 + number): byte for number, byte in enumerate(byte for byte in range(0x100) if byte not in PRINTABLE)
}
SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥"}
SPECIAL, BYTE, PART = "special", "one byte", "part of a character"
CLASSES = (
    "letters behind a space",
    "letters without a space",
    "number",
    "marks",
    "white space",
    "letters, digits and marks together",
    "one character of several bytes",
    PART,
    BYTE,
    SPECIAL,
)


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer's tokens by id: `spelt` their UTF-8 bytes (none for a special token), `shown` what a reader sees."""

    encoding: Encoding
    spelt: list[bytes]
    shown: list[str]

    def split(self, text: str) -> dict[str, Any]:
        """A text with its ids, and its tokens as they are shown."""
        ids = self.encoding.encode(text)
        return {"text": text, "ids": ids, "tokens": [self.shown[id] for id in ids]}


def vocabulary(encoding: Encoding) -> Vocabulary:
    names, spelt = _names(encoding), spellings(encoding)
    return Vocabulary(encoding, spelt, [show(one) if one else name for name, one in zip(names, spelt, strict=True)])


def spellings(encoding: Encoding) -> list[bytes]:
    """The UTF-8 bytes of each token, none for a special one. One character may be spelt by several tokens."""
    decoder = json.loads(encoding.tokenizer.to_str()).get("decoder") or {}
    return [
        _bytes(name, decoder.get("type") == "ByteLevel") if size else b""
        for name, size in zip(_names(encoding), encoding.token_bytes, strict=True)
    ]


def _names(encoding: Encoding) -> list[str]:
    return [str(encoding.tokenizer.id_to_token(id)) for id in range(encoding.vocab_size)]


def _bytes(name: str, byte_level: bool) -> bytes:
    if byte_level and all(character in BYTE_OF for character in name):
        return bytes(BYTE_OF[character] for character in name)
    if not byte_level and len(name) == 6 and name.startswith("<0x"):
        return bytes([int(name[3:5], 16)])
    return name.encode()


def show(spelt: bytes) -> str:
    """Bytes so that each can be seen: signs for white space, ⟨E6⟩ for a byte that is no character by itself.

    ⟨U+200D⟩ stands for what has no picture or would turn round the text behind it.
    """
    shown = "".join(map(_visible, spelt.decode("utf-8", "surrogateescape")))
    return f"◌{shown}" if shown and unicodedata.category(shown[0])[0] == "M" else shown


def _visible(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape writes a byte
        return f"⟨{code - 0xDC00:02X}⟩"
    return f"⟨U+{code:04X}⟩" if unicodedata.category(character)[0] in "CZ" else character


def token_class(spelt: bytes) -> str:
    """Which of CLASSES a token belongs to."""
    if len(spelt) <= 1:
        return BYTE if spelt else SPECIAL
    try:
        text = spelt.decode()
    except UnicodeDecodeError:
        return PART
    body = text.removeprefix(" ")
    sorts = {unicodedata.category(character)[0] for character in body}
    if text.isspace():
        return "white space"
    if len(text) == 1:
        return "one character of several bytes"
    if sorts <= {"L", "M"}:
        return "letters behind a space" if body != text else "letters without a space"
    if sorts == {"N"}:
        return "number"
    return "letters, digits and marks together" if sorts & {"L", "N"} else "marks"
