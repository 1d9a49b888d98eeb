"""The kinds of tokenizer, each learned from a sample and written as one tokenizer.json that transformers reads.

    bpe          byte-level BPE (Sennrich et al. 2016; on bytes: Radford et al. 2019)
    unicode-bpe  BPE on characters; what is rarer than the alphabet is spelt in bytes
    unigram      the unigram language model (Kudo 2018), with the same alphabet and bytes
    bytes        one token for each byte
    characters   one token for each character of the sample; another character is <|unk|>

All cut text by the same rule first, so a token never spans two words, nor a number and what stands around it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from groundup.errors import GroundupError
from groundup.tokens.encoding import END, PAD, UNKNOWN, cut, pieces

Kind = Literal["bpe", "unicode-bpe", "unigram", "bytes", "characters"]
Sample = Callable[[], Iterator[str]]  # the sample's texts, from the beginning at each call

COVERAGE = 0.9995  # share of the sample's characters that the alphabet spells: SentencePiece's default
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LONGEST = 16  # characters of a unigram piece, SentencePiece's default


def learn(kind: Kind, size: int, digits: int, sample: Sample) -> Tokenizer:
    """A tokenizer of `size` tokens (bytes: 258; characters: at most `size`) from a sample.

    `digits`: the longest run of digits that is one piece, 1 or 3. Raises GroundupError `vocabulary-too-large` where
    the sample does not support so many tokens.
    """

    def parts() -> Iterator[str]:
        for text in sample():
            yield from cut(text)

    split = pre_tokenizers.Split(Regex(pieces(digits)), "isolated")
    if kind in ("bpe", "bytes"):
        return _byte_level(kind, size, split, parts)
    if kind == "characters":
        return _characters(size, split, parts)
    return _unicode(kind, size, split, parts)


def _byte_level(kind: Kind, size: int, split: Any, sample: Sample) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    cut = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE(vocab=_numbered([END, PAD, *alphabet]), merges=[]))
        tokenizer.add_special_tokens([END, PAD])
        tokenizer.pre_tokenizer = cut
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = cut
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[END, PAD], initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(sample(), trainer)
        _require(size, tokenizer.get_vocab_size())
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _characters(size: int, split: Any, sample: Sample) -> Tokenizer:
    special = [END, PAD, UNKNOWN]
    alphabet = [character for character, _ in _count(sample()).most_common(max(0, size - len(special)))]
    vocabulary = _numbered([*special, *sorted(alphabet)])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN, fuse_unk=False))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _unicode(kind: Kind, size: int, split: Any, sample: Sample) -> Tokenizer:
    """BPE or unigram on the commonest characters; then the 256 bytes are put in behind the special tokens."""
    counts = _count(sample())
    rare = {ord(character): None for character in _rare(counts)}
    room = size - len(BYTES)
    if len(counts) - len(rare) >= room:
        what = f"the text's {len(counts) - len(rare):,} common characters and the 256 bytes leave no room for words in"
        fix = "a larger tokenizer.vocab_size, or tokenizer.kind=bpe"
        raise GroundupError("vocabulary-too-small", f"{what} tokenizer.vocab_size = {size:,}", fix)

    def common() -> Iterator[str]:
        for text in sample():
            yield text.translate(rare)

    special = [END, PAD] if kind == "unicode-bpe" else [END, PAD, UNKNOWN]
    if kind == "unicode-bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = split
        trainer = trainers.BpeTrainer(vocab_size=room, special_tokens=special, show_progress=False)
        tokenizer.train_from_iterator(common(), trainer)
        written = json.loads(tokenizer.to_str())
        names = sorted(written["model"]["vocab"], key=written["model"]["vocab"].get)
        _require(size, len(names) + len(BYTES))
        written["model"]["vocab"] = _numbered([*special, *BYTES, *names[len(special) :]])
    else:
        written = _unigram(room - len(special), split, common)
        learned = written["model"]["vocab"]
        _require(size, len(learned) + len(special) + len(BYTES))
        below = min(score for _, score in learned) - 10  # never likelier than a piece that spells the same
        written["model"]["vocab"] = [*([name, 0.0] for name in special), *([name, below] for name in BYTES), *learned]
        written["model"]["unk_id"] = special.index(UNKNOWN)
    written["model"]["byte_fallback"] = True
    written["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    finished = Tokenizer.from_str(json.dumps(written))
    finished.add_special_tokens(special)
    return finished


def _unigram(room: int, split: Any, sample: Sample) -> dict[str, Any]:
    """The tokenizer as JSON, its vocabulary the `room` likeliest [piece, score] that the rule leaves whole.

    The library's trainer takes for pieces what recurs among *different* words, so of words cut from the marks around
    them it would never learn the common ones. It is given words with their marks, and more room; what then spans two
    pieces is left out.
    """
    asked = room
    while True:
        asked += asked // 2
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s*\S+|\s+"), "isolated")
        trainer = trainers.UnigramTrainer(
            vocab_size=asked, unk_token=UNKNOWN, special_tokens=[UNKNOWN], max_piece_length=LONGEST, show_progress=False
        )
        tokenizer.train_from_iterator(sample(), trainer)
        tokenizer.pre_tokenizer = split
        written = json.loads(tokenizer.to_str())
        learned = written["model"]["vocab"][1:]
        whole = [[name, score] for name, score in learned if len(split.pre_tokenize_str(name)) == 1]
        if len(whole) >= room or len(learned) + 1 < asked:
            break
    whole.sort(key=lambda item: (len(item[0]) > 1, -item[1]))  # the alphabet first: without it nothing can be spelt
    written["model"]["vocab"] = whole[:room]
    written["added_tokens"] = []
    return written


def _numbered(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _count(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts


def _rare(counts: Counter[str]) -> list[str]:
    """The rarest characters, which make up less than 1 - COVERAGE of the text together."""
    left = (1 - COVERAGE) * counts.total()
    rare = []
    for character, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        left -= count
        if left < 0:
            break
        rare.append(character)
    return rare


def _require(size: int, learned: int) -> None:
    if learned < size:
        what = f"the text supports {learned:,} tokens, not tokenizer.vocab_size = {size:,}"
        raise GroundupError("vocabulary-too-large", what, f"tokenizer.vocab_size={learned} or less, or more text")
