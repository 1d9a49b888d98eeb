"""The recipe: everything about one experiment, typed. The docstring of a field is its help text in `groundup show`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from groundup.recipe.sampling import PRESETS

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0, le=2**53)]  # the largest that JSON readers, which use floats, keep exact
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]  # becomes part of file names


Text = Annotated[str, Field(min_length=1)]
Paths = Text | Annotated[list[Text], Field(min_length=1)]
Rule = Literal["length", "symbols", "repetition", "c4", "boilerplate", "language"]
Share = Annotated[float, Field(ge=0, le=1)]
Positions = Literal["rotary", "learned"]
Norm = Literal["rms", "layer"]
Activation = Literal["swiglu", "gelu", "relu2"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_not_switches(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `steps: yes`, which YAML reads as true and pydantic would take for 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool and bool not in get_args(kind):
            raise ValueError("true and false (also yes, no, on, off) are no value for this key")
        return value


class Source(Part):
    """One body of text. Either a known corpus (`corpus`), or files of your own (`path`)."""

    corpus: str | None = None
    """A corpus of data/sources.yaml (tinystories, wikitext-103), or world-stories or world-encyclopedia: generated."""
    path: Paths | None = None
    """A file, folder or glob (txt, md, raw, jsonl, parquet, csv, .gz, .zst). With `corpus`: instead of its files."""
    valid: Paths | None = None
    """Files that are the official validation split; they are kept apart from `path` as they are."""
    test: Paths | None = None
    """Files that are the official test split."""
    delimiter: Text | None = None
    """What separates documents in text files; null: what the corpus says, else one file is one document."""
    encoding: Text | None = None
    """Of text files that are neither UTF-8 nor UTF-16 with a byte order mark: cp1252, latin-1 and the like."""
    cut_words: Annotated[int, Field(ge=50)] | None = None
    """Cut longer documents, books say, at chapter headings, else between paragraphs, into pieces of so many words."""
    filters: list[Rule] | None = None
    """Rules that documents must keep (thresholds: data.filters); null: what the corpus says, else none."""
    text_column: str = "text"
    """The column of jsonl, parquet or csv that holds the text."""
    documents: Positive | None = None
    """Use only the first so many documents; for a generated corpus, how many to generate (default 20,000)."""
    license: str | None = None
    """The licence of your files, for the record."""
    language: str | None = None
    """The language of your files (en, de ...), for the record and for the rule `language`."""


class Filters(Part):
    """Thresholds of the filter rules; sources of the numbers: groundup/data/filters.py."""

    min_words: Annotated[int, Field(ge=0)] = 50
    max_words: Positive = 100_000
    min_word_length: Annotated[float, Field(ge=0)] = 3.0
    """Mean length of the words in characters."""
    max_word_length: Annotated[float, Field(gt=0)] = 10.0
    max_symbols: Share = 0.1
    """Hash signs and ellipses by words."""
    max_bullet_lines: Share = 0.9
    max_ellipsis_lines: Share = 0.3
    min_alphabetic_words: Share = 0.8
    """Share of the words with at least one letter."""
    max_digits: Share = 0.3
    """Digits by characters."""
    min_stop_words: Annotated[int, Field(ge=0)] = 2
    """Of: the, be, to, of, and, that, have, with. For English text only."""
    min_sentences: Annotated[int, Field(ge=0)] = 5
    """Sentences, under the rule c4."""
    min_language: Share = 0.65
    """Probability of the source's language."""


class Data(Part):
    sources: dict[Name, Source] = Field(min_length=1)
    """The bodies of text, by name."""
    mix: dict[Name, Annotated[float, Field(ge=0)]] | None = None
    """Share of each source in training and in the tokenizer's sample; null: by size."""
    mix_by: Literal["tokens", "bytes"] = "tokens"
    """What the shares of the mix are shares of."""
    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Without a mix, shares are sizes to the power 1 / temperature: above 1, small sources are seen more often."""
    valid_fraction: Fraction = 0.01
    """Share of the documents without an official split that goes to validation."""
    test_fraction: Fraction = 0.01
    """Share of the documents without an official split that goes to test."""
    filters: Filters = Filters()
    near_duplicates: Annotated[float, Field(ge=0.4, le=1)] | None = 0.5
    """Jaccard similarity of word 3-grams from which two documents of 20 words or more are one; null: only equal."""
    benchmarks: dict[Name, Paths] = {}
    """Texts of your own that train must not hold, by name (txt: one a line; jsonl: every string)."""
    decontaminate: Literal["report", "remove", "fail"] = "report"
    """Training documents that overlap with valid, test or benchmark texts: name them, leave them out, or stop."""
    leak_words: Annotated[int, Field(ge=4, le=100)] = 13
    """Length in words of the sequences that are looked for."""
    on_bad: Literal["fail", "skip"] = "fail"
    """A document or row that cannot be read (not UTF-8, NUL bytes, no JSON): stop and name it, or skip and count."""
    engine: Literal["local", "ray"] = "local"
    """Where the text is processed; the outcome is the same."""
    ray_address: str | None = None
    """Address of the Ray cluster, ray://HOST:10001 say; null: one is started on this machine."""
    mirror: str | None = None
    """Directory or URL prefix that stands in for the hub; null: $GROUNDUP_MIRROR, else the hub."""


class Tokenizer(Part):
    kind: Literal["bpe", "unicode-bpe", "unigram", "bytes", "characters"] = "bpe"
    """bpe: on bytes. unicode-bpe, unigram: on characters, rare ones in bytes. bytes, characters: a token each."""
    vocab_size: Annotated[int, Field(ge=258, le=1_000_000)] = 8192
    """Number of tokens, special ones and the 256 bytes included; characters: at most so many; bytes: always 258."""
    digits: Literal[1, 3] = 3
    """Longest run of digits in one token: 1 as in Qwen 3, or 3 as in Llama 3."""
    sample_mb: Annotated[float, Field(gt=0)] = 100.0
    """Megabytes of training text, drawn by the mix, that the merges are learned from."""
    use: str | None = None
    """Use a tokenizer that exists: a tokenizer.json, a directory that holds one, an artifact or a run of this lab."""


class Model(Part):
    family: Literal["classic", "modern"] = "modern"
    """classic: the GPT-2 block. modern: the Qwen3 block. It decides positions, norm, activation, qk_norm and bias where
    they are null."""
    size: Literal["20m", "50m", "100m"] | None = None
    """The rung: fills in layers, width, heads, feed_forward and context where they are not given."""
    layers: Positive | None = None
    width: Positive | None = None
    """Model dimension d."""
    heads: Positive | None = None
    kv_heads: Positive | None = None
    """Key and value heads (grouped-query attention); null: as many as heads."""
    feed_forward: Positive | None = None
    """Inner width of the feed-forward part; null: 4 d, and two thirds of that for SwiGLU, rounded to 64."""
    context: Annotated[int, Field(ge=8)] | None = None
    """Longest sequence in tokens."""
    dropout: Fraction = 0.0
    tied: bool = True
    """Input embedding and output head share one matrix."""
    positions: Positions | None = None
    """rotary: queries and keys turned by their position's angle. learned: a vector for each position; null: family."""
    norm: Norm | None = None
    """rms: RMSNorm. layer: LayerNorm; null: family."""
    activation: Activation | None = None
    """swiglu: gated, three matrices. gelu, and relu2 (the square of ReLU): two; null: family."""
    qk_norm: bool | None = None
    """RMSNorm of each head's queries and keys; null: family."""
    bias: bool | None = None
    """Vectors added by the linear maps and by LayerNorm; null: family."""


class Train(Part):
    steps: Positive = 5000
    """Optimizer updates, also those of the run that is continued."""
    tokens: Positive | None = None
    """Instead of steps: as many as it takes to train on so many tokens."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Instead of steps: as many as it takes to see the source that is seen most so often."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Stop after so many minutes of training (scoring and saving not counted), wherever the schedule is then."""
    patience: Positive | None = None
    """Stop after so many scorings of the validation split, one after the other, without a better one."""
    continue_from: Annotated[str, Field(min_length=1)] | None = None
    """RUN or RUN@STEP of this lab: begin with that checkpoint's weights and optimizer, at the step that follows."""
    tokens_per_update: Positive = 32768
    """Tokens in the global batch; a multiple of model.context."""
    micro_batch: Positive | Literal["auto"] = "auto"
    """Sequences in one forward pass; gradient accumulation makes up the rest of the global batch. auto: as many as fit
    and pay. Where they do not fit after all, it is halved and the update done again."""
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    """Most memory of a CUDA device to use, in GiB (2^30 bytes); null: all that is free. No effect elsewhere."""
    windows: Literal["packed", "documents"] = "packed"
    """Where sequences begin: anywhere, so that each token is read once an epoch, or with a document."""
    document_mask: bool = False
    """Tokens look only at their own document, not at others that stand before it in the sequence."""
    feed: Literal["auto", "memory", "prefetch", "resident"] = "auto"
    """How batches reach the device: read when needed, ahead of time, or gathered from shards that lie in its memory."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: Muon for the matrices of the blocks, AdamW for the rest. Its learning rates are of AdamW's size."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate."""
    adam_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """With muon: peak learning rate of what AdamW trains (embeddings, head, gains, biases); null: learning_rate."""
    learning_rate_width: Positive | None = None
    """Width that the learning rates are for. At model.width d, AdamW's for matrices of the blocks and for the head are
    multiplied by learning_rate_width / d, Muon's by its square root. A rule, not a measurement; null: as they stand."""
    final_learning_rate: Share = 0.1
    """Learning rate at the last step, as a fraction of the peak."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """From the peak to the final learning rate: half a cosine; stay, then a line over the last `decay` of the steps; a
    line; or stay at the peak to the end."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps of linear warm-up."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """With wsd: share of the steps in which the learning rate falls, at the end (Hägele et al. 2024 found 0.2 to be
    as good as a cosine)."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, 0.999 say, which is scored beside them; null: none."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """On matrices only."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest global norm of the gradient."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of matrix products; weights and optimizer are fp32. auto: bf16 where a GPU has it, fp16 on other CUDA GPUs, else
    fp32."""
    tf32: bool = True
    """Products that stay in fp32 may be made in TF32 on a CUDA GPU: faster, with 10 bits of fraction."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    parallel: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several processes share a model. ddp: each holds all of it. fsdp: each holds a part of weights, gradients and
    optimizer state, for what outgrows a card; auto: ddp. Their number is the launcher's, and changes no batch."""
    deterministic: bool = False
    """On a CUDA GPU, take only operations that add in a fixed order, so that a run that was stopped ends with the same
    bits as one that was not. Slower; on a CPU that is so in any case."""
    compile: bool | Literal["auto"] = "auto"
    """torch.compile; auto: on CUDA only, where the wait for the compiler pays."""
    loss_chunk: Positive | None = None
    """Tokens whose logits are held at once, to save memory; null: those of the micro-batch."""
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    """What is made again in the backward pass to save memory. full: all but each block's input. selective: all but the
    outputs of matrix products and attention."""
    rollbacks: Annotated[int, Field(ge=0)] = 3
    """An update that is not finite is left out. Where that goes on, training goes back to a checkpoint from before it
    and leaves out the steps in between, at most so often; then it ends as diverged."""
    spikes: Literal["skip", "report", "off"] = "report"
    """A loss or gradient far above that of the steps before, after warm-up: go back when it lasts, as above; or only
    report it."""
    hang_minutes: Annotated[float, Field(gt=0)] | None = 30.0
    """Without progress for so long, say where each thread stands and end the process; null: wait for ever."""
    measure_peak: bool = False
    """Count MFU against the device's rate of matrix products, measured at the start; false: against what its maker
    states, where that is known."""
    track: list[Literal["tensorboard", "trackio", "wandb"]] = []
    """Where metrics are mirrored besides metrics.jsonl."""
    profile: Positive | None = None
    """Steps to profile, after the first five: a trace and a table of the most expensive operations in RUN/profile."""
    log_every: Positive = 10
    valid_every: Positive = 250
    """Steps between scorings of the validation split."""
    valid_bytes: Positive = 1_000_000
    """Validation text per source scored while training: its first documents (the final evaluation reads all)."""
    checkpoint_every: Positive = 500
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = 15.0
    """Save also when so many minutes have gone by since the last time; null: by steps alone."""
    background_saving: bool | Literal["auto"] = "auto"
    """Write checkpoints while training goes on, from a copy in main memory; auto: where there is room for the copy."""
    sample_every: Positive = 500
    keep: Positive = 3
    """Newest checkpoints kept; the best one is kept besides."""

    @field_validator("spikes", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads `off` as false


class Evaluate(Part):
    splits: list[Literal["valid", "test"]] = ["valid", "test"]
    tasks: list[Annotated[str, Field(min_length=1)]] = []
    """Tasks at the end of a run, as `groundup eval --task` takes them: blimp, wikitext, grammar, a jsonl file ..."""


class Sample(Part):
    prompts: list[str] = Field(default=["Once upon a time", "The"], min_length=1)
    samples: Positive = 1
    """Texts for each prompt."""
    preset: Literal["safe", "balanced", "wild"] = "balanced"
    """Sets temperature, top_k and top_p where they are not given (groundup/recipe/sampling.py)."""
    temperature: Annotated[float, Field(ge=0)] = 0.8
    """0 takes the likeliest token each time."""
    top_k: Annotated[int, Field(ge=0)] = 40
    """Draw from the k likeliest tokens; 0: off."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Draw from the likeliest tokens that reach p; 1: off."""
    min_p: Fraction = 0.0
    """Draw from tokens at least so likely as this share of the likeliest one; 0: off."""
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    """Above 1, tokens that the text holds already become less likely; 1: off."""
    no_repeat_ngram: Annotated[int, Field(ge=0)] = 0
    """No sequence of so many tokens occurs twice in a text; 0: off."""
    stop: list[Text] = []
    """The text ends before the first of these strings."""
    max_tokens: Positive = 200
    """Longest continuation in tokens."""
    batch: Positive = 32
    """Texts that are written side by side. It changes no draw."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the first text; the next ones count on."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("preset"), str):
            return PRESETS.get(values["preset"], {}) | values
        return values


class Recipe(Part):
    name: Name = "run"
    """Beginning of the run directory's name."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seeds initialisation, data order and dropout."""
    data: Data
    tokenizer: Tokenizer = Tokenizer()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    sample: Sample = Sample()
