"""`groundup run RECIPE --dry-run`: what the command would need, before it downloads or makes anything.

Text is not read, so what is made of it is reckoned from the size of its files, rather more than less. What was made
before is counted again: whether it can be reused is only known once the files are hashed.
"""

from pathlib import Path
from typing import Any

from groundup.data.download import Corpus
from groundup.data.sources import WORLD, WORLD_DOCUMENTS, corpus_of, expand
from groundup.data.sources import mirror_of as mirror
from groundup.data.streams import format_of
from groundup.model.config import configure
from groundup.model.size import parameters
from groundup.processes import here
from groundup.recipe.load import Resolved
from groundup.recipe.schema import Source
from groundup.science.summary import vocabulary

UNPACKED = 4.0  # bytes of text in a byte of a .gz, .zst or Parquet file
WORLD_BYTES = 1500  # of text in a generated document
CORPUS, SHARDS = 2.0, 1.0  # bytes on disk for a byte of text, at the worst moment (docs/log.md)


def dry_run(resolved: Resolved, lab: Path) -> tuple[dict[str, Any], list[str]]:
    """What a recipe's run needs and what there is, as facts and as lines.

    Raises GroundupError with what would stop it: `disk-too-small`, `memory-too-small`, `not-writable`, `no-device`,
    `no-such-file`, `no-text`, `recipe-conflict`.
    """
    from groundup.train import preflight
    from groundup.train.precision import choose

    recipe, train = resolved.recipe, resolved.recipe.train
    sources = {name: sizes(source, recipe.data.mirror, lab) for name, source in recipe.data.sources.items()}
    text = sum(one["text"] for one in sources.values())
    wide = 2 if recipe.tokenizer.kind in ("bytes", "characters") or recipe.tokenizer.vocab_size > 1 << 16 else 1
    made = {
        "downloads": sum(one["download"] for one in sources.values()),
        "corpus": round(CORPUS * text),
        "shards": round(SHARDS * wide * text),
    }
    config = configure(recipe.model, vocabulary(recipe.tokenizer))
    device = choose(train.device, train.precision, train.compile, train.tf32)
    needs = preflight.check(lab / "runs", lab, recipe, config, device, here().world, made)
    facts = {"sources": sources, "device": device.device.type, **needs.to_json()}
    facts |= {"parameters": sum(parameters(config).values()), "checkpoint": preflight.checkpoint_bytes(config, train)}
    return facts, _lines(facts)


def sizes(source: Source, given: str | None, lab: Path) -> dict[str, int]:
    """Bytes of a source's text, and of what has to be downloaded for it. Raises GroundupError for files that are not
    there or not known."""
    if source.corpus in WORLD and source.path is None:
        return {"text": WORLD_BYTES * (source.documents or WORLD_DOCUMENTS), "download": 0}
    if source.path is not None:
        files = {file for paths in (source.path, source.valid, source.test) if paths for file in expand(paths)}
        return {"text": sum(_text(file, file.stat().st_size) for file in files), "download": 0}
    known = corpus_of(source)
    corpus = Corpus(known["repository"], known["revision"], known["files"], lab / "downloads")
    records, place = list(corpus.records()), mirror(given)
    local = place is not None and not place.startswith(("http://", "https://"))
    missing = [] if local else [file for file in records if not (corpus.folder() / file["name"]).is_file()]
    text = sum(_text(Path(file["name"]), file["bytes"]) for file in records)
    return {"text": text, "download": sum(file["bytes"] for file in missing)}


def _text(file: Path, size: int) -> int:
    kind, compression = format_of(file)
    return round(size * UNPACKED) if compression or kind == ".parquet" else size


def _lines(facts: dict[str, Any]) -> list[str]:
    def megabytes(parts: dict[str, int]) -> str:
        return ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in parts.items())

    def there(size: int | None) -> str:
        return "not known" if size is None else f"{size / 1e6:,.0f} MB free"

    download = sum(one["download"] for one in facts["sources"].values())
    text = sum(one["text"] for one in facts["sources"].values())
    return [
        f"text       about {text / 1e6:,.0f} MB, of which files of {download / 1e6:,.0f} MB have to be downloaded",
        f"disk       {sum(facts['disk'].values()) / 1e6:,.0f} MB, {there(facts['disk_free'])}; "
        f"in MB: {megabytes(facts['disk'])}",
        f"checkpoint {facts['checkpoint'] / 1e6:,.0f} MB each, {facts['parameters']:,} parameters",
        f"{facts['device']:10} {sum(facts['device_parts'].values()) / 1e6:,.0f} MB with one sequence at a time, "
        f"{there(facts['device_free'])}; in MB: {megabytes(facts['device_parts'])}",
        f"host       {facts['host'] / 1e6:,.0f} MB of main memory, {there(facts['host_free'])}",
        "nothing was downloaded or made; without --dry-run it will be",
    ]
