"""The stream of batches is a pure function of seed and step, and keeps to the mix."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.science.summary import mixture_lines
from groundup.tokens import tokenizer
from groundup.tokens.stream import (
    PERIOD,
    Stream,
    Windows,
    byte_shares,
    interleave,
    mixture,
    sequences,
    shares,
    token_shares,
)


def write(directory: Path, source: str, *lengths: int, base: int = 0) -> None:
    for number, length in enumerate(lengths):
        np.save(directory / f"{source}.train.{number:05}.npy", (np.arange(length) + base).astype(np.uint16))
        base += length


PINNED = [694, 10240, 934, 1323, 10368, 966, 86, 1179, 10048, 1243]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write(tmp_path, "a", 1003, 530)
    write(tmp_path, "b", 417, base=10_000)
    return tmp_path


def stream(shards: Path, seed: int = 3) -> Stream:
    return Stream(shards, {"a": 0.7, "b": 0.3}, context=16, tokens_per_update=16 * 10, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone(shards: Path) -> None:
    first, again = stream(shards), stream(shards)
    forwards = [first.batch(step) for step in range(40)]
    for step in (39, 7, 0, 21, 22):  # in another order, with another history
        np.testing.assert_array_equal(again.batch(step), forwards[step])
    assert not np.array_equal(stream(shards, seed=4).batch(0), forwards[0])


def test_each_window_of_an_epoch_comes_once_and_epochs_differ(shards: Path) -> None:
    windows = Windows([np.arange(1003), np.arange(5000, 5530)], context=16, key=1)
    epochs = [[windows.window(e * windows.total + n) for n in range(windows.total)] for e in range(3)]
    for epoch in epochs:
        inputs = np.concatenate([window[:-1] for window in epoch])
        assert len(np.unique(inputs)) == len(inputs) == windows.total * 16
        assert all((np.diff(window) == 1).all() for window in epoch)  # no window runs across shards
    assert [w[0] for w in epochs[0]] != [w[0] for w in epochs[1]]


def test_the_mix_is_met_exactly_over_each_period_and_closely_within(shards: Path) -> None:
    one = stream(shards)
    sources = np.concatenate([one.batch(step)[:, 0] >= 10_000 for step in range(PERIOD // 10)])
    assert sources.sum() == 0.3 * PERIOD
    drift = np.cumsum(sources) - 0.3 * np.arange(1, PERIOD + 1)
    assert np.abs(drift).max() <= 1


def test_the_order_in_which_a_recipe_lists_its_sources_changes_no_batch(shards: Path) -> None:
    turned = Stream(shards, {"b": 0.3, "a": 0.7}, context=16, tokens_per_update=16 * 10, seed=3)
    np.testing.assert_array_equal(turned.batch(5), stream(shards).batch(5))


SHARES = st.dictionaries(st.sampled_from("abcdef"), st.floats(1e-6, 1), min_size=1).map(
    lambda weights: {name: weight / sum(weights.values()) for name, weight in weights.items()}
)


@given(SHARES)
@settings(max_examples=50, deadline=None)
def test_shares_are_met_to_one_sequence_in_any_period(share: dict[str, float]) -> None:
    quota = sequences(share)
    assert list(quota) == sorted(share) and sum(quota.values()) == PERIOD
    assert all(abs(count - share[name] * PERIOD) <= 1 for name, count in quota.items())
    counts = list(quota.values())
    assert np.bincount(interleave(counts), minlength=len(counts)).tolist() == counts


def test_shares_follow_the_mix_or_the_sizes() -> None:
    assert shares({"a": 7, "b": 3, "c": 0}, {"a": 1, "b": 1, "c": 1}) == {"a": 0.7, "b": 0.3}
    assert shares(None, {"a": 300, "b": 100}) == {"a": 0.75, "b": 0.25}


def test_a_temperature_draws_the_shares_together_and_keeps_their_order() -> None:
    sizes = {"a": 900, "b": 100}
    assert shares(None, sizes, 1.0) == shares(None, sizes) == {"a": 0.9, "b": 0.1}
    assert shares(None, sizes, 2.0) == {"a": 0.75, "b": 0.25}  # square roots: 30 and 10
    assert shares(None, sizes, 1e9) == pytest.approx({"a": 0.5, "b": 0.5})


COUNTS = {name: {"tokens": 1000, "bytes": 1000 * size} for name, size in zip("abcdef", (1, 2, 3, 5, 7, 9), strict=True)}


@given(SHARES)
def test_shares_of_bytes_become_shares_of_tokens_and_back(share: dict[str, float]) -> None:
    assert sum(token_shares(share, COUNTS).values()) == pytest.approx(1)
    assert byte_shares(token_shares(share, COUNTS), COUNTS) == pytest.approx(share)


def test_a_mix_by_bytes_is_met_in_the_bytes_of_what_is_drawn(shards: Path) -> None:
    """Tokens of `b` (from 10,000 on) stand for 4 bytes each here, those of `a` for 1."""
    counts = {"a": {"tokens": 1533, "bytes": 1533}, "b": {"tokens": 417, "bytes": 4 * 417}}
    share = token_shares({"a": 0.5, "b": 0.5}, counts)
    assert share == pytest.approx({"a": 0.8, "b": 0.2})
    one = Stream(shards, share, context=16, tokens_per_update=16 * 10, seed=3)
    drawn = np.concatenate([one.batch(step)[:, :-1].ravel() for step in range(PERIOD // 10)])
    of_b = 4 * (drawn >= 10_000).sum()
    assert of_b == (drawn < 10_000).sum() == 0.8 * PERIOD * 16


# -- epochs ------------------------------------------------------------------------------------------------------------


def test_the_epochs_foretold_are_those_the_stream_draws(shards: Path) -> None:
    counts = {"a": {"tokens": 1533, "bytes": 6000}, "b": {"tokens": 417, "bytes": 1700}, "c": {"tokens": 9, "bytes": 9}}
    share, steps = {"a": 0.7, "b": 0.3}, 2 * PERIOD // 10
    rows = {row["source"]: row for row in mixture(share, counts, seen=steps * 160)}
    one = Stream(shards, share, context=16, tokens_per_update=160, seed=3)
    drawn = np.concatenate([one.batch(step)[:, :-1].ravel() for step in range(steps)])
    assert rows["a"]["epochs"] == (drawn < 10_000).sum() / 1533
    assert rows["b"]["epochs"] == (drawn >= 10_000).sum() / 417
    assert rows["c"] == {
        "source": "c", "share of tokens": 0.0, "share of bytes": 0.0, "tokens available": 9, "epochs": 0.0
    }  # fmt: skip


def test_more_than_four_epochs_of_a_source_are_warned_of() -> None:
    counts = {"a": {"tokens": 1000, "bytes": 1000}, "b": {"tokens": 1000, "bytes": 1000}}
    few = mixture_lines(mixture({"a": 0.5, "b": 0.5}, counts, seen=8000))
    assert len(few) == 3 and "4.0000" in few[1]
    many = mixture_lines(mixture({"a": 0.6, "b": 0.4}, counts, seen=8000))
    assert len(many) == 4 and many[3].startswith("warning: a is seen 4.8 times")


def test_a_source_whose_share_rounds_to_nothing_is_named() -> None:
    counts = {"a": {"tokens": 10**6, "bytes": 10**6}, "b": {"tokens": 10**2, "bytes": 10**2}}
    share = shares(None, {name: count["tokens"] for name, count in counts.items()})
    lines = mixture_lines(mixture(share, counts, seen=10**7))
    assert any(line.startswith("warning: b is never drawn") for line in lines)


# -- the mix and the stages --------------------------------------------------------------------------------------------


@pytest.fixture
def two(tiny: Path) -> list[str]:
    """Overrides that add a second source, whose tokens stand for other numbers of bytes than those of the first."""
    (tiny.parent / "other.txt").write_text("\n---\n".join(f"Number {n} is {n * 7} over seven." for n in range(90)))
    return [f"data.sources.other.path={tiny.parent / 'other.txt'}", "data.sources.other.delimiter=---"]


def test_with_the_tokenizer_kept_no_change_of_the_mix_packs_anything_again(
    tiny: Path, two: list[str], tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    first = pipeline.make_shards(resolve(str(tiny), two).recipe, lab)
    kept, names = [*two, f"tokenizer.use={first.tokenizer.id}"], set()
    for change in (
        ["data.mix={mine: 0.7, other: 0.3}"],
        ["data.mix={mine: 0.7, other: 0.3}", "data.mix_by=bytes"],
        ["data.mix={other: 1}"],
        ["data.temperature=3"],
        ["data.temperature=3", "data.mix_by=bytes"],
    ):
        recipe = resolve(str(tiny), [*kept, *change]).recipe
        inputs = pipeline.make_shards(recipe, lab)
        assert [each.id for each in inputs.artifacts] == [each.id for each in first.artifacts]
        names.add(pipeline.run_of(recipe, inputs, lab).name)
    assert len(names) == 5, "each is a training of its own"


def test_a_recipe_s_shares_of_bytes_are_met_by_the_text_that_training_draws(
    tiny: Path, two: list[str], tmp_path: Path
) -> None:
    recipe = resolve(str(tiny), [*two, "data.mix={mine: 0.4, other: 0.6}", "data.mix_by=bytes"]).recipe
    inputs = pipeline.make_shards(recipe, tmp_path / "lab")
    share = pipeline.training_shares(recipe, inputs)
    rows = {row["source"]: row for row in pipeline.planned_mixture(recipe, inputs)}
    assert {name: row["share of bytes"] for name, row in rows.items()} == pytest.approx({"mine": 0.4, "other": 0.6})
    sizes = tokenizer.open_tokenizer(inputs.tokenizer.path / tokenizer.FILE).token_bytes
    drawn = dict.fromkeys(share, 0)
    order = sorted(share)
    one = Stream(inputs.shards.path, share, context=16, tokens_per_update=16 * PERIOD, seed=1)
    for step in range(4):
        for source, window in zip(one.order, one.batch(step), strict=True):
            drawn[order[source]] += int(sizes[window[:-1]].sum())
    assert drawn["mine"] / sum(drawn.values()) == pytest.approx(0.4, abs=0.003)


def test_the_order_of_data_does_not_change_between_versions(shards: Path) -> None:
    """A pinned batch: a change here changes what every seed means and needs a new version of the stage."""
    batch = stream(shards).batch(5)
    assert batch[:, 0].tolist() == PINNED


def test_less_than_a_window_of_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", 16)
    with pytest.raises(GroundupError, match="fewer training tokens") as refusal:
        Stream(tmp_path, {"a": 1.0}, context=16, tokens_per_update=16, seed=0)
    assert refusal.value.code == "text-too-short"


def test_a_run_shows_its_mixture_before_training_and_records_it(
    tiny: Path, two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tiny), *two, "data.mix={mine: 0.5, other: 0.5}", "train.steps=400", "train.valid_every=400"]
    assert main([*command, "train.checkpoint_every=400", "--lab", str(tmp_path / "lab"), "--json"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    lineage = json.loads((Path(facts["path"]) / "lineage.json").read_text())
    shards = json.loads((Path(facts["path"]) / "shards.json").read_text())["counts"]
    assert facts["mix"] == lineage["mix"] == {"mine": 0.5, "other": 0.5}
    assert facts["epochs"] == lineage["epochs"]
    for name, epochs in facts["epochs"].items():
        assert epochs == pytest.approx(400 * 64 * 0.5 / shards[name]["train"]["tokens"])
    before = err.partition("step ")[0]
    assert "share of tokens  share of bytes  tokens available" in before
    assert f"warning: other is seen {facts['epochs']['other']:.1f} times" in before
