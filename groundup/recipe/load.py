"""From a preset or a file, and overrides, to a checked recipe that knows where each of its values came from.

Precedence: default < preset < file < command line. A file may name the preset it starts from: `preset: phase0`.
"""

import difflib
import math
import reprlib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from groundup.errors import GroundupError
from groundup.recipe import length
from groundup.recipe.rungs import fill_in
from groundup.recipe.sampling import PRESET_KEYS
from groundup.recipe.schema import Data, Recipe, Train
from groundup.store.files import Unreadable, read_bounded
from groundup.store.plain_yaml import LARGEST_YAML, parse_yaml

DEEPEST = 8  # parts of a dotted key
WHOLE = ("data.mix", "data.benchmarks")  # mappings that a later layer replaces; to all others it adds key by key


@dataclass(frozen=True)
class Resolved:
    """A recipe and, for each of its dotted keys, the layer that decided it."""

    recipe: Recipe
    origins: dict[str, str]


def _read_yaml(text: str, where: str) -> Any:
    try:
        return parse_yaml(text)
    except Unreadable as error:
        raise GroundupError("recipe-syntax", f"{where} {error}", "mend it there") from None


def _read_mapping(path: Path, where: str) -> dict[str, Any]:
    try:
        text = read_bounded(path, LARGEST_YAML).decode("utf-8")
    except UnicodeDecodeError:
        raise GroundupError("recipe-syntax", f"{where} is not UTF-8 text", "save it as UTF-8") from None
    except Unreadable as error:
        code = "no-such-recipe" if "cannot be" in str(error) else "recipe-syntax"
        raise GroundupError(code, f"{where} {error}", "check the path; a recipe is a short file") from None
    value = _read_yaml(text, where)
    if value is None:
        value = {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise GroundupError("recipe-syntax", f"{where} is not a mapping of keys to values", "begin with e.g. `train:`")
    return value


def preset_paths() -> dict[str, Path]:
    """The presets that come with groundup, by name."""
    folder = Path(str(files("groundup.recipe") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False


def _layers(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(origin, values) of a preset or file and of what it is based on, the weakest first."""
    presets = preset_paths()
    if name in presets:
        origin, values = f"preset {name}", _read_mapping(presets[name], f"preset {name}")
    elif _is_file(name):
        origin, values = f"file {name}", _read_mapping(Path(name), name)
    else:
        near = difflib.get_close_matches(name, presets, 1)
        hint = f"did you mean {near[0]!r}?" if near else "the presets are: " + ", ".join(presets)
        raise GroundupError("no-such-recipe", f"{name!r} is neither a preset nor a file", hint)
    base = values.pop("preset", None)
    if base is not None:
        if not isinstance(base, str) or base not in presets or base == name:
            raise GroundupError(
                "bad-value", f"preset {base!r} in {origin} is not a preset", "choose one of: " + ", ".join(presets)
            )
        yield from _layers(base)
    yield origin, values


def _parse_override(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > DEEPEST:
        raise GroundupError(
            "recipe-syntax", f"{text!r} is not an override", "write key.sub=value, e.g. train.steps=1000"
        )
    if value.startswith("*"):
        return parts, value  # a glob is no alias
    read = _read_yaml(value, f"the value of {key}")
    nothing = read is None and value.lstrip().startswith(("#", "---"))  # comments and markers to YAML, delimiters to us
    return parts, value if nothing else read


def _merge(base: dict[str, Any], layer: dict[str, Any], origin: str, origins: dict[str, str], prefix: str = "") -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if not isinstance(value, dict):
            _replace(base, key, value, path, origins)
            origins[path] = origin
            continue
        if path in WHOLE or not isinstance(base.get(key), dict):
            _replace(base, key, {}, path, origins)
        _merge(base[key], value, origin, origins, f"{path}.")
        origins.pop(path, None)
        if not base[key]:  # an empty mapping has no entry whose origin could be named
            origins[path] = origin


def _override(values: dict[str, Any], parts: list[str], value: Any, origins: dict[str, str]) -> None:
    """Set the value of a dotted key. Only the value itself can replace a mapping: the way to it is kept."""
    at, prefix = values, ""
    for part in parts[:-1]:
        if not isinstance(at.get(part), dict):
            _replace(at, part, {}, f"{prefix}{part}", origins)
        origins.pop(f"{prefix}{part}", None)
        at, prefix = at[part], f"{prefix}{part}."
    _merge(at, {parts[-1]: value}, "command line", origins, prefix)


def _replace(base: dict[str, Any], key: str, value: Any, path: str, origins: dict[str, str]) -> None:
    """Put a value where another was, whose origins, and those of all below it, go with it."""
    origins.pop(path, None)
    if isinstance(base.get(key), dict):
        for old in [old for old in origins if old.startswith(f"{path}.")]:
            del origins[old]
    base[key] = value


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = [field.annotation, *typing.get_args(field.annotation)]
        for kind in inner:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                middle = "*." if kind is not field.annotation else ""
                yield from _known_keys(kind, f"{prefix}{name}.{middle}")


ELSEWHERE = {  # what other trainers call it
    "lr": "learning_rate", "max_lr": "learning_rate", "wd": "weight_decay", "grad_clip": "clip",
    "warmup_steps": "warmup", "warmup_iters": "warmup", "max_steps": "steps", "max_iters": "steps",
    "batch_size": "tokens_per_update",
    "n_layer": "layers", "num_layers": "layers", "n_head": "heads", "num_heads": "heads", "n_embd": "width",
    "d_model": "width", "hidden_size": "width", "block_size": "context", "seq_len": "context", "d_ff": "feed_forward",
}  # fmt: skip


def _nearest(keys: list[str]) -> str | None:
    """The key that was probably meant: the same word in another part, or a similar one, first among its siblings."""
    known = list(_known_keys(Recipe))
    in_source = keys[:2] == ["data", "sources"] and len(keys) > 3
    shown = ".".join(["data.sources.*", *keys[3:]] if in_source else keys)
    parent, _, word = shown.rpartition(".")
    word = ELSEWHERE.get(word, word)
    near = [key for key in known if key.rpartition(".")[2] == word]
    if not near:
        siblings = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == parent}
        near = [siblings[name] for name in difflib.get_close_matches(word, siblings, 1)]
    near = near or difflib.get_close_matches(shown, known, 1)
    return near[0].replace(".*.", f".{keys[2]}." if in_source else ".NAME.") if near else None


def _quoted(value: Any) -> str:
    """A value in few words; a hostile one may be as long as its file, or a number too long to be written."""
    return text if len(text := reprlib.repr(value)) <= 100 else f"{text[:100]}..."


def _refuse(error: ValidationError, origins: dict[str, str]) -> GroundupError:
    """Translate pydantic's first complaint into one sentence with a fix."""
    first = error.errors(include_url=False, include_context=False)[0]
    keys: list[str] = []
    for part in first["loc"]:  # the schema's own labels of union members are not keys of the recipe
        if isinstance(part, str) and ("[" in part or part in ("str", "int", "float", "bool", "constrained-int")):
            continue
        keys.append(str(part))
    path = ".".join(keys)
    matching = (where for key, where in origins.items() if key == path or key.startswith(f"{path}."))
    origin = next(matching, "the recipe")
    if first["type"] == "extra_forbidden":
        hint = f"did you mean {near!r}?" if (near := _nearest(keys)) else "see `groundup show`"
        return GroundupError("unknown-key", f"there is no key {path!r} ({origin})", hint)
    if first["type"] == "missing":
        return GroundupError(
            "bad-value",
            f"the key {path!r} is missing",
            "set it in the recipe, or start from a preset: `preset: quickstart`",
        )
    message = first["msg"][0].lower() + first["msg"][1:]
    return GroundupError("bad-value", f"{path} = {_quoted(first['input'])} ({origin}): {message}", f"correct {path}")


def _refuse_conflict(what: str, fix: str) -> typing.NoReturn:
    raise GroundupError("recipe-conflict", what, fix)


def _check_model(recipe: Recipe) -> None:
    """What no single value of model and train shows. Raises GroundupError `recipe-conflict`."""
    model, train, refuse = recipe.model, recipe.train, _refuse_conflict
    for key in ("layers", "width", "heads"):
        if getattr(model, key) is None:
            refuse(f"model.{key} is not set", "set model.size to 20m, 50m or 100m, or give layers, width and heads")
    assert model.width and model.heads and model.kv_heads and model.context
    if model.width % model.heads:
        refuse(
            f"model.width = {model.width} is not divisible by model.heads = {model.heads}",
            f"e.g. model.width={model.width // model.heads * model.heads or model.heads}",
        )
    if model.heads % model.kv_heads:
        refuse(
            f"model.heads = {model.heads} is not divisible by model.kv_heads = {model.kv_heads}",
            f"e.g. model.kv_heads={model.heads}",
        )
    if model.positions == "rotary" and model.width // model.heads % 2:
        refuse(
            f"rotary positions need an even head size, not {model.width // model.heads}",
            "change model.width or model.heads, or take model.positions=learned",
        )
    if train.tokens_per_update % model.context:
        nearest = max(1, round(train.tokens_per_update / model.context)) * model.context
        refuse(
            f"train.tokens_per_update = {train.tokens_per_update} is not a multiple of model.context = {model.context}",
            f"e.g. train.tokens_per_update={nearest}",
        )


def _check_train(train: Train) -> None:
    """What no single value of train shows. Raises GroundupError `recipe-conflict`."""
    if train.adam_learning_rate is not None and train.optimizer == "adamw":
        _refuse_conflict(
            f"train.adam_learning_rate = {train.adam_learning_rate} is for optimizer muon, and it is adamw",
            "train.optimizer=muon, or leave out train.adam_learning_rate",
        )
    if (
        train.epochs is None
        and train.schedule == "wsd"
        and train.warmup + round(train.decay * train.steps) > train.steps
    ):
        most = 1 - train.warmup / train.steps
        _refuse_conflict(
            f"train.warmup = {train.warmup} steps and train.decay = {train.decay} of {train.steps} steps overlap",
            f"e.g. train.decay={math.floor(most * 1000) / 1000}" if most >= 0.001 else "e.g. train.warmup=0",
        )


def _check_data(data: Data) -> None:
    """What no single value of data shows. Raises GroundupError `recipe-conflict`."""
    refuse = _refuse_conflict
    if data.valid_fraction + data.test_fraction >= 1:
        refuse("data.valid_fraction and data.test_fraction leave nothing to train on", "their sum must be below 1")
    for name, source in data.sources.items():
        if source.corpus is None and source.path is None:
            refuse(f"data.sources.{name} has neither corpus nor path", f"e.g. data.sources.{name}.path=my-texts")
    for name in data.mix or {}:
        if name not in data.sources:
            refuse(f"data.mix names {name!r}, which is not a source", "the sources are: " + ", ".join(data.sources))
    if data.mix is not None and not 0 < sum(data.mix.values()) < float("inf"):
        what = "infinity" if sum(data.mix.values()) else "nothing"
        refuse(f"the shares of data.mix add up to {what}", "give at least one source a share, 0.5 say")
    if data.mix is not None and data.temperature != 1:
        refuse(
            f"data.temperature = {data.temperature} sets the shares by size, and data.mix sets them, too",
            "data.mix=null, or leave out data.temperature",
        )


def resolve(name: str, overrides: list[str] | None = None, model: bool = True) -> Resolved:
    """Read the preset or file `name`, apply `overrides` (`key.sub=value`) and check the whole.

    A recipe that is used for its data alone needs no `model`.
    Raises GroundupError `no-such-recipe`, `recipe-syntax`, `unknown-key`, `bad-value`, `recipe-conflict`.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = list(_layers(name))
    for origin, layer in layers:
        _merge(values, layer, origin, origins)
    for override in overrides or []:
        _override(values, *_parse_override(override), origins)
    _drop_null_entries(values, origins)
    length.decide(values, origins, [*(origin for origin, _ in layers), "command line"])
    return validate(values, origins, model)


def _drop_null_entries(values: dict[str, Any], origins: dict[str, str]) -> None:
    """`data.sources.NAME=null` takes a source of the preset out again, and its share of the mix with it."""
    data = values.get("data")
    sources, mix = (data.get(key) if isinstance(data, dict) else None for key in ("sources", "mix"))
    gone = [name for part in (sources, mix) if isinstance(part, dict) for name, value in part.items() if value is None]
    for name in gone:
        for key, part in (("sources", sources), ("mix", mix)):
            if isinstance(part, dict) and (
                part.get(name) is None or (isinstance(sources, dict) and name not in sources)
            ):
                part.pop(name, None)
                origins.pop(f"data.{key}.{name}", None)


def validate(values: dict[str, Any], origins: dict[str, str] | None = None, needs_model: bool = True) -> Resolved:
    """Check a mapping of recipe values and fill in what follows from `model.size` and `model.family`."""
    origins = dict(origins or {})
    try:
        first = Recipe.model_validate(
            values
        )  # before anything is derived, so that every complaint is about a given value
        model = values.get("model") or {}
        of_family, of_shape = fill_in(first.model.model_dump())
        values = values | {"model": {**model, **of_family, **of_shape}}
        if first.train.tokens is not None:
            steps = length.steps_of_tokens(first.train.tokens, first.train.tokens_per_update)
            values["train"] = values["train"] | {"steps": steps}
            origins["train.steps"] = "train.tokens"
        elif first.train.epochs is not None:
            origins["train.steps"] = "not known before the text is packed"
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise _refuse(error, origins) from None
    origins |= dict.fromkeys((f"model.{key}" for key in of_family), f"family {recipe.model.family}")
    shape = f"size {recipe.model.size}" if recipe.model.size else "derived"
    origins |= dict.fromkeys((f"model.{key}" for key in of_shape), shape)
    if "sample.preset" in origins:
        of_preset = dict.fromkeys((f"sample.{key}" for key in PRESET_KEYS), f"sample.preset {recipe.sample.preset}")
        origins = of_preset | origins
    _check_data(recipe.data)
    _check_train(recipe.train)
    if needs_model:
        _check_model(recipe)
    return Resolved(recipe, origins)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else key)
    return flat
