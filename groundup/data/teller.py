"""Texts that determine the choices which made them, so that the probability of each is known exactly.

A text in a small notation ("[a|b*2] dog") is compiled to a chain of choices between strings that never begin with one
another. Driven by chance, the chain tells a document; driven by a document, it finds the one option that matches at
each choice, and with it the document's probability, or the place where it cannot have been told. The notation is
described in `lexicon`.
"""

import math
import random
import re
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

from groundup.data import lexicon as words

LIMIT = 3000  # options at one choice; more means that a text should be rewritten


class Impossible(ValueError):
    """The text cannot occur. `position`: character of the first wrong word; `expected`: what could stand there."""

    def __init__(self, position: int, found: str, expected: list[str]) -> None:
        super().__init__(
            f"at character {position}: {found!r} where only {' / '.join(map(repr, expected[:6]))} can stand"
        )
        self.position, self.found, self.expected = position, found, expected


# A text such as "[a|b*2] dog" is parsed to nodes (str, Alternatives or Mark) and compiled to a chain of choices.
@dataclass(frozen=True)
class Mark:
    """Where the words to be remembered under `key` begin and end; under the key "" stands what `say` returns."""

    key: str
    value: str | int


@dataclass(frozen=True)
class Alternatives:
    options: tuple[tuple[float, "Nodes"], ...]


Node = str | Mark | Alternatives
Nodes = tuple[Node, ...]


def parse(text: str) -> Nodes:
    """Nodes of a text in the notation of `lexicon`."""
    while text != (expanded := re.sub(r"<(\w+)>", word_list, text)):
        text = expanded
    nodes, _ = parse_sequence(re.split(r"([\[\]|])", text), 0)
    return nodes


def word_list(match: re.Match[str]) -> str:
    options = words.WORDS[match[1].lower()]
    if match[1][0].isupper():
        options = "|".join(capital(option) for option in options.split("|"))
    return f"[{options}]"


def capital(option: str) -> str:
    """The option as the beginning of a sentence; ^ is the article A or An."""
    if option.startswith("@"):
        return "^" + option[1:]
    return re.sub(r"\w", lambda letter: letter[0].upper(), option, count=1)


def parse_sequence(pieces: list[str], depth: int) -> tuple[Nodes, float]:
    """Takes pieces up to the end of an option; returns its nodes and weight."""
    nodes: list[Node] = []
    weight = 1.0
    while pieces and pieces[0] not in ("|", "]"):
        piece = pieces.pop(0)
        if piece == "[":
            nodes.append(parse_alternatives(pieces, depth + 1, nodes))
        elif piece:
            text, star, number = piece.partition("*")
            weight = float(number) if star else weight
            nodes.append(text)
    return tuple(node for node in nodes if node != ""), weight


def parse_alternatives(pieces: list[str], depth: int, before: list[Node]) -> Alternatives:
    options: list[tuple[float, Nodes]] = []
    while not options or pieces.pop(0) == "|":
        nodes, weight = parse_sequence(pieces, depth)
        options.append((weight, nodes))
    key = re.match(r":(\w+)", pieces[0]) if pieces else None
    if key:
        pieces[0] = pieces[0][key.end() :]
        options = [(w, (Mark(key[1], "begin"), *nodes, Mark(key[1], "end"))) for w, nodes in options]
    elif depth == 1:
        options = [(w, (Mark("", i), *nodes)) for i, (w, nodes) in enumerate(options)]
    if before and isinstance(before[-1], str) and before[-1].endswith(("@ ", "^ ")):  # an article must see its word
        article, before[-1] = before[-1][-2:], before[-1][:-2]
        options = [(w, (nodes[0], article, *nodes[1:]) if key else (article, *nodes)) for w, nodes in options]
    total = sum(w for w, _ in options)
    return Alternatives(tuple((w / total, nodes) for w, nodes in options))


@dataclass(frozen=True)
class Option:
    weight: float
    text: str
    marks: tuple[Mark, ...]
    rest: Nodes

    def grown(self) -> list["Option"]:
        """The same option, decided one node further."""
        node, rest = self.rest[0], self.rest[1:]
        if isinstance(node, str):
            return [Option(self.weight, self.text + node, self.marks, rest)]
        if isinstance(node, Mark):
            assert not self.text or not node.key, f"{self.text!r} must be told apart before {{{node.key}}} is known"
            return [Option(self.weight, self.text, (*self.marks, node), rest)]
        return [Option(self.weight * w, self.text, self.marks, nodes + rest) for w, nodes in node.options]


@dataclass(frozen=True)
class Choice:
    """What can be said at one point: prefix-free texts, cumulative probabilities, bits."""

    texts: tuple[str, ...]
    cumulative: tuple[float, ...]
    bits: tuple[float, ...]


def undecided(options: list[Option]) -> set[int]:
    """Indices of the options that must be grown before the text can tell them from the others."""
    order = sorted(range(len(options)), key=lambda i: options[i].text)
    found = {
        i for i, option in enumerate(options) if option.rest and (not option.text or option.text.endswith(("@ ", "^ ")))
    }
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if not options[j].text.startswith(options[i].text):
                break
            found |= {i, j} if options[i].text == options[j].text else {i} if options[i].rest else {j}
    return found


class Step:
    """One choice of a text, with the steps that follow each option."""

    def __init__(self, nodes: Nodes, steps: dict[Nodes, "Step"]) -> None:
        first = next((i for i, node in enumerate(nodes) if not isinstance(node, Mark)), len(nodes))
        self.before = [
            node for node in nodes[:first] if isinstance(node, Mark)
        ]  # must be known before the texts here can be filled in
        options = [Option(1.0, "", (), nodes[first:])]
        while grow := undecided(options):
            assert any(options[i].rest for i in grow), f"options begin alike: {[options[i].text for i in grow][:4]}"
            options = [new for i, o in enumerate(options) for new in (o.grown() if i in grow and o.rest else [o])]
            assert len(options) < LIMIT, f"too many options, such as {options[0].text!r}"
        while len(options) == 1 and options[0].rest and isinstance(options[0].rest[0], str):
            options = options[0].grown()
        self.texts = [option.text for option in options]
        self.weights = [option.weight for option in options]
        self.marks = [option.marks for option in options]
        self.next: list[Step | None] = []
        for option in options:
            if option.rest and option.rest not in steps:
                steps[option.rest] = Step(option.rest, steps)
            self.next.append(steps[option.rest] if option.rest else None)
        self.needs = tuple(sorted({name for text in self.texts for name in re.findall(r"\{(\w+)\}", text)}))
        self.choices: dict[tuple[str, ...], Choice] = {}

    def choice(self, names: dict[str, str]) -> Choice:
        """The choice with the names filled in; kept, for most come again."""
        key = tuple([names[name] for name in self.needs]) if self.needs else ()
        if (known := self.choices.get(key)) is None:
            texts = [with_article(text.format_map(names)) for text in self.texts]
            for first, second in pairwise(sorted(texts)):
                assert not second.startswith(first), f"{first!r} and {second!r} begin alike"
            cumulative = list(accumulate(self.weights))
            bits = [0.0 if len(texts) == 1 else -math.log2(w / cumulative[-1]) for w in self.weights]
            known = Choice(tuple(texts), tuple(c / cumulative[-1] for c in cumulative[:-1]), tuple(bits))
            self.choices[key] = known
        return known


def with_article(text: str) -> str:
    """Each @ as a or an, each ^ as A or An."""
    return re.sub(r"([@^]) (?=(\w))", lambda m: ("a" if m[1] == "@" else "A") + "n" * (m[2] in "aeiou") + " ", text)


@cache
def compiled(text: str) -> Step:
    return Step(parse(text), {})


class Teller:
    """Tells a document; `decide` picks the option at each choice. `names` is all that the words so far have settled."""

    def __init__(self, decide: Callable[[Choice], int]) -> None:
        self.decide, self.names, self.parts, self.bits = decide, {}, [], 0.0

    names: dict[str, str]
    parts: list[str]
    held: str = ""
    answer: int = 0
    begun: int = 0

    def say(self, text: str) -> int:
        """Says a text; returns the number of the option taken at its last outermost choice."""
        step: Step | None
        if text.endswith("@ "):  # the article waits for the word that comes next
            self.held = "@ "
            step = compiled(text[:-2])
        else:
            step = compiled(self.held + text)
            self.held = ""
        while step is not None:
            for mark in step.before:
                self.heed(mark)
            choice = step.choice(self.names)
            taken = self.decide(choice)
            for mark in step.marks[taken]:
                self.heed(mark)
            self.parts.append(choice.texts[taken])
            self.bits += choice.bits[taken]
            step = step.next[taken]
        return self.answer

    def heed(self, mark: Mark) -> None:
        if not mark.key:
            self.answer = int(mark.value)
        elif mark.value == "begin":
            self.begun = len(self.parts)
        else:
            self.know(**{mark.key: re.sub(r"^an? ", "", "".join(self.parts[self.begun :]))})

    def know(self, **names: str) -> None:
        """Settles names; each is also there with a capital."""
        self.names |= names | capitals(names)


def sampler(rng: random.Random) -> Callable[[Choice], int]:
    return lambda choice: bisect(choice.cumulative, rng.random()) if choice.cumulative else 0


class Reader:
    """Decides as a given text did, which only one option can match."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.reached = text, 0, 0

    def __call__(self, choice: Choice) -> int:
        for i, option in enumerate(choice.texts):
            if self.text.startswith(option, self.at):
                self.at += len(option)
                return i
        agree = [common(option, self.text, self.at) for option in choice.texts]
        self.reached = self.at + max(agree)
        start = max(agree)  # the options that go furthest along with the text say where it goes wrong
        while start and (option := choice.texts[agree.index(max(agree))])[start - 1].isalnum() and start <= len(option):
            start -= 1  # to the beginning of the word
        expected = sorted({o[start:][:40] for o, n in zip(choice.texts, agree, strict=True) if n == max(agree)})
        raise Impossible(self.at + start, self.text[self.at + start :][:40], expected)


def common(option: str, text: str, at: int) -> int:
    return next((i for i, c in enumerate(option) if text[at + i : at + i + 1] != c), len(option))


def capitals(facts: dict[str, str]) -> dict[str, str]:
    return {key.capitalize(): value[:1].upper() + value[1:] for key, value in facts.items()}
