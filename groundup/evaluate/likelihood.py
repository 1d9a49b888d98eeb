"""Log-probabilities of a task's options, each item one row: what its options share is computed once.

A row holds the tokens that all options begin with, and then what follows in each, one behind the other:

    positions  0    1    2   3     4     5      4    5
    tokens     END  Who  is  she | kissing him  kiss by

Every branch keeps the positions that it would have by itself, and its tokens look at the shared ones and at their own
branch, so the numbers are those of each option by itself (a test compares them). Rows of like length make a batch, so
little is padding, and no row sees another.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.evaluate.score import UNKNOWN_NATS
from groundup.evaluate.windows import check_finite, too_little
from groundup.model.transformer import Transformer
from groundup.train.precision import Device

# Tokens of the rows that go together: on a CPU as many as its caches like (docs/log.md), elsewhere as memory allows.
ROW_TOKENS = {"cpu": 512, "mps": 16_384, "cuda": 65_536}


@dataclass(frozen=True)
class Option:
    """Tokens of a text that begins with end-of-text; those from `first` on are what is scored."""

    ids: list[int]
    first: int


@dataclass(frozen=True)
class Likelihood:
    nats: float
    """-ln p of the scored tokens."""
    greedy: bool
    """Whether each of them is the likeliest one at its place."""


@dataclass(frozen=True)
class _Row:
    item: int
    tokens: list[int]
    positions: list[int]
    branches: list[int]  # of each token: 0 for the shared ones, else its option's number from 1
    places: list[int]  # of each prediction: where in the row it is made,
    targets: list[int]  # what is predicted,
    owners: list[int]  # and for which option; -1 for all


@torch.no_grad()
def likelihoods(
    model: Transformer, items: Sequence[Sequence[Option]], device: Device, unknown: int | None = None
) -> Iterator[tuple[int, list[Likelihood]]]:
    """(number of an item, what each of its options has), in the order in which they are done: by length.

    Options of an item with equal tokens have equal numbers, to the last bit. `unknown`: id of <|unk|>, which costs a
    choice among all characters besides. Raises GroundupError `out-of-memory`, `not-finite`.
    """
    was_training = model.training
    model.eval()
    rows = sorted(map(_row, range(len(items)), items), key=lambda row: len(row.tokens))
    groups = deque(_batches(rows, ROW_TOKENS[device.device.type]))
    while groups:
        group = groups.popleft()
        try:
            nats, greedy = _predict(model, group, device)
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise too_little(device) from None
            groups.extendleft([group[len(group) // 2 :], group[: len(group) // 2]])
            continue
        check_finite(nats)
        start = 0
        for row in group:
            end = start + len(row.targets)
            yield row.item, _collect(row, items[row.item], nats[start:end], greedy[start:end], unknown)
            start = end
    model.train(was_training)


def _row(number: int, options: Sequence[Option]) -> _Row:
    distinct = list({tuple(option.ids): None for option in options})
    shared = min(map(len, distinct))
    for place, alike in enumerate(zip(*distinct, strict=False)):
        if len(set(alike)) > 1:
            shared = place
            break
    first = min(option.first for option in options)
    tokens = list(distinct[0][:shared])
    seen = shared - (len(distinct) == 1)  # nothing is predicted from the last token of all
    places = list(range(first - 1, shared - 1))
    targets = tokens[first:]
    tokens, positions, branches, owners = tokens[:seen], list(range(seen)), [0] * seen, [-1] * len(targets)
    for owner, ids in enumerate(distinct):
        branch = ids[shared:]
        begin = max(first, shared)  # the first target in the branch
        places += [shared - 1 if at == shared else len(tokens) + at - 1 - shared for at in range(begin, len(ids))]
        targets += ids[begin:]
        owners += [owner] * (len(ids) - begin)
        tokens += branch[:-1]  # nothing is predicted from the last one
        positions += range(shared, shared + len(branch) - 1)
        branches += [owner + 1] * (len(branch) - 1)
    return _Row(number, tokens, positions, branches, places, targets, owners)


def _collect(
    row: _Row, options: Sequence[Option], nats: np.ndarray, greedy: np.ndarray, unknown: int | None
) -> list[Likelihood]:
    """What the predictions of a row say of each option."""
    distinct = {tuple(ids): number for number, ids in enumerate({tuple(option.ids): None for option in options})}
    first = min(option.first for option in options)
    owners, costs = np.array(row.owners), nats.astype(np.float64)
    if unknown is not None:
        costs = costs + UNKNOWN_NATS * (np.array(row.targets) == unknown)
    common, found = owners == -1, []
    for option in options:
        own = owners == distinct[tuple(option.ids)]
        skip = option.first - first  # predictions that another option counts and this one does not
        cost = np.concatenate([costs[common], costs[own]])[skip:]
        found.append(Likelihood(float(cost.sum()), bool(np.concatenate([greedy[common], greedy[own]])[skip:].all())))
    return found


def _batches(rows: list[_Row], most: int) -> Iterator[list[_Row]]:
    """Rows, sorted by length, in groups that take at most so many tokens with their padding."""
    group: list[_Row] = []
    for row in rows:
        if group and (len(group) + 1) * len(row.tokens) > most:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _predict(model: Transformer, rows: list[_Row], device: Device) -> tuple[np.ndarray, np.ndarray]:
    """(-ln p, whether it is the likeliest token) of every prediction of the rows, end to end."""
    length = max(len(row.tokens) for row in rows)
    tokens, positions, branches = (np.zeros((len(rows), length), np.int64) for _ in range(3))
    branches -= 1  # padding is a branch of its own
    for number, row in enumerate(rows):
        size = len(row.tokens)
        tokens[number, :size], positions[number, :size], branches[number, :size] = (
            row.tokens,
            row.positions,
            row.branches,
        )
    where = np.concatenate([np.array(row.places) + number * length for number, row in enumerate(rows)])
    target = np.concatenate([row.targets for row in rows])
    to = device.device
    shape = [torch.from_numpy(part).to(to) for part in (tokens, positions, branches)]
    hidden = _hidden(model, shape[0], shape[1], shape[2], device)
    chosen = hidden.flatten(0, 1)[torch.from_numpy(where).to(to)].float()  # (N, d)
    targets = torch.from_numpy(target).to(to)
    logits = F.linear(chosen, model.head_weight.float())  # in fp32: options are often close to one another
    nats = F.cross_entropy(logits, targets, reduction="none")
    return nats.cpu().numpy(), (logits.argmax(-1) == targets).cpu().numpy()


def _hidden(model: Transformer, tokens: Tensor, positions: Tensor, branches: Tensor, device: Device) -> Tensor:
    """`Transformer.hidden` for rows (B, T) that branch, (B, T, d)."""
    visible = (branches[:, None, :] == branches[:, :, None]) | (branches[:, None, :] == 0)
    mask = (visible & torch.ones_like(visible[0]).tril())[:, None]  # (B, 1, T, T)
    with device.autocast():
        x, rotation = model.embedding(tokens), None
        if model.config.positions == "learned":
            x = x + model.positions.weight[positions]
        else:
            cosine, sine = model.get_buffer("cosine"), model.get_buffer("sine")
            rotation = cosine[positions][:, None], sine[positions][:, None]  # (B, 1, T, s)
        for block in model.blocks:
            x = block(x, rotation, mask)
        return model.norm(x)
