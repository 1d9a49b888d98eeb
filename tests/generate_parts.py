"""What tests of generation begin with: bytes as tokens, and a writer that keeps nothing from step to step."""

from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from groundup.generate.draw import draw, draws, penalise
from groundup.generate.engine import Prompt, window
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.tokens.encoding import END, PAD, Encoding, open_tokenizer
from groundup.train.precision import choose

CPU = choose("cpu", "fp32")


def byte_encoding(folder: Path) -> Encoding:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate([END, PAD, *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END, PAD])
    tokenizer.save(str(folder / "tokenizer.json"))
    return open_tokenizer(folder / "tokenizer.json")


@torch.no_grad()
def uncached(model: Transformer, prompts: list[Prompt], options: Sample, end: int) -> list[list[int]]:
    """What each text goes on with when its whole window goes through `model` anew for every token."""
    texts = [list(prompt.ids) for prompt in prompts]
    uniform = [draws(prompt.seed) for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    while going:
        windows = [texts[row][window(len(texts[row]), model.config.context) :] for row in going]
        longest = max(map(len, windows))
        logits = model(torch.tensor([part + [0] * (longest - len(part)) for part in windows]))
        for row, part, every in zip(list(going), windows, logits, strict=True):
            mine = limited(every[len(part) - 1][None], texts[row], options, end)
            token = int(draw(mine, options, torch.tensor([next(uniform[row])]).double()))
            if token != end:
                texts[row].append(token)
                written[row].append(token)
            if token == end or len(written[row]) == options.max_tokens:
                going.remove(row)
    return written


def limited(logits: Tensor, ids: list[int], options: Sample, end: int) -> Tensor:
    """Logits (1, V) under the repetition penalty and without sequences that the text already holds."""
    text = ids[1:] if ids[0] == end else ids
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    seen[0, text] = True
    logits = penalise(logits, seen, options.repetition_penalty)
    banned = list(repeated(text, options.no_repeat_ngram))
    logits[0, banned] = -torch.inf
    return logits


def repeated(text: list[int], n: int) -> Iterator[int]:
    """Tokens that would end a sequence of n tokens which the text already holds."""
    for start in range(len(text) - n + 1 if n else 0):
        if text[start : start + n - 1] == text[len(text) - n + 1 :]:
            yield text[start + n - 1]
