"""How fast a model is judged: BLiMP, beside lm-eval's own `hf` model on a sample of the same sentences.

    python bench/evaluate.py --blimp FOLDER [--rung 20m] [--device cpu] [--pairs 1000] [--peer 20] [--json]

The model is untrained: speed does not depend on what it knows. It has the rung's vocabulary of 8,192, whatever the
tokenizer has: `--tokenizer`, or one of 4,096 tokens learned from BLiMP's own sentences, which makes them short. lm-eval
(pip install lm-eval[hf]) gets the exported model and `--peer` pairs of each paradigm in batches of 64; without it, or
with --peer 0, there is no ratio. Wall seconds and processor seconds are both told, since on a machine that does other
work only the second compare.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from groundup.evaluate.choice import Item, encode
from groundup.evaluate.likelihood import likelihoods
from groundup.evaluate.tasks import open_task
from groundup.export.huggingface import write
from groundup.model.config import configure
from groundup.model.transformer import Transformer
from groundup.recipe.load import resolve
from groundup.store.files import write_json
from groundup.tokens.encoding import CONFIG, END, FILE, Encoding, open_tokenizer
from groundup.tokens.kinds import learn
from groundup.train.precision import Device, choose

BATCH = 64  # sentences at once, of the peer
LEARNED = 4096


def clocked(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """(what it returns, wall seconds, processor seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def ours(model: Transformer, items: list[Item], encoding: Encoding, device: Device) -> list[tuple[float, float]]:
    """Log-probabilities of each pair, from text on."""
    options = [encode(item, encoding, model.config.context)[0] for item in items]
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(items)
    for number, (good, bad) in likelihoods(model, options, device):
        found[number] = -good.nats, -bad.nats
    return found


def peers(exported: Path, items: list[Item], device: Device) -> tuple[list[float], float, float] | None:
    """(log-probabilities, wall, processor seconds) of lm-eval's model; None where it is not installed."""
    try:
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        return None
    kind = device.device.type
    with contextlib.redirect_stdout(sys.stderr):
        model = HFLM(pretrained=str(exported), device=kind, dtype="float32", batch_size=BATCH)
        requests = [
            Instance(request_type="loglikelihood", doc={}, arguments=("", text), idx=0)
            for item in items
            for _, text in item.options
        ]
        model.loglikelihood(requests[:BATCH], disable_tqdm=True)
        found, wall, cpu = clocked(lambda: model.loglikelihood(requests, disable_tqdm=True))
    return [value for value, _ in found], wall, cpu


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    items = open_task(f"blimp={given.blimp}", None, folder).items
    names = sorted({item.groups["paradigm"] for item in items})
    items = [items[number] for name in names for number in _first(items, name, given.pairs)]
    if given.tokenizer:
        (folder / FILE).write_bytes(given.tokenizer.read_bytes())
    else:
        texts = [text.strip() for item in items for _, text in item.options]
        learn("bpe", LEARNED, 3, lambda: iter(texts)).save(str(folder / FILE))
    write_json(folder / CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END})
    encoding, device = open_tokenizer(folder / FILE), choose(given.device, "fp32", compile=False, tf32=False)
    torch.manual_seed(1)
    recipe = resolve(given.rung).recipe
    model = Transformer(configure(recipe.model, recipe.tokenizer.vocab_size)).to(device.device).eval()
    ours(model, items[:200], encoding, device)  # what is made once only
    _, wall, cpu = clocked(lambda: ours(model, items, encoding, device))
    row: dict[str, Any] = {
        "rung": given.rung,
        "device": device.name,
        "precision": device.precision,
        "tokens_per_sentence": sum(len(encoding.encode(text)) for item in items[::100] for _, text in item.options)
        / (2 * len(items[::100])),
        "sentences": 2 * len(items),
        "seconds": wall,
        "cpu_seconds": cpu,
        "blimp_sentences_per_s": 2 * len(items) / wall,
        "sentences_per_cpu_s": 2 * len(items) / cpu,
        "load": os.getloadavg()[0],
    }
    sample = [number for name in names for number in _first(items, name, given.peer)]
    exported = write(model, folder, folder / "exported")
    if sample and (peer := peers(exported, [items[number] for number in sample], device)):
        values, wall, cpu = peer
        again, mine, my_cpu = clocked(lambda: ours(model, [items[number] for number in sample], encoding, device))
        flat = [value for pair in again for value in pair]
        row |= {
            "peer": "lm-eval hf",
            "peer_sentences": len(values),
            "peer_sentences_per_s": len(values) / wall,
            "peer_sentences_per_cpu_s": len(values) / cpu,
            "ratio_wall": wall / mine,
            "ratio_cpu": cpu / my_cpu,
            "largest_difference": max(abs(a - b) / abs(b) for a, b in zip(flat, values, strict=True)),
        }
    return row


def _first(items: list[Item], paradigm: str, number: int) -> list[int]:
    return [place for place, item in enumerate(items) if item.groups["paradigm"] == paradigm][:number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blimp", type=Path, required=True, help="folder of BLiMP's 67 jsonl files")
    parser.add_argument("--rung", default="20m")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of each paradigm; BLiMP has 1,000")
    parser.add_argument("--peer", type=int, default=20, help="pairs of each paradigm that lm-eval gets")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        row = measure(given, Path(folder))
    print(json.dumps(row) if given.json else "\n".join(f"{key:24} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
