"""Whatever computes it, attention is softmax(Q K^T / sqrt(s) + mask) V, and nothing leaks through the mask."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import KINDS, MODERN, configs, scrambled
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from groundup.model.attention import attend, document_ids, document_mask, reference_attend
from groundup.model.config import ModelConfig

END = 3


def heads(seed: int, batch: int, count: int, length: int, size: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, length, size, generator=random, dtype=torch.double, requires_grad=True)


def some_documents(seed: int, batch: int, length: int) -> Tensor:
    tokens = torch.randint(6, (batch, length), generator=torch.Generator().manual_seed(seed))
    return document_ids(tokens, END)


SHAPES: Any = {
    "seed": st.integers(0, 1000),
    "batch": st.integers(1, 3),
    "keys": st.integers(1, 3),
    "group": st.integers(1, 3),
    "length": st.integers(1, 12),
    "size": st.integers(1, 5),
    "packed": st.booleans(),
}


# -- the formula by hand -----------------------------------------------------------------------------------------------


def test_masked_attention_by_hand() -> None:
    """Two tokens, s = 4. The second's products with the keys are 2 ln 3 and 0: by sqrt(4) and through the softmax, 3/4
    and 1/4. The first, which may not look ahead, takes its own value whole."""
    q = torch.tensor([[1.0, 0, 0, 0], [2 * math.log(3), 0, 0, 0]])[None, None]
    k = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]])[None, None]
    v = torch.tensor([[1.0, 0, 0, 8], [5.0, 4, 0, 0]])[None, None]
    expected = torch.tensor([[1.0, 0, 0, 8], [0.75 * 1 + 0.25 * 5, 0.25 * 4, 0, 0.75 * 8]])[None, None]
    for paths in (attend, reference_attend):
        torch.testing.assert_close(paths(q, k, v, causal=True), expected)


def test_without_the_division_by_the_root_of_the_head_size_the_weights_would_be_others() -> None:
    q, k = torch.full((1, 1, 1, 9), 1.0), torch.eye(9)[None, None, :2] * math.log(2) * 3
    v = torch.eye(2)[None, None]  # so what comes out is the weights; both products are 3 ln 2
    torch.testing.assert_close(attend(q, k, v, causal=False), torch.full((1, 1, 1, 2), 0.5))
    q = torch.tensor([[1.0] + [0.0] * 8])[None, None]  # the products are 3 ln 2 and 0, and s = 9
    torch.testing.assert_close(attend(q, k, v, causal=False), torch.tensor([[[[2 / 3, 1 / 3]]]]))


# -- the ways to compute it --------------------------------------------------------------------------------------------


@given(**SHAPES, causal=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_door_and_the_formula_give_equal_outputs_and_gradients(
    seed: int, batch: int, keys: int, group: int, length: int, size: int, packed: bool, causal: bool
) -> None:
    q = heads(seed, batch, keys * group, length, size)
    k, v = heads(seed + 1, batch, keys, length, size), heads(seed + 2, batch, keys, length, size)
    documents = some_documents(seed, batch, length) if packed else None
    mask = None if documents is None else document_mask(documents, blocks=False)
    mine = attend(q, k, v, causal=causal, mask=mask)
    expected = reference_attend(q, k, v, causal=causal, documents=documents)
    torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn_like(expected)
    for one, other in zip(
        *(torch.autograd.grad((y * weights).sum(), (q, k, v)) for y in (mine, expected)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@given(**SHAPES)
@settings(max_examples=10, deadline=None)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_blocks_and_the_boolean_mask_let_the_same_be_seen(
    seed: int, batch: int, keys: int, group: int, length: int, size: int, packed: bool
) -> None:
    q = heads(seed, batch, keys * group, length, size).detach()  # on a CPU FlexAttention has no backward pass
    k, v = (heads(seed + more, batch, keys, length, size).detach() for more in (1, 2))
    documents = some_documents(seed, batch, length) if packed else torch.zeros(batch, length, dtype=torch.long)
    blocks = document_mask(documents, blocks=True)
    assert isinstance(blocks, BlockMask)
    mine = flex_attention(q, k, v, block_mask=blocks, enable_gqa=group > 1)
    expected = attend(q, k, v, causal=True, mask=document_mask(documents, blocks=False))
    torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-6)


def test_the_compiler_sees_through_the_door_with_blocks() -> None:
    q, k, v = (heads(seed, 2, 2, 16, 16).detach().float() for seed in range(3))
    documents = some_documents(0, 2, 16)

    def through(q: Tensor, k: Tensor, v: Tensor, documents: Tensor) -> Tensor:
        return attend(q, k, v, causal=True, mask=document_mask(documents, blocks=True))

    mine = torch.compile(through, backend="aot_eager", fullgraph=True)(q, k, v, documents)
    torch.testing.assert_close(mine, reference_attend(q, k, v, causal=True, documents=documents))


# -- what may be seen --------------------------------------------------------------------------------------------------


def test_an_end_token_belongs_to_the_document_that_is_predicted_from_it() -> None:
    tokens = torch.tensor([[5, 5, END, 4, END, END, 4], [END, 5, 5, 5, 5, 5, END]])
    assert document_ids(tokens, END).tolist() == [[0, 0, 1, 1, 2, 3, 3], [1, 1, 1, 1, 1, 1, 2]]


@given(configs(), st.integers(0, 1000), st.integers(1, 7), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_later_token_changes_no_earlier_output(config: ModelConfig, seed: int, place: int, packed: bool) -> None:
    model = scrambled(config)
    tokens = torch.randint(11, (2, 8), generator=torch.Generator().manual_seed(seed))
    changed = tokens.clone()
    changed[:, place] = (changed[:, place] + 1) % 11
    documents = some_documents(seed, 2, 8) if packed else None
    before, after = model(tokens, documents), model(changed, documents)
    torch.testing.assert_close(before[:, :place], after[:, :place], rtol=0, atol=1e-5)
    assert not torch.equal(before[:, place:], after[:, place:])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaks_from_one_document_into_another(kind: str) -> None:
    config = KINDS[kind]
    model = scrambled(config)
    tokens = torch.randint(4, 90, (1, 20))
    tokens[0, [0, 7, 12]] = END
    documents, other = document_ids(tokens, END), tokens.clone()
    other[0, 8:12] = (other[0, 8:12] + 1) % 90
    before, after = model(tokens, documents), model(other, documents)
    apart = torch.cat([torch.arange(8), torch.arange(12, 20)])
    torch.testing.assert_close(before[:, apart], after[:, apart], rtol=0, atol=1e-5)
    assert not torch.allclose(model(tokens)[:, 12:], model(other)[:, 12:], rtol=0, atol=1e-3), "without ids it would"


def test_a_packed_document_is_read_as_if_it_stood_alone() -> None:
    """With rotary positions, which are relative, so where a document begins makes no difference."""
    model = scrambled(MODERN)
    one, two = torch.randint(4, 97, (1, 9)), torch.randint(4, 97, (1, 15))
    one[0, 0] = two[0, 0] = END
    packed = torch.cat([one, two], dim=1)
    together = model(packed, document_ids(packed, END))
    torch.testing.assert_close(together, torch.cat([model(one), model(two)], dim=1), rtol=0, atol=1e-5)
