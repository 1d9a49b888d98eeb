"""Tokenizers, packing and the stream: speed, against the tokenizers library as it comes. One command:

    python bench/tokens.py --books BOOKS [--mb 330] [--train-mb 200] [--json] [--skip-peer]
    python bench/tokens.py --stream-only [--json]          # no text needed; on a machine with a GPU, training too

BOOKS (or $GROUNDUP_BOOKS) is a folder of real text as for bench/data.py.

1. BPE of 8,192 is learned from --train-mb of text: by `tokens.kinds.learn`, and by tokenizers given whole documents,
   with the same rule for pieces.
2. The text is packed by `tokens.pack`, reading the corpus and writing hashed shards included: as it comes (with
   gigatoken where that is installed), and with tokenizers alone; the peer encodes the same documents in batches with
   tokenizers and writes nothing. All give equal ids.
3. The stream is read as fast as it goes, 131,072 tokens a batch in windows of 512, by each feed.
4. With a GPU, the 20m rung is trained in bf16 with each feed and with one batch that never changes: what is lost
   against the latter is what data cost.

MB are 10^6 bytes of UTF-8 text. Wall seconds; one run, so on a busy machine compare ratios only.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted import read_texts

from groundup.console import say
from groundup.tokens.pack import DOCUMENT
from groundup.tokens.stream import Stream

VOCABULARY, CONTEXT, UPDATE = 8192, 512, 131_072
FEEDS = ("memory", "prefetch", "resident")


def timed(what: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = what()
    return result, time.perf_counter() - start


# -- text to tokens ----------------------------------------------------------------------------------------------------


def measure_text(books: Path, mb: float, train_mb: float, peer: bool) -> dict[str, Any]:
    from groundup.data import corpus as corpora
    from groundup.recipe import schema
    from groundup.store.artifacts import Artifact
    from groundup.tokens import encoders, pack, tokenizer

    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder)
        _write(books, mb, lab / "text.jsonl")
        source = schema.Source(path=str(lab / "text.jsonl"))
        corpus = corpora.build(schema.Data(sources={"books": source}, near_duplicates=None), lab)
        part = schema.Tokenizer(vocab_size=VOCABULARY, sample_mb=train_mb)
        trained, learned_s = timed(lambda: tokenizer.build(part, {"books": 1.0}, corpus, lab))
        facts: dict[str, Any] = {
            "bpe_train_s": learned_s,
            "bpe_train_mb": trained.manifest["counts"]["sample_bytes"] / 1e6,
        }

        def packed(without_gigatoken: bool) -> tuple[Artifact, float]:
            into = lab / ("slow" if without_gigatoken else "fast")
            known = encoders._gigatoken
            if without_gigatoken:
                encoders._gigatoken = _absent
            try:
                return timed(lambda: pack.build(corpus, trained, into))
            finally:
                encoders._gigatoken = known

        fast, fast_s = packed(without_gigatoken=False)
        counts = fast.manifest["counts"]["books"]
        size = sum(one["bytes"] for one in counts.values()) / 1e6
        facts |= {"mb": size, "encoder": fast.manifest["encoder"], "pack_mb_per_s": size / fast_s}
        slow, slow_s = packed(without_gigatoken=True)
        facts["pack_without_gigatoken_mb_per_s"] = size / slow_s
        if fast.manifest["files"] != slow.manifest["files"]:
            raise SystemExit("the two encoders gave different shards")
        if peer:
            facts |= _peer(corpus, trained, part, size)
            facts["ratio_pack"] = facts["pack_mb_per_s"] / facts["tokenizers_mb_per_s"]
            facts["ratio_pack_without_gigatoken"] = size / slow_s / facts["tokenizers_mb_per_s"]
            facts["ratio_train"] = facts["tokenizers_train_s"] / learned_s
    return facts


def _absent(_: Any) -> Any:
    raise ImportError


def _write(folder: Path, mb: float, target: Path) -> None:
    """The first `mb` of the folder's texts as one jsonl file."""
    size = 0
    with target.open("w", encoding="utf-8") as file:
        for text in read_texts(folder):
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            size += len(text.encode())
            if size >= mb * 1e6:
                break


def _peer(corpus: Any, trained: Any, part: Any, size: float) -> dict[str, Any]:
    """tokenizers as its documentation shows it: an iterator of documents to train on, and batches of them to encode."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    from groundup.data.corpus import texts
    from groundup.data.finish import SPLITS
    from groundup.tokens.encoding import FILE, pieces
    from groundup.tokens.tokenizer import draw

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pieces(part.digits)), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    budget = min(part.sample_mb * 1e6, corpus.manifest["counts"]["books"]["train"]["bytes"])
    sample = (text for _, text in draw(corpus, {"books": 1.0}, budget))
    _, train_s = timed(lambda: tokenizer.train_from_iterator(sample, trainer))
    ready = Tokenizer.from_file(str(trained.path / FILE))

    def encode() -> None:
        for split in SPLITS:
            documents: Iterator[str] = texts(corpus, "books", split)
            while batch := list(islice(documents, 64)):
                for one in ready.encode_batch_fast(batch):
                    np.array(one.ids, np.uint16)

    _, encode_s = timed(encode)
    return {"tokenizers_train_s": train_s, "tokenizers_mb_per_s": size / encode_s}


# -- tokens to batches -------------------------------------------------------------------------------------------------


def made_up(folder: Path, tokens: int = 80_000_000) -> dict[str, float]:
    """Shards of two sources, 7 to 3, as large as the books; the shares of a mix of them."""
    rng = np.random.default_rng(1)
    for name, share in (("stories", 0.7), ("encyclopedia", 0.3)):
        size = int(tokens * share)
        np.save(folder / f"{name}.train.00000-000.npy", rng.integers(2, VOCABULARY, size, dtype=np.uint16))
        np.save(folder / f"{name}.train.00000-000.documents.npy", np.zeros(1, DOCUMENT))
    return {"stories": 0.7, "encyclopedia": 0.3}


def measure_stream(device: torch.device, seconds: float = 3.0) -> dict[str, Any]:
    from groundup.tokens.feed import open_feed

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        share = made_up(Path(folder))
        for kind in FEEDS[:2]:  # resident memory is for GPUs
            feed = open_feed(kind, Stream(Path(folder), share, CONTEXT, UPDATE, seed=1), device)
            feed.batch(0)
            start, step = time.perf_counter(), 1
            while time.perf_counter() - start < seconds:
                feed.batch(step).sum().item()  # whatever is done with it, it is there
                step += 1
            rates[kind] = (step - 1) * UPDATE / (time.perf_counter() - start)
            feed.close()
    return {f"stream_{kind}_tokens_per_s": rate for kind, rate in rates.items()}


def measure_training(device: torch.device, steps: int) -> dict[str, Any]:
    """What each feed costs the training of the 20m rung, against a batch that lies there already."""
    from groundup.model.config import configure
    from groundup.model.transformer import Transformer
    from groundup.recipe.load import resolve
    from groundup.tokens.feed import open_feed
    from groundup.train import optimizer
    from groundup.train.gradients import losses

    recipe = resolve("20m", ["model.dropout=0"]).recipe
    model = Transformer(configure(recipe.model, VOCABULARY)).to(device)
    updater = optimizer.build(model, recipe.train, device)
    forward = torch.compile(losses)
    autocast = torch.bfloat16 if device.type == "cuda" else None

    def update(batch: torch.Tensor) -> None:
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            total, _ = forward(model, batch[:, :-1], batch[:, 1:], None, None)
        (total / UPDATE).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        updater.step()
        updater.zero_grad(set_to_none=True)

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        share = made_up(Path(folder))

        def stream() -> Stream:
            return Stream(Path(folder), share, CONTEXT, UPDATE, seed=1)

        fixed = torch.from_numpy(stream().batch(0)).to(device)
        feeds = {kind: open_feed(kind, stream(), device) for kind in FEEDS}
        for _ in range(10):
            update(fixed)
        for kind in ("fixed", *FEEDS, "fixed"):
            feed = feeds.get(kind)
            torch.cuda.synchronize()
            if feed:
                feed.batch(0)
                feed.waited = 0.0
            start = time.perf_counter()
            for step in range(1, steps + 1):
                update(feed.batch(step) if feed else fixed)
            torch.cuda.synchronize()
            elapsed = time.perf_counter() - start
            wait = feed.waited / elapsed if feed else 0.0
            rows.append({"feed": kind, "tokens_per_s": steps * UPDATE / elapsed, "data_wait": wait})
            say(f"train 20m, {kind}: {rows[-1]['tokens_per_s']:,.0f} tokens/s, data wait {wait:.5f}")
        for feed in feeds.values():
            feed.close()
    best = max(row["tokens_per_s"] for row in rows if row["feed"] == "fixed")
    for row in rows:
        row["of_fixed"] = row["tokens_per_s"] / best
    return {"device": torch.cuda.get_device_name(device), "training": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", default=os.environ.get("GROUNDUP_BOOKS"), help="a folder of real text")
    parser.add_argument("--mb", type=float, default=330.0, help="megabytes of text to pack")
    parser.add_argument("--train-mb", type=float, default=200.0, help="megabytes of text to learn from")
    parser.add_argument("--steps", type=int, default=150, help="updates for each feed on a GPU")
    parser.add_argument("--stream-only", action="store_true", help="measure the stream, and training on a GPU")
    parser.add_argument("--skip-peer", action="store_true", help="leave the tokenizers library alone out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    facts: dict[str, Any] = {}
    if not given.stream_only:
        if not given.books:
            sys.exit("bench/tokens.py: name a folder of real text with --books, or give --stream-only")
        facts |= measure_text(Path(given.books), given.mb, given.train_mb, not given.skip_peer)
    cpu = measure_stream(torch.device("cpu"))
    facts |= cpu | {"stream_tokens_per_s": cpu["stream_memory_tokens_per_s"]}
    if torch.cuda.is_available():
        facts |= measure_training(torch.device("cuda"), given.steps)
    if given.json:
        print(json.dumps(facts))
        return
    for key, value in facts.items():
        if key == "training":
            for row in value:
                speed, share, wait = row["tokens_per_s"], row["of_fixed"], row["data_wait"]
                print(
                    f"train 20m, {row['feed']:9} {speed:>12,.0f} tokens/s, {share:.4f} of fixed, data wait {wait:.4f}"
                )
        else:
            print(f"{key:40} {value:,.2f}" if isinstance(value, float) else f"{key:40} {value}")
    say("one run; on a busy machine only the ratios mean something")


if __name__ == "__main__":
    main()
