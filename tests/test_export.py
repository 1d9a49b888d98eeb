"""An exported directory is the model: transformers reads it with no code of ours and computes the same."""

import json
from pathlib import Path

import pytest
import torch
from tiny_models import CLASSIC, GROUPED, LLAMA, MODERN, ODD, scrambled
from tokenizers import Tokenizer

from groundup.errors import GroundupError
from groundup.export.huggingface import write
from groundup.model.config import ModelConfig
from groundup.tokens.encoding import CONFIG, FILE
from groundup.tokens.kinds import learn

TEXT = "The cat sat on the mat, and the dog — who had <|endoftext|> 3,141 bones — did not."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    learn("bpe", 300, 3, lambda: iter([TEXT] * 10)).save(str(folder / FILE))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": True}
    (folder / CONFIG).write_text(json.dumps(config | dict.fromkeys(("bos_token", "eos_token"), "<|endoftext|>")))
    return folder


@pytest.mark.parametrize("config", [CLASSIC, MODERN, LLAMA, GROUPED], ids=["gpt2", "qwen3", "llama", "untied"])
def test_transformers_reads_the_directory_and_gives_equal_ids_and_logits(
    config: ModelConfig, tokenizer: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    size = Tokenizer.from_file(str(tokenizer / FILE)).get_vocab_size()
    model = scrambled(ModelConfig(**config.to_json() | {"vocab_size": size, "context": 96}))
    path = write(model, tokenizer, tmp_path / "exported")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path, dtype="float32").eval()
    ids = transformers.AutoTokenizer.from_pretrained(path)(TEXT)["input_ids"]
    mine = Tokenizer.from_file(str(tokenizer / FILE))
    mine.encode_special_tokens = True
    assert ids == mine.encode(TEXT).ids
    tokens = torch.tensor([ids])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens).logits, rtol=1e-5, atol=1e-5)
    assert type(theirs).__name__ == json.loads((path / "config.json").read_text())["architectures"][0]


def test_knobs_that_no_architecture_has_are_refused_by_name(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match=r"positions = learned.*activation = relu2") as refused:
        write(scrambled(ODD), tokenizer, tmp_path / "exported")
    assert refused.value.code == "cannot-export" and not any(tmp_path.iterdir())


def test_nothing_that_is_there_is_overwritten(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    with pytest.raises(GroundupError, match="there already") as refused:
        write(scrambled(MODERN), tokenizer, tmp_path / "exported")
    assert refused.value.code == "cannot-export"
