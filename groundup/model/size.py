"""How big a model is, without building it. Pure arithmetic: nothing here needs torch."""

from groundup.model.config import ModelConfig


def parameters(config: ModelConfig) -> dict[str, int]:
    """Exact number of parameters by part; their sum is the model's."""
    d, layers, vocabulary = config.width, config.layers, config.vocab_size
    keys = config.kv_heads * config.head_size
    parts = {"embedding": vocabulary * d}
    if config.family == "classic":
        parts["positions"] = config.context * d
        parts["attention"] = layers * (4 * d * d + 4 * d)
        parts["feed_forward"] = layers * (2 * d * config.feed_forward + config.feed_forward + d)
        parts["norms"] = (2 * layers + 1) * 2 * d
    else:
        parts["attention"] = layers * (2 * d * d + 2 * d * keys)
        parts["feed_forward"] = layers * 3 * d * config.feed_forward
        parts["norms"] = (2 * layers + 1) * d + layers * 2 * config.head_size
    if not config.tied:
        parts["head"] = vocabulary * d
    return parts


def rule_of_thumb(config: ModelConfig) -> int:
    """12 L d^2 + V d: four d x d matrices of attention and two d x 4d of feed-forward a layer, and the embedding."""
    return 12 * config.layers * config.width**2 + config.vocab_size * config.width


def flops_per_token(config: ModelConfig) -> int:
    """FLOPs of forward and backward for one training token: 6 (12 L d^2 + V d) + 12 L d T.

    Two for each multiply-add, three times the forward pass; the last term is attention (PaLM, Chowdhery et al. 2022,
    appendix B).
    """
    return 6 * rule_of_thumb(config) + 12 * config.layers * config.width * config.context
