"""How fast a model writes, beside others with the same weights on the same machine, in one run:

    python bench/generate.py [--rung 20m] [--batches 1 32] [--tokens 200] [--rounds 5] [--device cpu] [--json]
    python bench/generate.py --floor          what the matrix products alone would take, too

Ours is the whole engine: prompts in, text out, the likeliest token each time. The peers are transformers' generate
(Qwen3, PyTorch's attention, its cache, the same number format) and, at batch 1 on a CPU, llama.cpp (xllamacpp; F32 and
F16 matrices, keys and values in F32) where it is installed. All continue the same random prompts with as many tokens;
where all compute in fp32 their tokens are compared. They take turns, round by round, so that what else the machine does
meets all alike; a ratio is the median of the rounds' ratios of our tokens per second to theirs.
The weights are random, with larger ones in the blocks, so that the tokens are not all the same.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peers import llama_cpp, transformers_model, write_gguf

from groundup.generate.engine import Prompt, write
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.recipe.rungs import RUNGS, gated
from groundup.recipe.schema import Sample
from groundup.train.precision import DTYPES, Device, choose

Continue = Callable[[list[list[int]], int], list[list[int]]]
TINY = {"layers": 2, "width": 64, "heads": 2, "feed_forward": 192, "context": 64}


def build(rung: str, vocabulary: int) -> Transformer:
    shape = TINY if rung == "tiny" else RUNGS[rung]
    torch.manual_seed(0)
    config = ModelConfig(
        "modern", vocabulary, **shape | {"kv_heads": shape["heads"], "feed_forward": gated(shape["feed_forward"])}
    )
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            parameter.mul_(4 if parameter.dim() == 2 else 1)
    return model


def ours(model: Transformer, device: Device) -> Continue:
    spellings = [b"t%d" % id for id in range(model.config.vocab_size)]

    def go_on(prompts: list[list[int]], count: int) -> list[list[int]]:
        options = Sample(temperature=0, max_tokens=count, batch=len(prompts))
        given, texts = [Prompt(ids, 0) for ids in prompts], [list[int]() for _ in prompts]
        for piece in write(model, given, options, spellings, end=-2, device=device, captured=True):  # nothing ends it
            texts[piece.row].append(piece.token)
        return texts

    return go_on


def transformers(model: Transformer, device: Device) -> Continue:
    theirs = transformers_model(model, device.device)
    if device.precision != "fp32":
        theirs = theirs.to(DTYPES[device.precision])

    def go_on(prompts: list[list[int]], count: int) -> list[list[int]]:
        ids = torch.tensor(prompts, device=device.device)
        found = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, do_sample=False
        )
        return found[:, ids.shape[1] :].tolist()

    return go_on


def ggml(model: Transformer, folder: Path, half: bool) -> Continue:
    path = folder / f"model-{'f16' if half else 'f32'}.gguf"
    write_gguf(model, path, half)
    one = llama_cpp(path, model.config.context, torch.get_num_threads())
    return lambda prompts, count: [one(prompt, count) for prompt in prompts]


def products(model: Transformer) -> Continue:
    """Nothing but the matrix products of each step, one after the other."""
    weights = [parameter for parameter in model.parameters() if parameter.dim() == 2]

    @torch.inference_mode()
    def go_on(prompts: list[list[int]], count: int) -> list[list[int]]:
        inputs = {weight.shape[1]: torch.randn(len(prompts), weight.shape[1]) for weight in weights}
        for _ in range(count):
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        return []

    return go_on


def measure(batch: int, who: dict[str, Continue], model: Transformer, given: argparse.Namespace) -> dict[str, Any]:
    """A row for a batch: each one's tokens per second by round, and whether all wrote the same."""
    c = model.config
    length, count = given.prompt, min(given.tokens, c.context - given.prompt)
    prompts = torch.randint(2, c.vocab_size, (batch, length), generator=torch.Generator().manual_seed(batch)).tolist()
    rates: dict[str, list[float]] = {name: [] for name in who}
    texts = {}
    for number in range(given.rounds + 1):
        for name, go_on in who.items():
            start = time.perf_counter()
            texts[name] = go_on(prompts, count if number else min(count, 8))  # the first round warms up
            if given.device.device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                rates[name].append(batch * count / (time.perf_counter() - start))
        print(f"batch {batch}, round {number} of {given.rounds}", file=sys.stderr, flush=True)
    ratios = {
        name: [mine / theirs for mine, theirs in zip(rates["groundup"], rates[name], strict=True)] for name in who
    }
    exact = [name for name in texts if name not in ("llama.cpp F16", "products alone")]
    same = {name: texts[name] == texts["groundup"] for name in exact} if given.device.precision == "fp32" else {}
    return {"batch": batch, "tokens": count, "tokens_per_s": rates, "ratios": ratios, "same_text": same}


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| batch | who | tokens/s, median (range) | ratio, median (range) | same text |", "|---|---|---|---|---|"]
    for row in rows:
        for name, rates in row["tokens_per_s"].items():
            ratios = row["ratios"][name]
            same = {True: "yes", False: "NO", None: "-"}[row["same_text"].get(name)]
            lines.append(
                f"| {row['batch']} | {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {same} |"
            )
    return lines


def ratio(rows: list[dict[str, Any]], batch: int, name: str) -> float | None:
    found = [row["ratios"][name] for row in rows if row["batch"] == batch and name in row["ratios"]]
    return statistics.median(found[0]) if found else None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rung", default="20m", choices=[*RUNGS, "tiny"])
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--prompt", type=int, default=16, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=200, help="tokens that each text goes on with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, help="default: PyTorch's")
    parser.add_argument("--floor", action="store_true", help="also time the matrix products alone")
    parser.add_argument("--rehearse", action="store_true", help="a tiny shape, to see that everything runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.device = choose(given.device, given.precision)
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.rehearse:
        given.rung, given.vocab, given.rounds, given.tokens, given.prompt = "tiny", 128, 1, 8, 4
    return given


def main() -> None:
    given = arguments()
    device, model = given.device, build(given.rung, given.vocab)
    missing = [name for name in ("transformers", "xllamacpp", "gguf") if find_spec(name) is None]
    for name in missing:
        print(f"{name} is not installed: its column is left out", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        who: dict[str, Continue] = {"groundup": ours(model.to(device.device), device)}
        if "transformers" not in missing:
            who["transformers"] = transformers(model, device)
        alone: dict[str, Continue] = {}
        if device.device.type == "cpu" and not {"xllamacpp", "gguf"} & {*missing} and 1 in given.batches:
            alone = {
                "llama.cpp F32": ggml(model, Path(folder), False),
                "llama.cpp F16": ggml(model, Path(folder), True),
            }
        if given.floor and device.device.type == "cpu":
            who["products alone"] = products(model)
        rows = []
        for batch in given.batches:
            rows.append(measure(batch, who | (alone if batch == 1 else {}), model, given))
    facts = {
        "device": device.name,
        "precision": device.precision,
        "torch": torch.__version__,
        "rung": given.rung,
        "ratio_transformers_b1": ratio(rows, 1, "transformers"),
        "ratio_transformers_b32": ratio(rows, 32, "transformers"),
        "ratio_llamacpp_b1": ratio(rows, 1, "llama.cpp F32"),
        "ratio_llamacpp_f16_b1": ratio(rows, 1, "llama.cpp F16"),
        "rows": rows,
    }
    if given.json:
        print(json.dumps(facts))
    else:
        print(f"{given.rung}, {device.name}, {device.precision}, torch {torch.__version__}", *table(rows), sep="\n")


if __name__ == "__main__":
    main()
