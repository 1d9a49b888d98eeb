"""A recipe means one thing: every value has an origin, every typo is refused, and no file can do harm."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.model.config import configure
from groundup.model.size import parameters
from groundup.recipe.load import flatten, preset_paths, resolve, validate

RUNGS = {  # DESIGN.md: layers, width, heads, feed-forward, context
    "20m": (10, 384, 6, 1536, 512),
    "50m": (12, 512, 8, 2048, 1024),
    "100m": (16, 640, 10, 2560, 1024),
}
GUIDE = {"20m": (3e-4, 200), "50m": (2e-4, 500), "100m": (1.5e-4, 1000)}  # peak learning rate, steps of warm-up
MINIMAL = "data: {sources: {mine: {path: texts}}}\nmodel: {layers: 1, width: 32, heads: 2, context: 16}\n"


def refusal(name: str | Path, *overrides: str) -> GroundupError:
    """The error that a recipe ends in. Anything but a GroundupError fails the test."""
    with pytest.raises(GroundupError) as caught:
        resolve(str(name), list(overrides))
    assert caught.value.what and caught.value.fix
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    return path


# -- precedence --------------------------------------------------------------------------------------------------------


def test_the_command_line_beats_the_file_beats_the_preset_beats_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: 20m\ntrain: {steps: 70, warmup: 7}\nseed: 5\n")
    found = resolve(str(path), ["train.warmup=9", "sample.top_k=3"])
    recipe, origins = found.recipe, found.origins
    assert (recipe.train.log_every, recipe.train.steps, recipe.train.warmup, recipe.seed) == (100, 70, 9, 5)
    assert recipe.train.keep == 3 and "train.keep" not in origins  # a default has no origin of its own
    assert origins["train.log_every"] == "preset 20m"
    assert origins["train.steps"] == origins["seed"] == f"file {path}"
    assert origins["train.warmup"] == origins["sample.top_k"] == "command line"
    assert origins["model.layers"] == "size 20m"


def test_of_two_overrides_of_one_key_the_last_holds() -> None:
    assert resolve("quickstart", ["train.steps=3", "train.steps=4"]).recipe.train.steps == 4


def test_a_preset_may_build_on_another_and_both_are_named_as_origins() -> None:
    origins = resolve("20m-classic").origins
    assert origins["model.family"] == "preset 20m-classic"
    assert origins["train.steps"] == "preset 20m"


def test_an_overridden_size_refills_what_it_decides() -> None:
    model = resolve("20m", ["model.size=50m"]).recipe.model
    assert (model.layers, model.width, model.heads, model.context) == (12, 512, 8, 1024)


def test_a_list_is_replaced_and_not_added_to() -> None:
    assert resolve("quickstart", ["sample.prompts=[One]"]).recipe.sample.prompts == ["One"]


def test_a_whole_mix_replaces_the_earlier_one_and_its_origins(tmp_path: Path) -> None:
    found = resolve("phase0", ["data.mix={stories: 1}"])
    assert found.recipe.data.mix == {"stories": 1}
    assert found.origins["data.mix.stories"] == "command line" and "data.mix.encyclopedia" not in found.origins
    path = tmp_path / "mine.yaml"
    path.write_text("preset: phase0\ndata: {sources: {news: {path: n.txt}}, mix: {news: 0.5, stories: 0.5}}\n")
    found = resolve(str(path), ["data.mix.news=0.2"])
    assert list(found.recipe.data.sources) == ["stories", "encyclopedia", "news"], "sources are added by name"
    assert found.recipe.data.mix == {"news": 0.2, "stories": 0.5}
    assert (found.origins["data.mix.news"], found.origins["data.mix.stories"]) == ("command line", f"file {path}")


def test_one_entry_of_a_mix_changes_alone() -> None:
    found = resolve("phase0", ["data.mix.stories=0.5"])
    assert found.recipe.data.mix == {"stories": 0.5, "encyclopedia": 0.3}
    assert found.origins["data.mix.stories"] == "command line"
    assert found.origins["data.mix.encyclopedia"] == "preset phase0"


def test_one_entry_after_a_null_begins_a_new_mix() -> None:
    found = resolve("phase0", ["data.mix=null", "data.mix.stories=2"])
    assert found.recipe.data.mix == {"stories": 2}
    assert {key for key in found.origins if key.startswith("data.mix")} == {"data.mix.stories"}


def test_whole_benchmarks_replace_the_earlier_ones_even_by_none(file: Path) -> None:
    file.write_text(MINIMAL.replace("{sources", "{benchmarks: {one: a.txt, two: b.txt}, sources"))
    assert resolve(str(file), ["data.benchmarks.two=c.txt"]).recipe.data.benchmarks == {"one": "a.txt", "two": "c.txt"}
    assert resolve(str(file), ["data.benchmarks={three: c.txt}"]).recipe.data.benchmarks == {"three": "c.txt"}
    found = resolve(str(file), ["data.benchmarks={}"])
    assert found.recipe.data.benchmarks == {} and found.origins["data.benchmarks"] == "command line"
    assert "data.benchmarks.one" not in found.origins
    found = resolve(str(file), ["data.benchmarks={}", "data.benchmarks.one=d.txt"])
    assert {key: value for key, value in found.origins.items() if "benchmarks" in key} == {
        "data.benchmarks.one": "command line"
    }


def test_a_filled_part_or_source_given_as_a_mapping_keeps_its_other_keys() -> None:
    recipe = resolve("phase0", ["train={steps: 7}", "data.sources={stories: {documents: 5}}"]).recipe
    assert recipe.train.steps == 7 and recipe.train.warmup == 60
    assert recipe.data.sources["stories"].corpus == "tinystories" and len(recipe.data.sources) == 2


# -- unknown keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("sed=1", "seed"),
        ("trian.steps=5", "train"),
        ("train.step=5", "train.steps"),
        ("train.learning_rat=0.1", "train.learning_rate"),
        ("model.widht=64", "model.width"),
        ("tokenizer.vocabsize=300", "tokenizer.vocab_size"),
        ("data.miror=x", "data.mirror"),
        ("data.sources.stories.delimeter=x", "data.sources.stories.delimiter"),
        ("data.sources.stories.text_colum=x", "data.sources.stories.text_column"),
        ("sample.topk=1", "sample.top_k"),
        ("evaluate.split=[valid]", "evaluate.splits"),
        ("train.lr=1", "train.learning_rate"),
        ("train.max_iters=5", "train.steps"),
        ("model.n_embd=64", "model.width"),
        ("train.block_size=64", "model.context"),
    ],
)
def test_a_typo_at_any_depth_is_refused_with_what_was_meant(override: str, meant: str) -> None:
    error = refusal("quickstart", override)
    assert error.code == "unknown-key"
    assert repr(override.partition("=")[0]) in error.what or override.startswith("trian")
    assert "command line" in error.what
    assert f"did you mean {meant!r}?" in error.fix


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("steps=5", "train.steps"),
        ("layers=5", "model.layers"),
        ("vocab_size=300", "tokenizer.vocab_size"),
        ("model.steps=5", "train.steps"),
        ("train.vocab_size=300", "tokenizer.vocab_size"),
        ("data.sources.stories.mirror=x", "data.mirror"),
        ("data.delimiter=x", "data.sources.NAME.delimiter"),
        ("mix={stories: 1}", "data.mix"),
    ],
)
def test_the_right_word_in_the_wrong_part_is_sent_to_the_right_one(override: str, meant: str) -> None:
    error = refusal("quickstart", override)
    assert error.code == "unknown-key"
    assert f"did you mean {meant!r}?" in error.fix


def test_a_key_like_none_that_exists_is_refused_all_the_same() -> None:
    error = refusal("quickstart", "zzzzzz=1")
    assert error.code == "unknown-key" and "zzzzzz" in error.what


def test_an_unknown_key_of_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "trainn: {steps: 3}\n")
    error = refusal(path)
    assert error.code == "unknown-key" and str(path) in error.what


@pytest.mark.parametrize(
    ("name", "meant"), [("quickstrat", "quickstart"), ("phase_0", "phase0"), ("20m-clasic", "20m-classic")]
)
def test_a_mistyped_preset_is_refused_with_the_one_meant(name: str, meant: str) -> None:
    error = refusal(name)
    assert error.code == "no-such-recipe" and meant in error.fix


def test_a_recipe_that_is_nothing_like_a_preset_is_told_which_there_are() -> None:
    error = refusal("zzzzzz")
    assert error.code == "no-such-recipe" and all(name in error.fix for name in preset_paths())


def test_a_name_too_long_for_any_file_is_no_recipe() -> None:
    assert refusal("a" * 300).code == "no-such-recipe"


# -- types and ranges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override",
    [
        "train.steps=many",
        "train.steps=0",
        "train.steps=-5",
        "train.steps=1.5",
        "train.steps=null",
        "train.steps=[1]",
        "train.steps={a: 1}",
        "train.steps=true",
        "train.learning_rate=0",
        "train.learning_rate=.nan",
        "train.learning_rate=.inf",
        "train.learning_rate=-1e-3",
        "train.betas=[0.9]",
        "train.betas=[0.9, 1.0]",
        "train.precision=fp8",
        "train.device=tpu",
        "train.micro_batch=half",
        "train.micro_batch=0",
        "train.schedule=step",
        "train.final_learning_rate=1.1",
        "train.decay=0",
        "train.decay=1.1",
        "train.ema=1",
        "train.learning_rate_width=0",
        "model.size=30m",
        "model.family=mamba",
        "model.dropout=1",
        "model.dropout=-0.1",
        "model.layers=two",
        "model.context=4",
        "model.tied=perhaps",
        "model.positions=alibi",
        "model.norm=true",
        "model.activation=relu",
        "model.qk_norm=maybe",
        "model.bias=3",
        "train.activation_checkpointing=true",
        "train.loss_chunk=0",
        "model=5",
        "tokenizer.vocab_size=257",
        "data.valid_fraction=1",
        "data.mix={stories: -1}",
        "data.mix={stories: much}",
        "data=null",
        "data.sources=[stories]",
        "data.sources.stories=words",
        "data.sources.stories.documents=0",
        "data.sources.stories.path=5",
        "evaluate.splits=[train]",
        "sample.prompts=[]",
        "sample.prompts=Once",
        "sample.temperature=-1",
        "sample.top_p=0",
        "sample.top_p=1.1",
        "seed=-1",
        "seed=4294967296",
        "name=../elsewhere",
        "name=",
        "data.sources={../up: {corpus: world-stories}}",
    ],
)
def test_a_value_of_wrong_type_or_out_of_range_is_refused_by_its_key(override: str) -> None:
    error = refusal("quickstart", override)
    assert error.code == "bad-value"
    assert override.partition("=")[0] in error.what


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["model.width=100", "model.heads=3"], "divisible"),
        (["model.heads=4", "model.kv_heads=3"], "divisible"),
        (["model.width=60", "model.heads=4"], "even head size"),
        (["model.family=classic", "model.positions=rotary", "model.width=60", "model.heads=4"], "even head size"),
        (["train.tokens_per_update=4097"], "multiple"),
        (["train.adam_learning_rate=1e-3"], "train.adam_learning_rate"),
        (["train.schedule=wsd", "train.warmup=1300", "train.decay=0.5"], "overlap"),
        (["train.schedule=wsd", "train.steps=100"], "overlap"),
        (["model.layers=null"], "model.layers"),
        (["data.valid_fraction=0.5", "data.test_fraction=0.5"], "nothing to train on"),
        (["data.mix.nobody=1"], "nobody"),
        (["data.mix={stories: 0, encyclopedia: 0}"], "add up to nothing"),
        (["data.mix={}"], "add up to nothing"),
        (["data.mix={stories: 1e308, encyclopedia: 1e308}"], "add up to infinity"),
        (["data.temperature=2"], "data.temperature = 2"),
        (["data.sources.stories.corpus=null"], "neither corpus nor path"),
    ],
)
def test_values_that_contradict_each_other_are_refused(overrides: list[str], word: str) -> None:
    error = refusal("quickstart", *overrides)
    assert error.code == "recipe-conflict" and word in error.what


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.tokens_per_update=5000"],
        ["train.schedule=wsd", "train.decay=0.95"],
        ["train.schedule=wsd", "train.warmup=1500", "train.decay=1"],
        ["train.schedule=wsd", "train.steps=100"],
    ],
)
def test_a_fix_for_a_conflict_can_be_pasted(overrides: list[str]) -> None:
    fix = refusal("quickstart", *overrides).fix.removeprefix("e.g. ")
    assert resolve("quickstart", [*overrides, fix])


@pytest.mark.parametrize("path", ['""', "[]", '[""]'])
def test_a_source_without_a_path_is_refused(file: Path, path: str) -> None:
    assert refusal(file, f"data.sources.mine.path={path}").code in ("bad-value", "recipe-conflict")


# -- overrides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.learning_rate=3e-4", 3e-4),
        ("train.learning_rate=0.0003", 3e-4),
        ("train.learning_rate=1", 1.0),
        ("train.steps=1_000", 1000),
        ("train.betas=[0.8, 0.99]", (0.8, 0.99)),
        ("train.micro_batch=auto", "auto"),
        ("train.micro_batch=4", 4),
        ("train.compile=false", False),
        ("model.kv_heads=null", 6),  # derived again
        ("sample.prompts=[a, 'b, c', \"d\\n\"]", ["a", "b, c", "d\n"]),
        ("sample.prompts=[naïve 😀]", ["naïve 😀"]),
        ("data.mirror=https://example.org/a=b", "https://example.org/a=b"),
        ("data.mirror=/a folder/with spaces", "/a folder/with spaces"),
        ("data.mirror=", None),
        ("data.mix={stories: 1}", 1.0),
        ("data.sources.stories.path=[a.txt, b.txt]", ["a.txt", "b.txt"]),
        (" train.steps = 7", 7),
    ],
)
def test_an_override_is_read_as_yaml(override: str, value: Any) -> None:
    recipe = resolve("quickstart", [override]).recipe.model_dump()
    for part in override.partition("=")[0].strip().split("."):
        recipe = recipe[part]
    assert (recipe["stories"] if isinstance(recipe, dict) else recipe) == value


@pytest.mark.parametrize(
    "override", ["train.steps", "=5", "train..steps=5", ".steps=5", "train.=5", "", "train.betas=[1"]
)
def test_what_is_no_override_is_refused_and_shown_how(override: str) -> None:
    error = refusal("quickstart", override)
    assert error.code == "recipe-syntax" and error.fix


def test_an_override_of_five_thousand_parts_is_refused() -> None:
    assert refusal("quickstart", "a." * 5000 + "a=1").exit_code == 2


def test_null_takes_a_source_of_the_preset_out_with_its_share_of_the_mix() -> None:
    found = resolve("phase0", ["data.sources.encyclopedia=null"])
    assert list(found.recipe.data.sources) == ["stories"] and found.recipe.data.mix == {"stories": 0.7}
    assert not any("encyclopedia" in key for key in found.origins)


def test_a_source_can_be_replaced_by_another() -> None:
    changes = ["data.sources.encyclopedia=null", "data.sources.news.path=news.txt", "data.mix.news=0.3"]
    data = resolve("phase0", changes).recipe.data
    assert list(data.sources) == ["stories", "news"] and data.mix == {"stories": 0.7, "news": 0.3}


def test_a_mix_of_null_goes_by_size() -> None:
    assert resolve("phase0", ["data.mix=null"]).recipe.data.mix is None


def test_a_temperature_goes_with_sizes_and_not_with_a_mix() -> None:
    fix = refusal("phase0", "data.temperature=2").fix.partition(",")[0]
    assert resolve("phase0", ["data.temperature=2", fix]).recipe.data.temperature == 2
    assert resolve("phase0", ["data.temperature=1"]).recipe.data.mix, "1 changes nothing"
    assert refusal("phase0", "data.mix=null", "data.temperature=0.5").code == "bad-value"


# -- presets -----------------------------------------------------------------------------------------------------------


def test_there_are_the_presets_that_the_docs_name() -> None:
    names = {"quickstart", "phase0", *RUNGS, *(f"{rung}-classic" for rung in RUNGS)}
    assert names <= set(preset_paths())


@pytest.mark.parametrize("name", sorted(preset_paths()))
def test_every_preset_resolves(name: str) -> None:
    recipe = resolve(name).recipe
    assert recipe.name == name
    assert sum(parameters(configure(recipe.model, recipe.tokenizer.vocab_size)).values()) > 0


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("family", ["modern", "classic"])
def test_the_rungs_have_the_shapes_of_the_design(rung: str, family: str) -> None:
    model = resolve(rung if family == "modern" else f"{rung}-classic").recipe.model
    layers, width, heads, inner, context = RUNGS[rung]
    if family == "modern":
        inner = round(inner * 2 / 3 / 64) * 64  # SwiGLU has three matrices
    assert model.family == family
    assert (model.layers, model.width, model.heads, model.feed_forward, model.context) == (
        layers,
        width,
        heads,
        inner,
        context,
    )
    assert model.kv_heads == heads


@pytest.mark.parametrize("rung", RUNGS)
def test_the_rungs_train_with_the_settings_of_the_guide(rung: str) -> None:
    for name in (rung, f"{rung}-classic"):
        recipe = resolve(name).recipe
        train = recipe.train
        assert (train.learning_rate, train.warmup) == GUIDE[rung]
        assert (train.weight_decay, train.clip, train.betas) == (0.1, 1.0, (0.9, 0.95))
        assert recipe.model.dropout == 0.1 and train.optimizer == "adamw" and train.schedule == "cosine"


@pytest.mark.parametrize("rung", RUNGS)
def test_both_families_of_a_rung_have_equal_parameters_within_3_percent(rung: str) -> None:
    counts = []
    for name in (rung, f"{rung}-classic"):
        recipe = resolve(name).recipe
        counts.append(sum(parameters(configure(recipe.model, recipe.tokenizer.vocab_size)).values()))
    assert abs(counts[0] - counts[1]) <= 0.03 * max(counts)


@given(
    st.integers(1, 64),
    st.sampled_from([32, 48, 64, 100]),
    st.sampled_from(["classic", "modern"]),
    st.sampled_from([None, "swiglu", "gelu", "relu2"]),
)
def test_a_width_without_a_feed_forward_gets_four_times_that_or_its_gated_equal(
    heads: int, size: int, family: str, activation: str | None
) -> None:
    width = heads * size
    model = {"family": family, "layers": 1, "width": width, "heads": heads, "activation": activation}
    inner = validate({"data": {"sources": {"a": {"path": "x"}}}, "model": model}).recipe.model.feed_forward
    assert inner
    gated = activation == "swiglu" or (activation is None and family == "modern")
    assert inner % 64 == 0 and abs(inner - 8 * width / 3) <= 32.001 if gated else inner == 4 * width


KNOBS = ("positions", "norm", "activation", "qk_norm", "bias")


def test_what_a_model_is_made_of_follows_from_its_family_where_it_is_not_given() -> None:
    resolved = resolve("20m", ["model.family=classic", "model.norm=rms", "model.bias=null"])
    assert [getattr(resolved.recipe.model, knob) for knob in KNOBS] == ["learned", "rms", "gelu", False, True]
    origins = [resolved.origins[f"model.{knob}"] for knob in KNOBS]
    assert origins == ["family classic", "command line", "family classic", "family classic", "family classic"]
    modern = resolve("20m").recipe.model
    assert [getattr(modern, knob) for knob in KNOBS] == ["rotary", "rms", "swiglu", True, False]


def test_a_head_of_odd_size_needs_no_rotation_where_positions_are_learned() -> None:
    model = resolve("quickstart", ["model.width=60", "model.heads=4", "model.positions=learned"]).recipe.model
    assert (model.width, model.heads) == (60, 4)


# -- round trip --------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=20)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True),
        "data.sources.stories.path": st.one_of(TEXT.filter(bool), st.lists(TEXT.filter(bool), min_size=1, max_size=3)),
        "data.sources.stories.delimiter": st.none() | TEXT.filter(bool),
        "data.sources.stories.documents": st.none() | st.integers(1, 10**12),
        "data.sources.encyclopedia": st.none(),
        "data.mix": st.none() | st.fixed_dictionaries({"stories": st.floats(1e-9, 1e9)}),
        "data.valid_fraction": st.floats(0, 0.49),
        "data.mirror": st.none() | TEXT,
        "tokenizer.vocab_size": st.integers(258, 10**6),
        "tokenizer.use": st.none() | TEXT,
        "model.size": st.sampled_from(["20m", "50m", "100m"]),
        "model.family": st.sampled_from(["classic", "modern"]),
        "model.feed_forward": st.none() | st.integers(1, 10**4),
        "model.positions": st.none() | st.sampled_from(["rotary", "learned"]),
        "model.norm": st.none() | st.sampled_from(["rms", "layer"]),
        "model.activation": st.none() | st.sampled_from(["swiglu", "gelu", "relu2"]),
        "model.qk_norm": st.none() | st.booleans(),
        "model.bias": st.none() | st.booleans(),
        "model.dropout": st.floats(0, 0.999),
        "train.learning_rate": st.floats(1e-12, 1e3),
        "train.betas": st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)).map(list),
        "train.micro_batch": st.just("auto") | st.integers(1, 100),
        "train.compile": st.booleans() | st.just("auto"),
        "sample.prompts": st.lists(TEXT, min_size=1, max_size=3),
        "sample.seed": st.integers(0, 2**63 - 1),
        "evaluate.splits": st.lists(st.sampled_from(["valid", "test"]), max_size=2),
    },
)


@given(st.sampled_from(["quickstart", "20m", "100m-classic"]), OVERRIDES)
@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # shrinking takes minutes
def test_a_resolved_recipe_written_down_resolves_to_itself(
    tmp_path_factory: pytest.TempPathFactory, preset: str, changes: dict[str, Any]
) -> None:
    written = [
        f"{key}={yaml.safe_dump(value, default_flow_style=True, allow_unicode=False)}" for key, value in changes.items()
    ]
    recipe = resolve(preset, written).recipe
    for key, value in changes.items():
        if value is not None and not key.startswith("data.sources.encyclopedia"):
            at: Any = recipe.model_dump(mode="json")
            for part in key.split("."):
                at = at[part]
            assert at == value, key
    values = recipe.model_dump(mode="json")
    path = tmp_path_factory.getbasetemp() / "resolved.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))  # as a run writes it
    assert resolve(str(path)).recipe == recipe
    assert validate(json.loads(json.dumps(values))).recipe == recipe


def test_flatten_gives_every_leaf_its_dotted_key() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


# -- hostile files -----------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BOMB, id="alias bomb"),
        pytest.param("a: &a [*a]", id="alias to itself"),
        pytest.param("name: !!python/object/apply:os.system ['echo hacked']", id="python object"),
        pytest.param("name: !!python/name:os.system", id="python name"),
        pytest.param("name: !mine x", id="unknown tag"),
        pytest.param("name: !!bool abc", id="tag bool on words"),
        pytest.param("name: !!timestamp abc", id="tag timestamp on words"),
        pytest.param('seed: !!int ""', id="tag int on nothing"),
        pytest.param("seed: !!int abc", id="tag int on words"),
        pytest.param("seed: !!float abc", id="tag float on words"),
        pytest.param("name: 2020-13-45", id="impossible date"),
        pytest.param("[" * 100_000, id="brackets"),
        pytest.param("{a: " * 50_000, id="braces"),
        pytest.param("- " * 100_000, id="dashes"),
        pytest.param("seed: 1\nseed: 2", id="duplicate key"),
        pytest.param("train:\n  steps: 1\n  steps: 2", id="duplicate key below"),
        pytest.param("? [a, b]\n: 1", id="list as key"),
        pytest.param("? {a: b}\n: 1", id="mapping as key"),
        pytest.param("- a\n- b", id="list at top level"),
        pytest.param("just words", id="words at top level"),
        pytest.param("5", id="number at top level"),
        pytest.param("1: 2", id="number as key"),
        pytest.param("a: b: c", id="not YAML"),
        pytest.param("name: 'open", id="open quote"),
        pytest.param("\tname: x", id="tab"),
        pytest.param("name: x\n---\nname: y", id="two documents"),
        pytest.param("name: \x01", id="control character"),
        pytest.param("#" + "x" * (2 << 20), id="two megabytes"),
    ],
)
def test_a_hostile_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    start = time.monotonic()
    error = refusal(path)
    assert error.exit_code == 2 and "\n" not in error.what
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "raw", ["name: naïve".encode("latin-1"), "name: x".encode("utf-16"), b"\x00" * 100, bytes(range(256))]
)
def test_a_file_that_is_not_utf_8_text_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(raw)
    assert refusal(path).code == "recipe-syntax"


def test_the_same_tricks_fail_in_an_override() -> None:
    for value in ("&a [*a]", "!!python/name:os.system", "!!bool abc", "[" * 100_000, "'open"):
        assert refusal("quickstart", f"name={value}").exit_code == 2


@pytest.mark.parametrize("preset", ["[a]", "{a: 1}", "nobody", "5", "mine.yaml"])
def test_a_file_can_start_only_from_a_preset(tmp_path: Path, preset: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: {preset}\n")
    assert refusal(path).code == "bad-value"


def test_a_recipe_of_many_keys_is_refused_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(MINIMAL + "\n".join(f"a{number}: 1" for number in range(30_000)))
    start = time.monotonic()
    assert refusal(path).exit_code == 2
    assert time.monotonic() - start < 5


def test_an_empty_file_lacks_the_data_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    error = refusal(path)
    assert error.code == "bad-value" and "data" in error.what and "preset" in error.fix


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "no-such-recipe"


@pytest.mark.parametrize("value", ["---", "#", "###"])
def test_a_value_that_yaml_would_take_for_nothing_is_taken_as_it_stands(value: str) -> None:
    recipe = resolve("quickstart", [f"data.sources.stories.delimiter={value}"]).recipe
    assert recipe.data.sources["stories"].delimiter == value
    assert resolve("quickstart", ["data.mix=null"]).recipe.data.mix is None
