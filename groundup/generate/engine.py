"""Texts written side by side: prompts in, tokens out as they are drawn.

Which token a row gets depends on its own prompt, its own seed and the settings, not on the rows beside it. (Logits of
a batch and of a single row differ in their last digits, as matrix products of different shapes do; a draw that falls
between the two is one in about a million.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from groundup.errors import GroundupError
from groundup.generate.decoder import Decoder
from groundup.generate.draw import NOT_FINITE, Repeats, draw, draws, penalise
from groundup.generate.text import Text
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.train.precision import Device


def window(length: int, context: int) -> int:
    """Where the model begins to read a text of so many tokens: at 0 while the context holds them all.

    When it no longer does, the model goes on from the last half of the context, and so each time that is full again.
    Keys of rotary positions hold their position, and learned positions have no other, so a window that moved with
    every token would have to be read anew with every token; this one is read anew once in half a context. A text that
    is continued later has the window that it would have had.
    """
    move = context - context // 2
    return 0 if length <= context else -((context - length) // move) * move


@dataclass(frozen=True)
class Prompt:
    """A text to go on from, as token ids, at least one; the first is no text where it is the end-of-text token."""

    ids: list[int]
    seed: int
    tail: bytes = b""  # of a text that goes on: the beginning of a character that its tokens have not finished


@dataclass(frozen=True)
class Piece:
    """One token of one row, as it was drawn."""

    row: int
    token: int
    text: str  # what can be shown now
    ended: str | None = None  # end (the model's own), stop (a stop string), length
    moved: bool = False  # whether the window moved before it was drawn
    logprob: float | None = None  # ln p of the token in the model's own distribution, before any setting
    top: list[tuple[int, float]] = field(default_factory=list)  # likeliest tokens with ln p, likeliest first


@dataclass
class _Row:
    number: int
    ids: list[int]
    left: int
    uniform: Iterator[float]
    text: Text
    repeats: Repeats | None
    moved: bool = False


def write(
    model: Transformer,
    prompts: list[Prompt],
    options: Sample,
    spellings: list[bytes],
    end: int,
    device: Device,
    top: int | None = None,
    captured: bool = False,
) -> Iterator[Piece]:
    """Let the model go on from each prompt, `options.batch` at a time; pieces come as soon as they are drawn.

    end: the token that ends a text. top: also log-probabilities, and those of so many likeliest tokens (at each place).
    captured: as for Decoder. Raises GroundupError `not-finite`.
    """
    for first in range(0, len(prompts), options.batch):
        part = prompts[first : first + options.batch]
        rows = [_begin(first + number, prompt, options, spellings, end) for number, prompt in enumerate(part)]
        yield from _write_together(model, rows, options, end, device, top, captured)


def _begin(number: int, prompt: Prompt, options: Sample, spellings: list[bytes], end: int) -> _Row:
    text = prompt.ids[1:] if prompt.ids[0] == end else prompt.ids
    repeats = Repeats(options.no_repeat_ngram, text) if options.no_repeat_ngram else None
    stop = Text(spellings, options.stop, prompt.tail)
    return _Row(number, list(prompt.ids), options.max_tokens, draws(prompt.seed), stop, repeats)


def _write_together(
    model: Transformer, rows: list[_Row], options: Sample, end: int, device: Device, top: int | None, captured: bool
) -> Iterator[Piece]:
    context = model.config.context
    length = min(context, max(len(row.ids) + row.left for row in rows))
    decoder = Decoder(model, device, len(rows), length, captured)
    logits = decoder.prefill(list(range(len(rows))), [row.ids[window(len(row.ids), context) :] for row in rows])
    seen = _seen(rows, end, logits) if options.repetition_penalty != 1 else None
    live: list[_Row | None] = list(rows)  # None where a text has ended and its place in the batch is idle
    while True:
        tokens = _next(logits, live, options, seen)
        if seen is not None:
            seen.scatter_(1, tokens.clamp(min=0)[:, None], True)
        given = _alternatives(logits, tokens, top) if top is not None else None
        drawn: list[int] = tokens.tolist()
        for place, row in enumerate(live):
            if row is not None:
                yield _take(row, drawn[place], end, given[place] if given else None)
                if row.left == 0:
                    live[place] = None
        going = [place for place, row in enumerate(live) if row is not None]
        if not going:
            return
        if len(going) <= len(live) // 2 and not decoder.captured:  # the rest is worth a copy of its cache
            decoder.keep(going)
            live, tokens = [live[place] for place in going], tokens[going]
            seen = seen[going] if seen is not None else None
        logits = _advance(decoder, live, tokens.clamp(min=0), context)


def _advance(decoder: Decoder, live: list[_Row | None], tokens: Tensor, context: int) -> Tensor:
    """The logits after each row's newest token; rows whose window moves are read anew."""
    moving = [place for place, length in enumerate(decoder.lengths) if length == decoder.length]
    for place in moving:  # keep them from stepping out of the cache; what is written there is thrown away below
        decoder.lengths[place] = 0
    logits = decoder.step(tokens)
    anew = {place: row for place in moving if (row := live[place]) is not None}
    if anew:
        fresh = decoder.prefill(list(anew), [row.ids[window(len(row.ids), context) :] for row in anew.values()])
        logits = logits.index_copy(0, torch.tensor(list(anew), device=logits.device), fresh)
        for row in anew.values():
            row.moved = True
    return logits


def _seen(rows: list[_Row], end: int, logits: Tensor) -> Tensor:
    """Which tokens each text holds, (B, V). The end-of-text token that begins a text is none of it."""
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    for place, row in enumerate(rows):
        seen[place, row.ids[1:] if row.ids[0] == end else row.ids] = True
    return seen.to(logits.device)


def _next(logits: Tensor, live: list[_Row | None], options: Sample, seen: Tensor | None) -> Tensor:
    """The rows' next tokens (B,), NOT_FINITE where there is none."""
    if logits.device.type == "mps":  # which has no fp64
        return _next(logits.cpu(), live, options, None if seen is None else seen.cpu()).to(logits.device)
    if seen is not None:
        logits = penalise(logits, seen, options.repetition_penalty)
    if options.no_repeat_ngram:
        banned = [
            (place, token)
            for place, row in enumerate(live)
            if row is not None and row.repeats is not None
            for token in row.repeats.banned()
        ]
        if banned:
            places, tokens = torch.tensor(banned, device=logits.device).unbind(1)
            logits = logits.index_put((places, tokens), logits.new_tensor(-torch.inf))
    uniform = torch.tensor([next(row.uniform) if row is not None else 0.0 for row in live], dtype=torch.float64)
    return draw(logits, options, uniform.to(logits.device))


def _alternatives(logits: Tensor, tokens: Tensor, top: int) -> list[tuple[float, list[tuple[int, float]]]]:
    """For each row, ln p of its token and of the `top` likeliest ones."""
    logp = logits.log_softmax(-1)
    chosen = logp.gather(-1, tokens.clamp(min=0)[:, None]).squeeze(-1).tolist()
    values, ids = logp.topk(min(top, logp.shape[-1]))
    pairs = [list(zip(*both, strict=True)) for both in zip(ids.tolist(), values.tolist(), strict=True)]
    return list(zip(chosen, pairs, strict=True))


def _take(row: _Row, token: int, end: int, given: tuple[float, list[tuple[int, float]]] | None) -> Piece:
    """Add a token to its row, and say what that shows."""
    if token == NOT_FINITE:
        what = f"the model's output after {len(row.ids):,} tokens is no distribution (NaN or infinite)"
        raise GroundupError("not-finite", what, "its training went wrong: choose an earlier --checkpoint")
    logprob, top = given if given else (None, [])
    ended: str | None
    if token == end:
        ended, text = "end", row.text.finish()
    else:
        row.ids.append(token)
        row.left -= 1
        if row.repeats is not None:
            row.repeats.add(token)
        text = row.text.add(token)
        ended = "stop" if row.text.stopped else "length" if row.left == 0 else None
        if ended == "length":
            text += row.text.finish()
            ended = "stop" if row.text.stopped else "length"
    if ended is not None:
        row.left = 0
    return Piece(row.number, token, text, ended, row.moved, logprob, top)
