"""From bytes as they came to text that a tokenizer may see. Pure functions."""

import re
import unicodedata

LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")
TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
BLANK_LINES = re.compile(r"\n{3,}")

# WikiText puts spaces around punctuation and ` @-@ ` where a hyphen joined two words.
MARKS = re.compile(r" @([-,.])@ ")
CLOSING = re.compile(r"(?<![=]) (\.(?!\.)|[,;:!?)\]%]|'(?:s|m|d|t|ll|re|ve)\b|n't\b)")
OPENING = re.compile(r"([(\[]) ")
QUOTED = re.compile(r'" ([^"\n]*?) "')


def decode(raw: bytes) -> tuple[str, bool]:
    """Text of a document and whether every byte of it could be decoded.

    UTF-8, or UTF-16 if it begins with that byte order mark. Bytes that are neither become U+FFFD.
    """
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding), True
    except UnicodeDecodeError:
        return raw.decode(encoding, errors="replace"), False


def normalise(text: str) -> str:
    """Unicode NFC, `\\n` for every line end, no control characters, no spaces at line ends, at most one blank line.

    Idempotent.
    """
    text = unicodedata.normalize("NFC", LINE_END.sub("\n", text))
    text = TRAILING.sub("", CONTROL.sub("", text))
    return unicodedata.normalize("NFC", BLANK_LINES.sub("\n\n", text)).strip()


def detokenise(text: str) -> str:
    """Undo WikiText's tokenisation: ` @-@ `, spaces around punctuation, spaces inside quotation marks."""
    text = MARKS.sub(r"\1", text)
    text = QUOTED.sub(r'"\1"', text)
    return OPENING.sub(r"\1", CLOSING.sub(r"\1", text))
