"""A groundup model for lm-eval, so that any of its tasks runs on a checkpoint. Needs the extra: groundup[eval].

Numbers are those of lm-eval's own `hf` model on the exported checkpoint: a text without a context is predicted from
end-of-text, one with a context begins with that; what is too long loses its beginning. Unlike there, requests with the
same context are computed together, and a prompt that leaves no room for an answer keeps at least half of the context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from groundup.console import say
from groundup.evaluate.likelihood import Option, likelihoods
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.train.precision import Device

MOST_NEW = 256  # tokens that are generated where a task does not say how many
MOST_TOGETHER = 2  # contexts' worth of tokens in a row: its mask and its attention grow with their square


@dataclass(frozen=True)
class _Prompt:
    ids: list[int]
    most: int  # tokens that may be written behind it
    cut: bool


class GroundupLM(TemplateLM):
    """An `lm_eval.api.model.LM` over a model and its tokenizer."""

    def __init__(self, model: Transformer, encoding: Encoding, device: Device) -> None:
        super().__init__()
        self.model, self.encoding, self.on = model, encoding, device

    @property
    def eot_token_id(self) -> int:
        return self.encoding.end

    @property
    def max_length(self) -> int:
        return self.model.config.context

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        return self.encoding.encode(string)

    def _loglikelihood_tokens(self, requests: list[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy decoding gives it) of each (text, context ids, continuation ids)."""
        owners: dict[tuple[tuple[int, ...], int], list[int]] = {}  # equal requests are done once, so they tie exactly
        for number, (_, context, continuation) in enumerate(requests):
            ids = (*context, *continuation)[-(self.max_length + 1) :]
            owners.setdefault((ids, max(1, len(ids) - len(continuation))), []).append(number)
        numbers = list(owners.values())
        options = [Option(list(ids), first) for ids, first in owners]
        groups = _together(options, MOST_TOGETHER * self.max_length)
        items = [[options[member] for member in group] for group in groups]
        found: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        for group, done in likelihoods(self.model, items, self.on, self.encoding.unknown):
            for member, one in zip(groups[group], done, strict=True):
                for number in numbers[member]:
                    found[number] = (-one.nats, one.greedy)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        windows, owners = [], []
        for number, request in enumerate(requests):
            ids = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, 1):
                windows.append((None, *make_disjoint_window(window)))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, (value, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[number] += value
        return totals

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        prompts = [self._prompt(*request.args) for request in requests]
        if cut := sum(prompt.cut for prompt in prompts):
            room = f"the model's context of {self.max_length} tokens"
            say(f"lm-eval: {cut} of {len(prompts)} prompts lost their beginning: {room} has no room for all of them")
        return [self._generate(prompt, request.args[1]) for prompt, request in zip(prompts, requests, strict=True)]

    def _prompt(self, context: str, options: dict[str, Any]) -> _Prompt:
        """What of a context is shown: new tokens get what it leaves free, or half of the room where that is more."""
        ids = self.encoding.encode(context) or [self.encoding.end]
        free = max(self.max_length - len(ids), self.max_length // 2)
        most = min(int(options.get("max_gen_toks", MOST_NEW)), free)
        kept = ids[-(self.max_length - most) :]
        return _Prompt(kept, most, len(kept) < len(ids))

    @torch.no_grad()
    def _generate(self, prompt: _Prompt, options: dict[str, Any]) -> str:
        """What the model writes behind a prompt, up to the first of the strings that end it. Greedy, as lm-eval's
        tasks ask for; where one asks for a temperature, tokens are drawn with seed 0."""
        until = options.get("until") or []
        until = [until] if isinstance(until, str) else until
        temperature = float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0
        random = torch.Generator().manual_seed(0)
        written: list[int] = []
        self.model.eval()
        while len(written) < prompt.most:
            window = torch.tensor([prompt.ids + written], device=self.on.device)
            with self.on.autocast():
                logits = self.model(window, last_only=True)[0, -1].float().cpu()
            if temperature:
                token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=random))
            else:
                token = int(logits.argmax())
            if token == self.encoding.end:
                break
            written.append(token)
            text = self.encoding.decode(written)
            if ends := [place for stop in until if stop and (place := text.find(stop)) >= 0]:
                return text[: min(ends)]
        return self.encoding.decode(written)


def _together(options: Sequence[Option], most: int) -> list[list[int]]:
    """Numbers of the options that are computed in one row: those with the same context, as far as `most` tokens go.

    A context of one token saves nothing, and lm-eval gives end-of-text to every sentence that has none: those stay
    alone.
    """
    groups: list[list[int]] = []
    sizes: list[int] = []
    newest: dict[tuple[int, ...], int] = {}
    for number, option in enumerate(options):
        context, new = tuple(option.ids[: option.first]), len(option.ids) - option.first
        at = newest.get(context)
        if at is None or len(context) == 1 or sizes[at] + new > most:
            at = newest[context] = len(groups)
            groups.append([])
            sizes.append(len(context))
        groups[at].append(number)
        sizes[at] += new
    return groups
