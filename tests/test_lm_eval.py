"""lm-eval's numbers and ours are the same: through our adapter, through our own tasks, and on the exported model."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_recipe import small_recipe

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.evaluate.choice import credit
from groundup.evaluate.tasks import open_task
from groundup.evaluate.wikitext import evaluate as wikitext
from groundup.export.huggingface import write
from groundup.science.evaluation import Wanted, answers, evaluate
from groundup.science.evaluation_record import Judged, judge
from groundup.store.runs import find

pytest.importorskip("lm_eval", reason="needs the extra: pip install groundup[eval]")
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


def test_an_unknown_task_of_lm_evals_is_refused(judged: Judged) -> None:
    with pytest.raises(GroundupError) as refused:
        evaluate(judged.run, "best", Wanted(lm_eval=["no_such_task_at_all"]), "cpu")
    assert refused.value.code == "unknown-task"


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
