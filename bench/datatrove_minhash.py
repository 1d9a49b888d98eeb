"""The peer: datatrove's MinHash pipeline with our settings, on the documents of a folder.

    python bench/datatrove_minhash.py CORPUS OUT WORDS BUCKETS HASHES

CORPUS holds *.jsonl (url, text); what is removed is written to OUT/removed. One task for each file, as many processes.
N-grams of so many words, so many buckets, so many hashes in each; the rest is datatrove's default: its normalisation,
its word tokenizer for English, 64-bit hashes by xxhash. Processes are forked, which costs it less than its default of
starting them anew.
"""

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def deduplicate(corpus: Path, out: Path, words: int, buckets: int, hashes: int) -> None:
    """Signatures, buckets, clusters, filter: datatrove's four stages."""
    files = len(list(corpus.glob("*.jsonl")))
    config = MinhashConfig(n_grams=words, num_buckets=buckets, hashes_per_bucket=hashes)
    reader = JsonlReader(str(corpus), glob_pattern="*.jsonl", text_key="text", id_key="url")
    writer = JsonlWriter(str(out / "removed"), compression=None)
    stages = {
        "signatures": (files, [reader, MinhashDedupSignature(str(out / "signatures"), config)]),
        "buckets": (buckets, [MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=config)]),
        "clusters": (1, [MinhashDedupCluster(str(out / "buckets"), str(out / "clusters"), config)]),
        "filter": (
            files,
            [
                reader,
                MinhashDedupFilter(str(out / "clusters"), exclusion_writer=writer),
                JsonlWriter(str(out / "kept"), compression=None),
            ],
        ),
    }
    for name, (tasks, pipeline) in stages.items():
        workers = min(files, tasks)
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=workers, logging_dir=str(out / "logs" / name), start_method="fork"
        ).run()


if __name__ == "__main__":
    deduplicate(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
