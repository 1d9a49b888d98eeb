"""The stream of batches is a pure function of seed and step, and keeps to the mix."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.tokens.stream import PERIOD, Stream, Windows, interleave, shares


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


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_shares_are_met_to_one_sequence_in_any_period(weights: list[float]) -> None:
    share = [weight / sum(weights) for weight in weights]
    order = interleave(share)
    counts = np.bincount(order, minlength=len(share))
    assert counts.sum() == PERIOD
    assert np.abs(counts - np.array(share) * PERIOD).max() <= 1


def test_shares_follow_the_mix_or_the_sizes() -> None:
    assert shares({"a": 7, "b": 3, "c": 0}, {"a": 1, "b": 1, "c": 1}) == {"a": 0.7, "b": 0.3}
    assert shares(None, {"a": 300, "b": 100}) == {"a": 0.75, "b": 0.25}


def test_the_order_of_data_does_not_change_between_versions(shards: Path) -> None:
    """A pinned batch: a change here changes what every seed means and needs a new version of the stage."""
    batch = stream(shards).batch(5)
    assert batch[:, 0].tolist() == PINNED


def test_less_than_a_window_of_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", 16)
    with pytest.raises(GroundupError, match="fewer training tokens") as refusal:
        Stream(tmp_path, {"a": 1.0}, context=16, tokens_per_update=16, seed=0)
    assert refusal.value.code == "text-too-short"
