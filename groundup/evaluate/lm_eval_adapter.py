"""A groundup model for lm-eval, so that any of its tasks runs on a checkpoint. Needs the extra: groundup[eval].

Numbers are those of lm-eval's own `hf` model on the exported checkpoint: a text without a context is predicted from
end-of-text, one with a context begins with that; what is too long loses its beginning. Unlike there, requests with the
same context are computed together.
"""

from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from groundup.evaluate.likelihood import Option, likelihoods
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.train.precision import Device

MOST_NEW = 256  # tokens that are generated where a task does not say how many


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
        groups: dict[tuple[int, ...], list[int]] = {}
        options = []
        for number, (_, context, continuation) in enumerate(requests):
            ids = [*context, *continuation][-(self.max_length + 1) :]
            options.append(Option(ids, max(1, len(ids) - len(continuation))))
            groups.setdefault(tuple(context), []).append(number)
        members = list(groups.values())
        found: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        items = [[options[number] for number in group] for group in members]
        for group, done in likelihoods(self.model, items, self.on, self.encoding.unknown):
            for number, one in zip(members[group], done, strict=True):
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
        return [self._generate(*request.args) for request in requests]

    @torch.no_grad()
    def _generate(self, context: str, options: dict[str, Any]) -> str:
        """What the model writes behind a context, up to the first of the strings that end it. Greedy, as lm-eval's
        tasks ask for; where one asks for a temperature, tokens are drawn with seed 0."""
        until = options.get("until") or []
        until = [until] if isinstance(until, str) else until
        most = min(int(options.get("max_gen_toks", MOST_NEW)), self.max_length - 1)
        temperature = float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0
        random = torch.Generator().manual_seed(0)
        ids = (self.encoding.encode(context) or [self.encoding.end])[-(self.max_length - most) :]
        written: list[int] = []
        self.model.eval()
        while len(written) < most:
            window = torch.tensor([ids + written], device=self.on.device)
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
