"""How big a model is, without building it. Pure arithmetic: nothing here needs torch."""

from groundup.model.config import ModelConfig


def parameters(config: ModelConfig) -> dict[str, int]:
    """Exact number of parameters by part; their sum is the model's."""
    c, d, layers = config, config.width, config.layers
    matrices, norms = block_matrices(c), 2 * layers + 1
    parts = {
        "embedding": c.vocab_size * d,
        "attention": layers * matrices["attention"],
        "feed_forward": layers * matrices["feed_forward"],
        "norms": norms * d + (layers * 2 * c.head_size if c.qk_norm else 0),
    }
    if c.bias:
        parts["attention"] += layers * ((c.heads + 2 * c.kv_heads) * c.head_size + d)
        parts["feed_forward"] += layers * ((2 if c.gated else 1) * c.feed_forward + d)
        parts["norms"] += norms * d if c.norm == "layer" else 0
    if c.positions == "learned":
        parts["positions"] = c.context * d
    if not c.tied:
        parts["head"] = c.vocab_size * d
    return parts


def block_matrices(config: ModelConfig) -> dict[str, int]:
    """Parameters of the matrices of one block, by part."""
    c = config
    return {
        "attention": c.width * (c.heads + 2 * c.kv_heads) * c.head_size + c.width**2,
        "feed_forward": (3 if c.gated else 2) * c.width * c.feed_forward,
    }


def rule_of_thumb(config: ModelConfig) -> int:
    """12 L d^2 + V d: four d x d matrices of attention and two d x 4d of feed-forward a layer, and the embedding."""
    return 12 * config.layers * config.width**2 + config.vocab_size * config.width


def flops_per_token(config: ModelConfig) -> int:
    """FLOPs of forward and backward for one training token: 6 (12 L d^2 + V d) + 12 L d T.

    Two for each multiply-add, three times the forward pass; the last term is attention as if every token looked at T
    (PaLM, Chowdhery et al. 2022, appendix B). MFU is measured by this number, so that it compares with others'.
    """
    return 6 * rule_of_thumb(config) + 12 * config.layers * config.width * config.context


def forward_flops_per_token(config: ModelConfig) -> dict[str, int]:
    """FLOPs of the matrix products of one token's forward pass, by part; training takes three times their sum.

    2 for each parameter of a matrix that multiplies the token, and in attention, for each layer, 2 d for the products
    with keys and 2 d for the sum of values at each place that the token looks at: (T + 1) / 2 of T on average, as it
    does not look ahead. Norms, activations and the softmax are not counted.
    """
    c, matrices = config, block_matrices(config)
    return {
        "attention": 2 * c.layers * matrices["attention"],
        "attention_scores": 2 * c.layers * c.width * (c.context + 1),
        "feed_forward": 2 * c.layers * matrices["feed_forward"],
        "head": 2 * c.width * c.vocab_size,
    }
