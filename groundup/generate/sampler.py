"""Texts from a model and a recipe's `sample`: what training, judging and chatting call."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from groundup.errors import GroundupError
from groundup.generate import room
from groundup.generate.engine import Piece, Prompt, write
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.tokens.encoding import UNKNOWN, Encoding
from groundup.tokens.spelling import show, spellings
from groundup.train.precision import Device


@dataclass
class Written:
    """A text that is being written. `continuation` is what follows the prompt."""

    prompt: str
    seed: int
    start: list[int]  # the tokens of the prompt, behind the end-of-text token with which every document begins
    continuation: str = ""
    tokens: list[int] = field(default_factory=list)  # of the continuation, without the end of text
    ended: str | None = None  # end: by the model; stop: by a stop string; length: max_tokens; None: not yet
    moved: bool = False  # whether it outgrew the model's context
    logprobs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.prompt + self.continuation


class Writer:
    """A model that writes. captured: as for the Decoder; worth its while for a model that writes much."""

    def __init__(self, model: Transformer, encoding: Encoding, device: Device, captured: bool = False) -> None:
        self.model, self.encoding, self.device, self.captured = model, encoding, device, captured
        self.spellings = spellings(encoding)

    def begin(self, options: Sample, top: int | None = None) -> list[Written]:
        """The texts that `options` ask for: `samples` for each prompt, each with a seed of its own.

        Equal draws make texts look alike, so the seeds count on from `options.seed`. top: as it will be for `write`.
        Raises GroundupError `bad-prompt`, and `sample-too-large` for what does not fit into memory.
        """
        starts = [start(self.encoding, prompt, self.model.config.context) for prompt in options.prompts]
        count, longest = len(starts) * options.samples, max(map(len, starts))
        room.check(self.model.config, options, count, longest, self.device, top)
        pairs = [pair for pair in zip(options.prompts, starts, strict=True) for _ in range(options.samples)]
        return [Written(prompt, (options.seed + number) % 2**63, start) for number, (prompt, start) in enumerate(pairs)]

    def write(self, texts: list[Written], options: Sample, top: int | None = None) -> Iterator[tuple[Written, Piece]]:
        """Go on with texts that were begun, or written before; each piece is added to its text before it is given out.

        top: keep the log-probability of each token, and those of so many likeliest ones.
        Raises GroundupError `not-finite`.
        """
        prompts = [Prompt([*text.start, *text.tokens], text.seed, self.whole(text)) for text in texts]
        pieces = write(self.model, prompts, options, self.spellings, self.encoding.end, self.device, top, self.captured)
        for piece in pieces:
            text = texts[piece.row]
            text.continuation += piece.text
            text.ended, text.moved = piece.ended, piece.moved
            if piece.ended != "end":
                text.tokens.append(piece.token)
            if piece.logprob is not None:
                text.logprobs.append(self._logprobs(piece))
            yield text, piece

    def whole(self, text: Written) -> bytes:
        """Make of a text that is to go on what the model reads of it, with a stop string that ended it; gives the bytes
        of a last character that its tokens have only begun."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text.continuation = decoder.decode(b"".join(self.spellings[token] for token in text.tokens))
        return decoder.getstate()[0]

    def _logprobs(self, piece: Piece) -> dict[str, Any]:
        top = [{"id": id, "token": self.name(id), "logprob": logprob} for id, logprob in piece.top]
        return {"id": piece.token, "token": self.name(piece.token), "logprob": piece.logprob, "top": top}

    def name(self, token: int) -> str:
        """A token as a reader sees it."""
        return show(self.spellings[token]) or str(self.encoding.tokenizer.id_to_token(token))


def start(encoding: Encoding, prompt: str, context: int) -> list[int]:
    """The tokens that a text begins with. Raises GroundupError `bad-prompt`."""
    ids = [encoding.end, *encode(encoding, prompt)]
    if len(ids) > context:
        what = f"the prompt has {len(ids) - 1:,} tokens, and the model's context has room for {context - 1:,}"
        raise GroundupError("bad-prompt", what, "shorten the prompt")
    return ids


def encode(encoding: Encoding, prompt: str) -> list[int]:
    """The prompt's tokens. Raises GroundupError `bad-prompt` for what is no Unicode."""
    if not prompt.isprintable() and any("\ud800" <= character <= "\udfff" for character in prompt):
        raise GroundupError("bad-prompt", "the prompt is not valid Unicode text", "type it in UTF-8")
    return encoding.encode(prompt)


def unreadable(writer: Writer, prompts: list[str]) -> list[str]:
    """A line about the characters of the prompts that the vocabulary cannot spell, if there are any."""
    encoding, found = writer.encoding, dict[str, None]()
    if encoding.unknown is not None:
        for prompt in prompts:
            found |= {one: None for one in prompt if encoding.unknown in encode(encoding, one)}
    return (
        [f"note: the vocabulary cannot spell {''.join(found)!r}: the model reads {UNKNOWN} for each"] if found else []
    )


def outgrown(writer: Writer, what: str) -> str:
    """The line that says that texts have become longer than the model can see."""
    context = writer.model.config.context
    return f"note: {what} outgrew the model's context of {context:,} tokens: from there on it saw the last " + (
        f"{context // 2 + 1:,} to {context:,}"
    )


def in_order(texts: list[Written], pieces: Iterator[tuple[Written, Piece]]) -> Iterator[tuple[Written, str]]:
    """What can be shown when texts that are written side by side are read one after the other.

    The first text that is not finished is given out as it grows; those behind it wait for it. A text that is finished
    ends with an empty string.
    """
    place, shown = 0, 0
    for _ in pieces:
        while place < len(texts):
            text = texts[place]
            if len(text.continuation) > shown:
                yield text, text.continuation[shown:]
                shown = len(text.continuation)
            if text.ended is None:
                break
            yield text, ""
            place, shown = place + 1, 0


def complete(model: Transformer, encoding: Encoding, prompt: str, options: Sample, device: Device) -> str:
    """The prompt and what the model writes after it, up to the end of the text or `options.max_tokens`.

    Raises GroundupError `bad-prompt`, `sample-too-large`, `not-finite`.
    """
    mine = options.model_copy(update={"prompts": [prompt], "samples": 1})
    return complete_all(model, encoding, mine, device)[0]["text"]


def complete_all(model: Transformer, encoding: Encoding, options: Sample, device: Device) -> list[dict[str, Any]]:
    """A row for each text, with its prompt, settings and seed. Raises as `complete` does."""
    return write_all(Writer(model, encoding, device), options)


def write_all(writer: Writer, options: Sample) -> list[dict[str, Any]]:
    """The same by a writer that is there."""
    texts = writer.begin(options)
    for _ in writer.write(texts, options):
        pass
    return [row(text, options) for text in texts]


def row(text: Written, options: Sample) -> dict[str, Any]:
    """A text as the record of a run has it."""
    settings = options.model_dump(exclude={"prompts", "samples", "max_tokens", "batch", "seed"})
    return {"prompt": text.prompt, "text": text.text, **settings, "seed": text.seed, "ended": text.ended}
