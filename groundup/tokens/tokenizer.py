"""The tokenizer of a recipe: learned from a sample of the mix, or taken over from elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup.console import progress
from groundup.data.corpus import texts
from groundup.errors import GroundupError
from groundup.recipe import schema
from groundup.store.artifacts import Artifact, load, make, read_manifest
from groundup.store.files import Unreadable, sha256, write_atomic, write_json
from groundup.store.runs import Run
from groundup.tokens.encoding import CONFIG, END, FILE, PAD, Encoding, open_tokenizer
from groundup.tokens.kinds import learn

VERSION = 2


def build(part: schema.Tokenizer, mix: dict[str, float], corpus: Artifact, lab: Path) -> Artifact:
    """The tokenizer of a recipe. `mix` gives each source's share of the sample.

    Raises GroundupError `vocabulary-too-large`, `vocabulary-too-small`, `empty-sample`, `bad-tokenizer`.
    """
    if part.use is not None:
        return _existing(part.use, lab)

    def fill(directory: Path) -> dict[str, Any]:
        size = sum(corpus.manifest["counts"][source]["train"]["bytes"] for source in mix)
        budget = min(part.sample_mb * 1e6, size)
        drawn: dict[str, int] = {}
        with progress("tokenizer: reading the sample", round(budget), "B") as advance:

            def sample() -> Iterator[str]:
                drawn.clear()
                for source, text in draw(corpus, mix, budget):
                    size_of_text = len(text.encode())
                    drawn[source] = drawn.get(source, 0) + size_of_text
                    advance(size_of_text)
                    yield text

            if next(sample(), None) is None:
                what = f"tokenizer.sample_mb = {part.sample_mb:g} draws no document"
                raise GroundupError("empty-sample", what, "a larger tokenizer.sample_mb")
            tokenizer = learn(part.kind, part.vocab_size, part.digits, sample)
        write_atomic(directory / FILE, tokenizer.to_str(pretty=True))
        encoding = open_tokenizer(directory / FILE)
        write_json(directory / CONFIG, _for_transformers(encoding))
        counts = {"vocab_size": encoding.vocab_size, "sample_bytes": sum(drawn.values()), "sample": drawn}
        return {"counts": counts, "kind": part.kind}

    kept = part.model_dump(exclude={"use", *({"vocab_size"} if part.kind == "bytes" else ())}) | {"mix": mix}
    return make(lab, "tokenizer", VERSION, kept, [corpus], fill)


def _for_transformers(encoding: Encoding) -> dict[str, Any]:
    """tokenizer_config.json: the special tokens' roles, and that their names in a text are text."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "pad_token": PAD if encoding.tokenizer.token_to_id(PAD) is not None else END,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }
    if encoding.unknown is not None:
        config["unk_token"] = encoding.tokenizer.id_to_token(encoding.unknown)
    return config


def draw(corpus: Artifact, mix: dict[str, float], budget: float) -> Iterator[tuple[str, str]]:
    """About `budget` bytes of training text as (source, text), each source in proportion to its share.

    Documents are picked at equal distances, so the sample is the same each time and does not favour a file's
    beginning. A source that is too small for its share is repeated, since pair counts follow the mix, too.
    """
    for source, share in mix.items():
        size = corpus.manifest["counts"][source]["train"]["bytes"]
        rate = budget * share / size
        for index, text in enumerate(texts(corpus, source, "train")):
            for _ in range(int((index + 1) * rate) - int(index * rate)):
                yield source, text


def _existing(use: str, lab: Path) -> Artifact:
    """The artifact of a tokenizer that a recipe names: an artifact or run of this lab, a file or a directory."""
    artifact = lab / "artifacts" / use
    if artifact.is_dir() and use.startswith("tokenizer-"):
        return load(artifact)
    path = Path(use).expanduser()
    if (lab / "runs" / use / FILE).is_file():
        path = lab / "runs" / use
    if path.is_dir():
        path /= FILE
    if not path.is_file():
        what = f"tokenizer.use = {use} is no file, no directory with a {FILE}, and no artifact or run of this lab"
        raise GroundupError("bad-tokenizer", what, "`groundup ls` lists the runs")
    content = sha256(path)
    for manifest in sorted((lab / "artifacts").glob("tokenizer-*/manifest.json")):
        try:
            known = read_manifest(manifest.parent)["files"].get(FILE, {})
        except Unreadable:
            continue  # whoever needs that one will hear of it
        if known.get("sha256") == content:
            return load(manifest.parent)  # the same bytes: what was packed with it stays usable
    encoding = open_tokenizer(path)

    def fill(directory: Path) -> dict[str, Any]:
        write_atomic(directory / FILE, path.read_bytes())
        write_json(directory / CONFIG, _for_transformers(encoding))
        return {"counts": {"vocab_size": encoding.vocab_size}, "kind": "taken over"}

    return make(lab, "tokenizer", VERSION, {"sha256": content}, [], fill)


def of_run(run: Run) -> Encoding:
    """The tokenizer of a run: its own copy.

    Raises GroundupError `bad-tokenizer` where it is not the one that the run was trained with.
    """
    path = run.path / FILE
    if path.is_file() and sha256(path) != run.read_json("lineage.json").get("tokenizer_sha256"):
        what = f"{path} is not the tokenizer that the run was trained with: it was changed afterwards"
        raise GroundupError("bad-tokenizer", what, "put back the file of the tokenizer artifact in lineage.json")
    return open_tokenizer(path)
