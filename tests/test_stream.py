"""The stream of batches is a pure function of seed and step, and keeps to the mix."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.recipe.load import resolve
from groundup.science import pipeline
from groundup.science.summary import mixture_lines
from groundup.tokens import encoding, feed
from groundup.tokens.feed import open_feed
from groundup.tokens.mix import assign, byte_shares, ladder, mixture, shares, token_shares
from groundup.tokens.pack import DOCUMENT
from groundup.tokens.shuffle import keys, shuffled
from groundup.tokens.stream import Stream
from groundup.tokens.windows import Cut, Windows, document_windows

CPU = torch.device("cpu")


def write(directory: Path, source: str, *lengths: int, base: int = 0, document: int = 50) -> None:
    """Shards of consecutive numbers, so that a token tells its place; a document every so many tokens."""
    for number, length in enumerate(lengths):
        np.save(directory / f"{source}.train.{number:05}-000.npy", (np.arange(length) + base).astype(np.uint16))
        documents = np.zeros(-(-length // document), DOCUMENT)
        documents["start"] = np.arange(len(documents)) * document
        np.save(directory / f"{source}.train.{number:05}-000.documents.npy", documents)
        base += length


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write(folder, "a", 1003, 530)
    write(folder, "b", 417, base=10_000)
    return folder


def stream(shards: Path, seed: int = 3, cut: Cut = "packed", rank: int = 0, world: int = 1) -> Stream:
    return Stream(shards, {"a": 0.7, "b": 0.3}, 16, 16 * 12, seed, cut, rank, world)


# -- a pure function of seed and step ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["packed", "documents"])
def test_a_batch_depends_on_seed_and_step_alone(shards: Path, cut: Cut) -> None:
    first, again = stream(shards, cut=cut), stream(shards, cut=cut)
    forwards = [first.batch(step) for step in range(60)]
    for step in (59, 7, 0, 21, 22):  # in another order, with another history
        np.testing.assert_array_equal(again.batch(step), forwards[step])
    assert not np.array_equal(stream(shards, seed=4, cut=cut).batch(0), forwards[0])


KINDS = st.sampled_from(["memory", "prefetch", "resident"])


@given(
    steps=st.lists(st.integers(0, 500), min_size=1, max_size=8),
    kind=KINDS,
    workers=st.integers(1, 4),
    world=st.sampled_from([1, 2, 3, 4]),
    cut=st.sampled_from(["packed", "documents"]),
)
@settings(max_examples=60, deadline=None)
def test_every_feed_worker_count_and_number_of_processes_sees_the_same_tokens(
    shards: Path, steps: list[int], kind: feed.Kind, workers: int, world: int, cut: Cut
) -> None:
    whole = stream(shards, cut=cut)
    for rank in range(world):
        part = stream(shards, cut=cut, rank=rank, world=world)
        one = feed.Prefetch(part, CPU, workers) if kind == "prefetch" else open_feed(kind, part, CPU)
        for step in [*steps, steps[-1] + 1, steps[-1] + 2]:  # jumps, as resuming does, and then straight on
            np.testing.assert_array_equal(one.batch(step).numpy(), whole.batch(step)[rank::world])
        one.close()


def test_tokens_above_32767_and_of_32_bits_come_through_resident_memory_as_they_are(tmp_path: Path) -> None:
    for kind, top in (("<u2", 65_535), ("<u4", 999_999)):
        np.save(tmp_path / "a.train.00000-000.npy", np.arange(top - 99, top + 1).astype(kind))
        one = Stream(tmp_path, {"a": 1.0}, 8, 64, 1)
        np.testing.assert_array_equal(open_feed("resident", one, CPU).batch(0).numpy(), one.batch(0))


def test_what_goes_wrong_in_the_background_comes_out_in_the_foreground(shards: Path) -> None:
    one = stream(shards)
    one.windows[0].read = lambda start, out: (_ for _ in ()).throw(OSError("the disk is gone"))  # type: ignore[method-assign]
    broken = feed.Prefetch(one, CPU)
    with pytest.raises(OSError, match="the disk is gone"):
        broken.batch(0)
    broken.close()


def test_processes_that_cannot_share_a_batch_evenly_are_refused(shards: Path) -> None:
    with pytest.raises(GroundupError, match="12 sequences") as refusal:
        stream(shards, world=5)
    assert refusal.value.code == "recipe-conflict"


# -- shuffling and windows ---------------------------------------------------------------------------------------------


@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_a_shuffled_order_holds_everything_once(size: int, key: int, epoch: int) -> None:
    places = np.arange(size)
    order = shuffled(places, size, keys(key, np.full(size, epoch)))
    assert sorted(order.tolist()) == places.tolist()
    some = places[:: max(1, size // 7)]  # any part of it by itself
    assert shuffled(some, size, keys(key, np.full(len(some), epoch))).tolist() == order[some].tolist()


def test_a_shuffled_order_looks_like_chance() -> None:
    size = 10_000
    places = np.arange(size)
    orders = [shuffled(places, size, keys(7, np.full(size, epoch))) for epoch in range(3)]
    for order in orders:
        assert abs(np.corrcoef(order, places)[0, 1]) < 0.05  # 5 standard deviations
        assert 0.2 < np.mean(np.diff(order) < 0) < 0.8
        assert abs((order == places).sum() - 1) <= 6  # a random permutation has one fixed point on average
    assert abs(np.corrcoef(orders[0], orders[1])[0, 1]) < 0.05


def windows(cut: Cut = "packed", context: int = 16) -> Windows:
    shards = [np.arange(1003), np.arange(1003, 1533)]
    starts = [np.zeros(21, DOCUMENT), np.zeros(11, DOCUMENT)]
    for one in starts:
        one["start"] = np.arange(len(one)) * 50
    return Windows("a", shards, starts, context, 1, cut)


def tokens(one: Windows, number: int) -> np.ndarray:
    out = np.empty(one.context + 1, np.int64)
    one.read(int(one.starts(np.array([number]))[0]), out)
    return out


def test_each_token_comes_once_an_epoch_and_epochs_are_cut_and_ordered_anew() -> None:
    one = windows()
    epochs = [[tokens(one, e * one.count + n) for n in range(one.count)] for e in range(3)]
    for epoch in epochs:
        inputs = np.concatenate([window[:-1] for window in epoch])
        assert len(np.unique(inputs)) == len(inputs) == one.count * 16 > 1533 - 2 * 16
        assert all(set(np.diff(window).tolist()) <= {1, -1532} for window in epoch)  # the end is joined to the start
    assert len({window[0] % 16 for epoch in epochs for window in epoch}) >= 3
    assert [w[0] for w in epochs[0]] != [w[0] for w in epochs[1]]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    context=st.integers(2, 30),
)
@settings(max_examples=200, deadline=None)
def test_windows_at_documents_begin_with_one_or_go_on_in_a_long_one_and_leave_no_token_out(
    lengths: list[int], context: int
) -> None:
    starts = np.cumsum([0, *lengths[:-1]])
    size = sum(lengths)
    begins = document_windows(starts, size, context).tolist()
    seen = {place for begin in begins for place in range(begin, min(size, begin + context + 1))}
    assert seen == set(range(size))
    for before, begin in zip([None, *begins], begins, strict=False):
        inside_of = starts[np.searchsorted(starts, begin, side="right") - 1]
        assert begin in starts or (begin == before + context and inside_of <= before)


def test_a_source_of_more_than_2_to_the_32_tokens_is_read_to_its_end() -> None:
    size = 2**32 + 1000
    shards = [np.broadcast_to(np.uint16(1), (2**32,)), np.broadcast_to(np.uint16(2), (1000,))]
    one = Windows("a", shards, [], 512, 1, "packed")
    assert one.size == size and one.count == (size - 1) // 512
    starts = one.starts(np.arange(4000))
    assert starts.max() > 2**31 and (starts >= 0).all() and (starts < size).all()
    out = np.empty(20, np.int64)
    one.read(2**32 - 10, out)
    assert out.tolist() == [1] * 10 + [2] * 10
    one.read(size - 5, out)
    assert out.tolist() == [2] * 5 + [1] * 15


# -- the mix -----------------------------------------------------------------------------------------------------------

SHARES = st.dictionaries(st.sampled_from("abcdef"), st.floats(1e-6, 1), min_size=1).map(
    lambda weights: {name: weight / sum(weights.values()) for name, weight in weights.items()}
)


@given(share=SHARES, first=st.integers(0, 2**31), length=st.integers(1, 5000))
@settings(max_examples=150, deadline=None)
def test_any_stretch_of_the_stream_has_the_mix_to_within_a_few_sequences_whatever_its_length(
    share: dict[str, float], first: int, length: int
) -> None:
    weights = [share[name] for name in sorted(share)]
    source, number = assign(first + np.arange(length), ladder(weights))
    counts = np.bincount(source, minlength=len(weights))
    for index, weight in enumerate(weights):
        assert abs(counts[index] - weight * length) <= index + 2
        mine = number[source == index]
        assert (np.diff(mine) == 1).all()  # each source is read straight through, none left out, none twice


def test_a_share_that_no_thousandth_can_express_is_met_in_the_long_run() -> None:
    share = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3 - 1e-4, "d": 1e-4}
    source, _ = assign(np.arange(3_000_000), ladder([share[name] for name in sorted(share)]))
    assert np.abs(np.bincount(source) - np.array([1e6, 1e6, 999_700, 300])).max() <= 3


def test_the_order_in_which_a_recipe_lists_its_sources_changes_no_batch(shards: Path) -> None:
    turned = Stream(shards, {"b": 0.3, "a": 0.7}, 16, 16 * 12, 3)
    np.testing.assert_array_equal(turned.batch(5), stream(shards).batch(5))


def test_another_source_leaves_the_order_within_a_source_as_it_was(shards: Path) -> None:
    alone, mixed = Stream(shards, {"a": 1.0}, 16, 160, 3), stream(shards)
    assert alone.windows[0].starts(np.arange(50)).tolist() == mixed.windows[0].starts(np.arange(50)).tolist()


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
    drawn = np.concatenate([one.batch(step)[:, :-1].ravel() for step in range(100)])
    of_b = 4 * (drawn >= 10_000).sum()
    assert of_b == (drawn < 10_000).sum() == 0.8 * 1000 * 16


# -- epochs ------------------------------------------------------------------------------------------------------------


def test_the_epochs_foretold_are_those_the_stream_draws(shards: Path) -> None:
    counts = {"a": {"tokens": 1533, "bytes": 6000}, "b": {"tokens": 417, "bytes": 1700}, "c": {"tokens": 9, "bytes": 9}}
    share, steps = {"a": 0.7, "b": 0.3}, 200
    rows = {row["source"]: row for row in mixture(share, counts, seen=steps * 160)}
    one = Stream(shards, share, context=16, tokens_per_update=160, seed=3)
    drawn = np.concatenate([one.batch(step)[:, :-1].ravel() for step in range(steps)])
    assert rows["a"]["epochs"] == pytest.approx((drawn < 10_000).sum() / 1533, abs=0.02)
    assert rows["b"]["epochs"] == pytest.approx((drawn >= 10_000).sum() / 417, abs=0.05)
    assert rows["c"] == {
        "source": "c", "share of tokens": 0.0, "share of bytes": 0.0, "tokens available": 9, "epochs": 0.0
    }  # fmt: skip


def test_more_than_four_epochs_of_a_source_are_warned_of() -> None:
    counts = {"a": {"tokens": 1000, "bytes": 1000}, "b": {"tokens": 1000, "bytes": 1000}}
    few = mixture_lines(mixture({"a": 0.5, "b": 0.5}, counts, seen=8000))
    assert len(few) == 3 and "4.0000" in few[1]
    many = mixture_lines(mixture({"a": 0.6, "b": 0.4}, counts, seen=8000))
    assert len(many) == 4 and many[3].startswith("warning: a is seen 4.8 times")


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
    sizes = encoding.open_tokenizer(inputs.tokenizer.path / encoding.FILE).token_bytes
    drawn = dict.fromkeys(share, 0)
    order = sorted(share)
    one = Stream(inputs.shards.path, share, context=16, tokens_per_update=16_000, seed=1)
    for step in range(4):
        for source, window in zip(one.places(step)[0], one.batch(step), strict=True):
            drawn[order[source]] += int(sizes[window[:-1]].sum())
    assert drawn["mine"] / sum(drawn.values()) == pytest.approx(0.4, abs=0.003)


def test_the_order_of_data_does_not_change_between_versions(shards: Path) -> None:
    """A pinned batch: a change here changes what every seed means and needs a new version of the stage."""
    batch = stream(shards).batch(5)
    assert batch[:, 0].tolist() == [1020, 908, 1052, 10371, 111, 63, 10002, 31, 1084, 10275, 79, 1516]


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
