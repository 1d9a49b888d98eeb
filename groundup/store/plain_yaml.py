"""YAML that need not be trusted: no tags, no aliases, no key twice, no file that takes minutes."""

from collections import Counter
from typing import Any

import yaml

from groundup.store.files import DEEPEST, Unreadable

LARGEST_YAML = 100_000  # bytes; a recipe is a page, and reading YAML takes a minute for a megabyte

LONGEST_NUMBER = 1000  # characters


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases (which can be made to explode) and without silently repeated keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        if getattr(self.peek_event(), "tag", None):
            raise yaml.YAMLError("tags are not read")
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError("nested too deeply")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.YAMLError(f"the key {twice[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def _short_number(loader: _PlainLoader, node: yaml.ScalarNode) -> Any:
    if len(node.value) > LONGEST_NUMBER:  # 1:59:59 is a number to YAML, and 30,000 such parts take seconds
        raise yaml.YAMLError(f"a number of {len(node.value):,} characters")
    return yaml.SafeLoader.construct_yaml_int(loader, node)


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _short_number)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text of at most LARGEST_YAML characters. Raises Unreadable."""
    if len(text) > LARGEST_YAML:
        raise Unreadable("is larger than 100 KB")
    try:
        value = yaml.load(text, Loader=_PlainLoader)
        _spellable(value)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError) as error:
        raise Unreadable(f"is not plain YAML: {' '.join(str(error).split())[:500] or 'nested too deeply'}") from None
    return value


def _spellable(value: Any) -> None:
    """Raise ValueError for what cannot be written down again: lone surrogates, numbers of thousands of digits."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, int):
        str(value)
    elif isinstance(value, dict | list):
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _spellable(inner)
