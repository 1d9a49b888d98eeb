"""lm-eval's numbers and ours are the same: through our adapter, through our own tasks, and on the exported model."""

import errno
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from small_recipe import small_recipe
from tiny_models import MODERN, scrambled

import groundup.science.lm_eval as running
from groundup.cli import main
from groundup.errors import GroundupError
from groundup.evaluate.choice import credit
from groundup.evaluate.likelihood import Option, likelihoods
from groundup.evaluate.tasks import open_task
from groundup.evaluate.wikitext import evaluate as wikitext
from groundup.export.huggingface import write
from groundup.science.evaluation import Wanted, answers, evaluate
from groundup.science.evaluation_record import Judged, judge
from groundup.store.runs import find
from groundup.train.precision import choose

ADAPTER = "groundup.evaluate.lm_eval_adapter"
needs_lm_eval = pytest.mark.skipif(find_spec("lm_eval") is None, reason="needs the extra: pip install groundup[eval]")
GREEDY = {"until": ["."], "max_gen_toks": 6, "temperature": 0.0, "do_sample": False}
PAIRS = [
    ("The cat 3 sat on the mat.", "The cat 3 mat on sat the."),
    ("The dog sat on the road and ate a pear.", "The dog sat on the road and and pear."),
    ("The hen ate.", "The hen ate."),
    ("A fig.", "Fig a."),
]
TASK = """task: pairs_of_mine
dataset_path: json
dataset_kwargs: {data_files: {test: PATH}}
output_type: multiple_choice
test_split: test
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{[sentence_good, sentence_bad]}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("lm_eval")
    assert main(["run", str(small_recipe(folder)), "--lab", str(folder / "lab")]) == 0
    return judge(find(folder / "lab", "last"), "best", "cpu")


def task_files(folder: Path) -> Path:
    """BLiMP-shaped pairs, and lm-eval's task on them."""
    rows = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in PAIRS]
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "pairs.yaml").write_text(TASK.replace("PATH", str(folder / "pairs.jsonl")))
    return folder / "pairs.yaml"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """lm-eval's names that ours import, installed or not; `simple_evaluate` and `load` can be replaced."""
    holder = SimpleNamespace(simple_evaluate=None, load=lambda: None)

    class TaskManager:
        all_tasks = ("theirs",)

        def __init__(self, include_path: list[str] | None) -> None:
            holder.load()

    contents: dict[str, dict[str, Any]] = {
        "lm_eval": {"simple_evaluate": lambda **asked: holder.simple_evaluate(**asked)},
        "lm_eval.api": {},
        "lm_eval.api.model": {"TemplateLM": type("TemplateLM", (), {})},
        "lm_eval.tasks": {"TaskManager": TaskManager},
        "lm_eval.utils": {"get_rolling_token_windows": None, "make_disjoint_window": None},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        module.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, ADAPTER, ModuleType(ADAPTER))  # so that the one over the stub goes afterwards
    del sys.modules[ADAPTER]
    monkeypatch.setattr(running, "version", lambda _: "0")
    return holder


@pytest.fixture
def small(stub: SimpleNamespace) -> Any:
    """The adapter over a model of 24 tokens, for which each letter is a token."""
    from groundup.evaluate.lm_eval_adapter import GroundupLM

    encoding: Any = SimpleNamespace(
        end=0,
        unknown=None,
        encode=lambda text: [ord(letter) % 96 + 1 for letter in text],
        decode=lambda ids: "x" * len(ids),
    )
    return GroundupLM(scrambled(MODERN), encoding, choose("cpu", "fp32", compile=False, tf32=False))


def test_requests_with_one_context_make_no_endless_row(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[list[Option]] = []

    def watched(model: Any, items: list[list[Option]], *rest: Any) -> Any:
        rows.extend(items)
        return likelihoods(model, items, *rest)

    monkeypatch.setattr(sys.modules[ADAPTER], "likelihoods", watched)
    sentences = [("", [0], [number % 90 + 1, 5, number // 90 + 1, 7]) for number in range(400)]
    answers = [("", [3, 1, 4, 1, 5], [number + 1, 9]) for number in range(40)]
    long = [("", [2] * 30, [number + 1] * (number + 1)) for number in range(30)]
    requests = [*sentences, *answers, *long, sentences[17]]
    found = small._loglikelihood_tokens(requests)
    sizes = [len(row[0].ids) + sum(len(option.ids) - option.first for option in row[1:]) for row in rows]
    assert max(sizes) <= 2 * small.max_length
    assert len(rows) < len(requests) - 30  # answers to one question still go together
    assert found[-1] == found[17]
    for number in (0, 17, 399, 400, 439, 440, 450, 469):
        (alone,) = small._loglikelihood_tokens([requests[number]])
        assert found[number][0] == pytest.approx(alone[0], rel=1e-4) and found[number][1] == alone[1]


def test_a_prompt_that_does_not_fit_keeps_half_of_the_context(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    small.model.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    texts, asked = ["a" * 40, "b" * 10, "c" * 30, "d" * 21], [256, 256, 4, 3]
    pairs = zip(texts, asked, strict=True)
    small.generate_until([SimpleNamespace(args=(text, {"max_gen_toks": most})) for text, most in pairs])
    starts = [size for before, size in zip([99, *seen], seen, strict=False) if size != before + 1]
    assert starts == [12, 10, 20, 21] and max(seen) < 24
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 of 4 prompts lost their beginning" in line


def test_numbers_that_are_not_finite_are_null_and_errors_are_kept(
    stub: SimpleNamespace, judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def simple_evaluate(**given: Any) -> dict[str, Any]:
        asked.update(given)
        print("bootstrapping for stddev: perplexity")
        values = {"perplexity,none": float("inf"), "low,none": [float("-inf"), {"deep": float("nan")}], "acc,none": 0.5}
        named = {"word": "NaN and Infinity"}
        return {"results": {"theirs": values | named}, "versions": {}, "configs": {"theirs": {"bound": float("inf")}}}

    stub.simple_evaluate = simple_evaluate
    capsys.readouterr()
    (record,) = running.run_tasks(judged, ["theirs"])
    (row,) = record["results"]
    assert row["perplexity,none"] is None and row["low,none"] == [None, {"deep": None}] and row["acc,none"] == 0.5
    assert row["word"] == "NaN and Infinity" and record["settings"] == {"theirs": {"bound": None}}
    written = judged.run.read_json(f"evaluations/{judged.checkpoint.path.name}.lm-eval-theirs.json")
    assert written["results"] == record["results"]
    assert asked["bootstrap_iters"] > 0  # else lm-eval gives no standard error at all
    captured = capsys.readouterr()
    assert captured.out == "" and "bootstrapping" in captured.err  # stdout is kept for data


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[..., Any]:
    def work(**_: Any) -> Any:
        raise error from cause

    return work


@pytest.mark.parametrize("place", ["load", "simple_evaluate"])
@pytest.mark.parametrize(
    "error",
    [ImportError("no antlr4"), TypeError("t"), AssertionError(), RuntimeError("r"), OSError("no network")],
    ids=repr,
)
def test_whatever_a_task_raises_is_a_bad_task(
    stub: SimpleNamespace, judged: Judged, place: str, error: Exception
) -> None:
    setattr(stub, place, raising(error))
    with pytest.raises(GroundupError) as refused:
        running.run_tasks(judged, ["theirs"])
    assert refused.value.code == "bad-task" and type(error).__name__ in refused.value.what
    assert str(error) in refused.value.what


@pytest.mark.parametrize(
    "error", [GroundupError("not-finite", "what", "fix"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")], ids=repr
)
def test_what_is_no_fault_of_a_tasks_comes_through(stub: SimpleNamespace, judged: Judged, error: BaseException) -> None:
    stub.simple_evaluate = raising(error)
    with pytest.raises(type(error)) as met:
        running.run_tasks(judged, ["theirs"])
    assert met.value is error


def test_a_full_disk_is_seen_behind_what_a_library_makes_of_it(stub: SimpleNamespace, judged: Judged) -> None:
    stub.simple_evaluate = raising(RuntimeError("while generating the dataset"), OSError(errno.ENOSPC, "full"))
    with pytest.raises(OSError) as met:
        running.run_tasks(judged, ["theirs"])
    assert met.value.errno == errno.ENOSPC


@pytest.mark.parametrize("line", ["task: [mine", "task: !mine x", "task:mine", "task:"])
def test_a_task_file_whose_name_cannot_be_read_is_refused(
    stub: SimpleNamespace, judged: Judged, tmp_path: Path, line: str
) -> None:
    (tmp_path / "mine.yaml").write_text(line + "\n")
    with pytest.raises(GroundupError) as refused:
        running.run_tasks(judged, [str(tmp_path / "mine.yaml")])
    assert refused.value.code == "bad-task"


@needs_lm_eval
def test_a_task_of_lm_evals_runs_on_a_run_and_agrees_with_ours_up_to_ties(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    path = task_files(tmp_path)
    (record,) = evaluate(judged.run, "best", Wanted(lm_eval=[str(path)]), "cpu")["evaluations"]
    task = open_task(str(tmp_path / "pairs.jsonl"), None, tmp_path)
    found, _ = answers(judged, task)
    ours = [credit(item, answer.scores("none")) for item, answer in zip(task.items, found, strict=True)]
    assert ours[2] == 0.5
    theirs = record["results"][0]["acc,none"]
    assert theirs == pytest.approx(sum(one if one != 0.5 else 1 for one in ours) / len(ours))  # a tie counts as right
    written = judged.run.read_json(f"evaluations/{judged.checkpoint.path.name}.lm-eval-pairs_of_mine.json")
    assert written["task"]["by"].startswith("lm-eval ") and written["results"] == record["results"]


@needs_lm_eval
def test_an_unknown_task_of_lm_evals_is_refused(judged: Judged) -> None:
    with pytest.raises(GroundupError) as refused:
        evaluate(judged.run, "best", Wanted(lm_eval=["no_such_task_at_all"]), "cpu")
    assert refused.value.code == "unknown-task"


@needs_lm_eval
def test_the_adapter_equals_lm_evals_own_model_on_the_export(judged: Judged, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="lm-eval's hf model needs it: pip install lm-eval[hf]")
    from lm_eval.models.huggingface import HFLM

    from groundup.evaluate.lm_eval_adapter import GroundupLM

    torch.manual_seed(0)  # nothing here draws, but the library seeds what it likes
    theirs = HFLM(
        pretrained=str(write(judged.model, judged.run.path, tmp_path / "exported")),
        device="cpu",
        dtype="float32",
        batch_size=2,
    )
    mine = GroundupLM(judged.model, judged.encoding, judged.device)
    texts = [("The cat 3", " sat on the mat."), ("", "The dog 4 ate."), ("The cat 3", " bit."), ("a " * 40, "fig")]
    requests = [SimpleNamespace(args=pair) for pair in texts]
    for ours, their in zip(mine.loglikelihood(requests), theirs.loglikelihood(requests), strict=True):
        assert ours[0] == pytest.approx(their[0], rel=1e-4) and ours[1] == their[1]
    pages = ["The cat 3 sat on the mat and ate a fig.", "\n = Title = \n\n A bun , a pear : " + "The hen sat. " * 9]
    rolled = [SimpleNamespace(args=(page,)) for page in pages]
    their_sums = theirs.loglikelihood_rolling(rolled)
    assert mine.loglikelihood_rolling(rolled) == pytest.approx(their_sums, rel=1e-4)
    from groundup.evaluate.wikitext import detokenise

    plain = [SimpleNamespace(args=(detokenise(page),)) for page in pages]
    _, documents, _ = wikitext(judged.model, pages, judged.encoding, judged.device)
    assert (-documents.nats).tolist() == pytest.approx(theirs.loglikelihood_rolling(plain), rel=1e-4)
    asked = [SimpleNamespace(args=("The cat", dict(GREEDY)))]
    assert mine.generate_until(asked) == theirs.generate_until(asked)
