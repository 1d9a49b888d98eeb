"""Rules that tell text from what is no text, or bad text. A document that breaks one is left out, with the reason.

Re-implemented from the papers that REASONS names. Thresholds are fields of the recipe (data.filters), with the papers'
numbers as defaults; those of the repetition rules stand in repetition.py.

- Gopher: Rae et al. 2021, Scaling Language Models: Methods, Analysis & Insights from Training Gopher, appendix A.1.
- C4: Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, 2.2.
  What it says about lines (cookies, JavaScript) is the rule `boilerplate`, which takes out lines, not documents. Its
  list of bad words is not used: it takes out texts by and about minorities more often than others (Dodge et al. 2021).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from groundup.data.language import probability
from groundup.data.ngrams import canonical
from groundup.data.repetition import Finding, find_repetition
from groundup.errors import GroundupError
from groundup.recipe.schema import Filters


@dataclass(frozen=True)
class Reason:
    rule: str
    text: str
    origin: str


@dataclass(frozen=True)
class Verdict:
    reason: str
    """A key of REASONS."""
    detail: str
    """What was measured."""


GOPHER, C4 = "Gopher (Rae et al. 2021, appendix A)", "C4 (Raffel et al. 2020, section 2.2)"
TABLE = "Gopher (Rae et al. 2021, table A1)"
OURS = "groundup's own, from no paper"
REASONS: dict[str, Reason] = {  # in the order in which they are looked for
    "too-short": Reason("length", "Fewer words than filters.min_words.", f"{GOPHER}: 50"),
    "too-long": Reason("length", "More words than filters.max_words.", f"{GOPHER}: 100,000"),
    "word-length": Reason("length", "Its mean word is too short or long for prose.", f"{GOPHER}: 3 to 10 characters"),
    "symbols": Reason("symbols", "Too many hash signs or too many ellipses for its words.", f"{GOPHER}: 0.1 of either"),
    "bullets": Reason("symbols", "Nearly all lines begin with a bullet point.", f"{GOPHER}: 90 %"),
    "ellipsis-lines": Reason("symbols", "Many lines end in an ellipsis: teasers of other pages.", f"{GOPHER}: 30 %"),
    "few-letters": Reason("symbols", "Too many words without a letter: tables, lists of numbers.", f"{GOPHER}: 80 %"),
    "digits": Reason("symbols", "Too large a part of the characters are digits.", OURS),
    "stop-words": Reason("symbols", "English text without the commonest English words.", f"{GOPHER}: 2 of 8 words"),
    "lorem-ipsum": Reason("c4", "Holds the printer's dummy text `lorem ipsum`.", C4),
    "curly-bracket": Reason("c4", "Holds a curly bracket, which code has and prose has not.", C4),
    "few-sentences": Reason("c4", "Has fewer sentences than filters.min_sentences.", f"{C4}: 5, in its code 3"),
    "repeated-lines": Reason("repetition", "Many of its lines stand in it more than once.", TABLE),
    "repeated-paragraphs": Reason("repetition", "Many of its paragraphs stand in it more than once.", TABLE),
    "top-ngram": Reason("repetition", "One run of 2 to 4 words makes up much of it.", TABLE),
    "repeated-ngrams": Reason("repetition", "Much of it is runs of 5 to 10 words that come again.", TABLE),
    "other-language": Reason("language", "Not in the language of its source.", "fastText lid.176 (Joulin et al. 2016)"),
}  # fmt: skip

BULLETS = ("•", "●", "▪", "‣", "◦", "·")
STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])
STOP_WORDS_EARLY = 50  # words, among which most texts have the stop words that are wanted
SPACE = bytes(code for code in range(128) if chr(code).isspace())
NO_LETTER_OR_SPACE = bytes(code for code in range(128) if not chr(code).isalpha() and code not in SPACE)
NO_SPACE = bytes(code not in SPACE for code in range(256))
SPACE_BEYOND_ASCII = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
BEYOND_ASCII_NO_LETTER = re.compile(r"[^\x00-\x7f\w\s]+")
# A mark, and what may close behind it; where words are written without spaces, the mark alone. That the pattern begins
# with a set of characters, not with a choice of patterns, makes the search several times as fast.
SENTENCE_END = re.compile(r"""[.!?…؟।。！？](?:(?<=[。！？])|["'”’»)\]*_]*(?=\s|$))""")


def judge(
    texts: Sequence[str],
    rules: Sequence[str],
    limits: Filters,
    language: str | None,
    counts: Sequence[int] | None = None,
) -> list[Verdict | None]:
    """The first of REASONS that each normalised text gives to leave it out, None where it keeps all rules.

    `rules` are names of recipe.schema.Rule; `boilerplate`, which changes texts, is not judged here. `language` is that
    of the source; `counts` are `count_words` of the texts, where they are known. Raises GroundupError
    `recipe-conflict` for the rule `language` without a language, `bad-value` for an unknown one.
    """
    if "language" in rules and language is None:
        fix = "say data.sources.NAME.language, or leave out the rule"
        raise GroundupError("recipe-conflict", "the rule `language` needs to know the source's language", fix)
    english = language is not None and language.lower().split("-")[0] == "en"
    counts = list(map(count_words, texts)) if counts is None else counts
    found = [_judge_alone(text, count, rules, limits, english) for text, count in zip(texts, counts, strict=True)]
    if "repetition" in rules:
        left = [index for index, finding in enumerate(found) if finding is None]
        for index, finding in zip(left, find_repetition([texts[index] for index in left]), strict=True):
            found[index] = finding
    if "language" in rules and language is not None:
        for index, text in enumerate(texts):
            found[index] = found[index] or _language(text, language, limits)
    return [finding and Verdict(*finding) for finding in found]


def count_words(text: str) -> int:
    """How many words white space separates: len(text.split()), but faster."""
    return _count_runs(_spaced(text).encode())


def _spaced(text: str) -> str:
    """The text with no space but that of ASCII, character for character."""
    return text if text.isascii() else SPACE_BEYOND_ASCII.sub(" ", text)


def _count_runs(raw: bytes, without: bytes = b"") -> int:
    """How many runs of bytes white space separates when some bytes are taken out."""
    word = np.frombuffer(b"\0" + raw.translate(NO_SPACE, without), bool)
    return int(np.count_nonzero(word[1:] > word[:-1]))


def _judge_alone(text: str, count: int, rules: Sequence[str], limits: Filters, english: bool) -> Finding | None:
    text = _spaced(text)
    return (
        ("length" in rules and _length(text, count, limits))
        or ("symbols" in rules and _symbols(text, count, limits, english))
        or ("c4" in rules and _c4(text, limits))
        or None
    )


def _length(text: str, count: int, limits: Filters) -> Finding | None:
    if count < limits.min_words:
        return "too-short", f"{count} words, at least {limits.min_words} wanted"
    if count > limits.max_words:
        return "too-long", f"{count:,} words, at most {limits.max_words:,} allowed"
    raw = text.encode()
    spaces = len(raw) - len(raw.translate(None, SPACE))
    mean = (len(text) - spaces) / max(count, 1)
    if count and not limits.min_word_length <= mean <= limits.max_word_length:
        span = f"{limits.min_word_length:g} to {limits.max_word_length:g}"
        return "word-length", f"{mean:.1f} characters in the mean word, {span} allowed"
    return None


def _symbols(text: str, count: int, limits: Filters, english: bool) -> Finding | None:
    if not count:
        return None
    hashes, ellipses = text.count("#"), text.count("...") + text.count("…")
    for symbols, name in ((hashes, "hash signs"), (ellipses, "ellipses")):
        if symbols / count > limits.max_symbols:
            return "symbols", f"{symbols} {name} in {count} words, at most {limits.max_symbols:.0%} allowed"
    if ellipses or any(map(text.__contains__, BULLETS)):
        lines = [line for line in text.split("\n") if line]
        begun = sum(line.lstrip().startswith(BULLETS) for line in lines)
        if begun / len(lines) > limits.max_bullet_lines:
            allowed = f"at most {limits.max_bullet_lines:.0%} allowed"
            return "bullets", f"{begun} of {len(lines)} lines begin with a bullet, {allowed}"
        ended = sum(line.endswith(("...", "…")) for line in lines)
        if ended / len(lines) > limits.max_ellipsis_lines:
            allowed = f"at most {limits.max_ellipsis_lines:.0%} allowed"
            return "ellipsis-lines", f"{ended} of {len(lines)} lines end in an ellipsis, {allowed}"
    raw = text.encode()
    plain = raw if text.isascii() else BEYOND_ASCII_NO_LETTER.sub("", text).encode()
    lettered = _count_runs(plain, NO_LETTER_OR_SPACE)
    if lettered / count < limits.min_alphabetic_words:
        wanted = f"at least {limits.min_alphabetic_words:.0%} wanted"
        return "few-letters", f"{lettered} of {count} words have a letter, {wanted}"
    digits = len(raw) - len(raw.translate(None, b"0123456789"))
    if digits / len(text) > limits.max_digits:
        allowed = f"at most {limits.max_digits:.0%} allowed"
        return "digits", f"{digits / len(text):.0%} of the characters are digits, {allowed}"
    if english and (stop := _stop_words(text, limits.min_stop_words)) < limits.min_stop_words:
        return "stop-words", f"{stop} of the 8 commonest words, at least {limits.min_stop_words} wanted"
    return None


def _stop_words(text: str, wanted: int) -> int:
    """How many of the stop words stand in the text, of which the beginning is enough for most."""
    early = len(STOP_WORDS.intersection(text.split(None, STOP_WORDS_EARLY)[:STOP_WORDS_EARLY]))
    return early if early >= wanted else len(STOP_WORDS.intersection(canonical(text).split()))


def _c4(text: str, limits: Filters) -> Finding | None:
    if "lorem ipsum" in text.lower():
        return "lorem-ipsum", "the text holds `lorem ipsum`"
    if "{" in text:
        return "curly-bracket", f"`{{` stands in the text, {text.count('{')} times"
    sentences = sum(1 for _ in islice(SENTENCE_END.finditer(text), limits.min_sentences))
    if sentences < limits.min_sentences:
        return "few-sentences", f"{sentences} sentences, at least {limits.min_sentences} wanted"
    return None


def _language(text: str, language: str, limits: Filters) -> Finding | None:
    sure, likeliest = probability(text, language)
    if sure >= limits.min_language:
        return None
    wanted = f"at least {limits.min_language:g} wanted"
    return "other-language", f"{language} with probability {sure:.2f} (likeliest: {likeliest}), {wanted}"
