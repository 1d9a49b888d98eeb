"""Text from a model, one token at a time."""

from typing import Any

import torch
from torch import Tensor

from groundup.errors import GroundupError
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Sample
from groundup.tokens.encoding import Encoding
from groundup.train.precision import Device


def filter_logits(logits: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """Logits (V,) from which to draw: divided by the temperature, all but the admitted tokens at -inf.

    top_k keeps the k likeliest; top_p then keeps the smallest set of likeliest tokens whose probability reaches p
    (Holtzman et al. 2020). The likeliest token always stays.
    """
    logits = logits / temperature
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        probability = ordered.softmax(-1)
        beyond = probability.cumsum(-1) - probability >= top_p  # the mass before a token already reaches p
        logits = logits.index_fill(0, order[beyond], -torch.inf)
    return logits


@torch.no_grad()
def complete(model: Transformer, encoding: Encoding, prompt: str, options: Sample, device: Device) -> str:
    """The prompt and what the model writes after it, up to the end of the text or `options.max_tokens`.

    Beyond the context the model sees the last `context` tokens. Raises GroundupError `bad-prompt`.
    """
    return _write(model, encoding, prompt, options, device)[0]


def _write(model: Transformer, encoding: Encoding, prompt: str, options: Sample, device: Device) -> tuple[str, str]:
    """The text, and what ended it."""
    context = model.config.context
    if not prompt.isprintable() and any("\ud800" <= character <= "\udfff" for character in prompt):
        raise GroundupError("bad-prompt", "the prompt is not valid Unicode text", "type it in UTF-8")
    ids = [encoding.end, *encoding.encode(prompt)]  # every training document begins after an end-of-text token
    if len(ids) > context:
        what = f"the prompt has {len(ids) - 1:,} tokens and the model's context {context:,}"
        raise GroundupError("bad-prompt", what, "shorten the prompt")
    was_training = model.training
    model.eval()
    random = torch.Generator().manual_seed(options.seed)  # on the CPU: the same draws on every device
    ended = "length"
    for _ in range(options.max_tokens):
        window = torch.tensor([ids[-context:]], device=device.device)
        with device.autocast():
            logits = model(window, last_only=True)[0, -1]
        logits = logits.float().cpu()
        if options.temperature == 0:
            token = int(logits.argmax())
        else:
            admitted = filter_logits(logits, options.temperature, options.top_k, options.top_p)
            token = int(torch.multinomial(admitted.softmax(-1), 1, generator=random))
        if token == encoding.end:
            ended = "end"
            break
        ids.append(token)
    model.train(was_training)
    return encoding.decode(ids), ended


def complete_all(model: Transformer, encoding: Encoding, options: Sample, device: Device) -> list[dict[str, Any]]:
    """A row for each prompt of `options`, with its text, its settings, and what ended the text: `end`, the model
    itself, or `length`, the limit.

    The second prompt is drawn with the seed after the first's, and so on: equal draws make texts look alike.
    """
    settings = options.model_dump(exclude={"prompts", "max_tokens"})
    rows = []
    for number, prompt in enumerate(options.prompts):
        mine = options.model_copy(update={"seed": options.seed + number})
        text, ended = _write(model, encoding, prompt, mine, device)
        rows.append({"prompt": prompt, "text": text, **settings, "seed": mine.seed, "ended": ended})
    return rows
