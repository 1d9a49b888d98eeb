"""The built-in corpus: a small world with fixed facts, told as stories and as encyclopedia entries, of known entropy.

The world (who lives where, what eats what, what is made of what) is drawn once, from `WORLD_SEED`. A document is told
by ordinary functions that make every choice through `Teller.say`, and what is chosen is written down at once. The
options at a choice never begin with one another, so the text determines the choices: the same functions, driven by a
text instead of by chance, give that text's exact probability, or say where it leaves the world. A document ends where
its teller ends, so the end carries no information. The mean of `bits` per byte is therefore the entropy of the corpus
given the world, and no model can honestly stay below it on documents that it has not seen.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count as count_from

from groundup.data import lexicon as words
from groundup.data import tales
from groundup.data.teller import Impossible, Reader, Teller, capitals, sampler

VERSION = 1
WORLD_SEED = 1
REGISTERS = ("stories", "encyclopedia")
Table = dict[str, dict[str, str]]  # topic -> what is known of it


@dataclass(frozen=True)
class World:
    """Everything that is true. A table for each kind of thing: topic -> fact -> words."""

    animals: Table
    plants: Table
    villages: Table
    children: Table
    makers: Table
    things: Table
    seasons: Table
    weather: Table

    @classmethod
    def create(cls, seed: int) -> "World":
        rng = random.Random(seed)

        def drawn(options: str | Sequence[str]) -> str:
            return rng.choice(options.split("|") if isinstance(options, str) else options)

        def dealt(options: Sequence[str], number: int) -> list[str]:
            deck = [option for _ in range(-(-number // len(options))) for option in rng.sample(options, len(options))]
            return deck[:number]

        sites, sights = rng.sample(words.SITES, 6), rng.sample(words.SIGHTS, 6)
        feasts, days = rng.sample(words.FEASTS, 6), rng.sample(words.DAYS, 6)
        villages = {
            name: {"town": name, "site": sites[i], "sight": sights[i], "feast": feasts[i], "day": days[i]}
            for i, name in enumerate(words.VILLAGES)
        }
        makers = {}
        for (craft, (name, sex)), village in zip(words.MAKERS.items(), dealt(words.VILLAGES, 8), strict=True):
            makers[craft] = {"maker": name, "craft": craft, "mvillage": village, "tool": words.TOOLS[craft]}
            makers[craft] |= pronouns(sex, "m")
        things = {}
        for thing, (craft, materials, uses) in words.THINGS.items():
            things[thing] = {"thing": thing, "material": drawn(materials), "use": drawn(uses)} | makers[craft]
            makers[craft].setdefault("made", thing)
        plants = {}
        for (plant, (food, ripe, uses, flowers)), place in zip(
            words.PLANTS.items(), dealt(words.FIELDS, 12), strict=True
        ):
            plants[plant] = {"plant": plant, "food": food, "ripe": drawn(ripe), "made_into": drawn(uses)}
            plants[plant] |= {"field": place, "flower": drawn(flowers)}
        homes = {realm: iter(rng.sample(options, len(options))) for realm, options in words.HOMES.items()}
        foods = dealt(list(plants), len(words.ANIMALS))
        animals = {}
        for (animal, (realm, size, colours)), plant in zip(words.ANIMALS.items(), foods, strict=True):
            home = next(homes[realm])
            animals[animal] = {"animal": animal, "home": home, "home_place": home.split(" ", 1)[1]}
            animals[animal] |= {"size": drawn(words.SIZES[size]), "coat": drawn(colours), "hour": drawn(words.HOURS)}
            animals[animal] |= {"sound": drawn(words.SOUNDS), "skill": drawn(words.SKILLS)}
            animals[animal] |= {"winter": drawn(words.WINTERS)} | plants[plant]
            plants[plant].setdefault("eater", animal)
        children: Table = {}
        names = rng.sample(words.GIRLS + words.BOYS, 18)
        pet_names, pets = rng.sample(words.PET_NAMES, 18), dealt(words.PETS, 18)
        owned, crafts, homes_of = dealt(list(things), 18), dealt(list(makers), 18), dealt(words.VILLAGES, 18)
        for i, name in enumerate(names):
            dream, own, relative = makers[crafts[i]], things[owned[i]], drawn(words.RELATIVES)
            children[name] = {"name": name, "village": homes_of[i], "pet": pets[i], "pet_name": pet_names[i]}
            children[name] |= {"pet_coat": drawn(words.PET_COLOURS), "relative": relative, **own}
            children[name] |= {"dream": dream["craft"], "dmaker": dream["maker"], "dvillage": dream["mvillage"]}
            children[name] |= {"dhe": dream["mhe"], "dhis": dream["mhis"], "dtool": dream["tool"]}
            children[name] |= pronouns("f" if name in words.GIRLS else "m")
            children[name] |= {"rhe": "he" if relative in words.MEN else "she"}
            things[owned[i]].setdefault("owner", name)
            makers[crafts[i]].setdefault("pupil", name)
            home_village = villages[homes_of[i]]
            home_village["child2" if "child" in home_village else "child"] = name
        for maker in makers.values():
            villages[maker["mvillage"]] |= {"maker": maker["maker"], "craft": maker["craft"]}
        seasons_ = {season: {"season": season, "work": drawn(works)} for season, works in words.WORKS.items()}
        kinds = {w: {"weather": w, "season": s, "does": d, "people": p} for w, (s, d, p) in words.WEATHER.items()}
        for kind in kinds.values():
            seasons_[kind["season"]].setdefault("its_weather", kind["weather"])
        for known in plants.values():
            seasons_[known["ripe"]].setdefault("its_food", known["food"])
        tables = (animals, plants, villages, children, makers, things, seasons_, kinds)
        return cls(*({topic: facts | capitals(facts) for topic, facts in table.items()} for table in tables))


def pronouns(sex: str, prefix: str = "") -> dict[str, str]:
    forms = ("she", "her", "her", "girl") if sex == "f" else ("he", "him", "his", "boy")
    return {prefix + key: form for key, form in zip(("he", "him", "his", "boy"), forms, strict=True)}


WORLD = World.create(WORLD_SEED)


def one_of(options: Sequence[str], key: str) -> str:
    return "[" + "|".join(options) + f"]:{key}"


def cast(t: Teller, table: Table, key: str, *, but: str = "") -> None:
    """Names a topic of the table, and settles all that is known of it."""
    t.say(one_of([topic for topic in table if topic != but], key))
    t.names |= table[t.names[key]]


def cast_friend(t: Teller) -> None:
    """Another child of the same village."""
    name, village = t.names["name"], t.names["village"]
    t.say(one_of([other for other, f in WORLD.children.items() if f["village"] == village and other != name], "friend"))
    friend = WORLD.children[t.names["friend"]]
    t.know(fhe=friend["he"], fhim=friend["him"], fhis=friend["his"])


def cast_food(t: Teller) -> None:
    """A food, and with it the first animal that eats it."""
    foods = {facts["food"]: facts["eater"] for facts in WORLD.plants.values()}
    t.say(one_of(list(foods), "food"))
    t.names |= WORLD.animals[foods[t.names["food"]]]


def cast_task(t: Teller) -> None:
    """A thing of the craft that the child wants to learn."""
    cast(t, {k: facts for k, facts in WORLD.things.items() if facts["craft"] == t.names["dream"]}, "thing")


def tell_gathering(t: Teller) -> None:
    ripe = t.names["ripe"] == t.names["season"]
    t.say(tales.GATHERING if ripe else tales.FETCHING)


PARTS: dict[str, Callable[[Teller], None]] = {
    "=friend": cast_friend,
    "=animal": lambda t: cast(t, WORLD.animals, "animal"),
    "=food": cast_food,
    "=wish": lambda t: cast(t, WORLD.things, "thing", but=t.names["thing"]),
    "=task": cast_task,
    "=town": lambda t: cast(t, WORLD.villages, "town", but=t.names["village"]),
    "=gathering": tell_gathering,
}
OPENINGS = "[" + "|".join(o.replace("{s}", season) for season in words.SEASONS for o in tales.OPENINGS) + "]"
PLOTS = tuple(tales.PLOTS.values())
HEADS = "[" + "|".join(lines[0] for lines in PLOTS) + "]"


def tell_story(t: Teller) -> None:
    season = words.SEASONS[t.say(OPENINGS) // len(tales.OPENINGS)]
    t.know(season=season)
    cast(t, WORLD.children, "name")
    t.say(tales.HERO)
    for line in PLOTS[t.say(tales.NATURE[season] + HEADS)][1:]:
        if line in PARTS:
            PARTS[line](t)
        else:
            t.say(line)


TOPICS = [(kind, topic) for kind in tales.ENTRIES for topic in getattr(WORLD, kind)]


def title(kind: str, topic: str) -> str:
    """How the entry begins."""
    if kind == "makers":
        topic = WORLD.makers[topic]["maker"]
    return f"The {topic}" if kind in ("animals", "plants", "things") else topic[0].upper() + topic[1:]


TITLES = "[" + "|".join(title(*topic) for topic in TOPICS) + "]"
LEAST, MOST = 3, 4  # parts of an entry before it may end, and before it must


@cache
def menu(kind: str, left: tuple[int, ...], may_end: bool) -> str:
    """All that an entry could go on with."""
    _, parts, ending = tales.ENTRIES[kind]
    return "[" + "|".join([f" {parts[i]}" for i in left] + [f" {ending}"] * may_end) + "]"


def tell_entry(t: Teller) -> None:
    kind, topic = TOPICS[t.say(TITLES)]
    t.names |= getattr(WORLD, kind)[topic]
    opening, parts, _ = tales.ENTRIES[kind]
    left = tuple(range(t.say(f"[{opening}]"), len(parts)))  # the second opening makes the first part superfluous
    told, ended = 0, False
    while not ended:
        taken = t.say(menu(kind, left, told >= LEAST))
        ended = taken == len(left)
        told, left = told + 1, left[:taken] + left[taken + 1 :] if told + 1 < MOST else ()


@dataclass(frozen=True)
class Told:
    """A document and its information content: -log2 of its probability, in bits."""

    text: str
    bits: float


TELLERS = {"stories": tell_story, "encyclopedia": tell_entry}


def tell(register: str, index: int, seed: int = 0) -> Told:
    """Document number `index` of a register: a pure function of its arguments."""
    rng = random.Random(f"{seed} {register} {index}")
    teller = Teller(sampler(rng))
    TELLERS[register](teller)
    return Told("".join(teller.parts), teller.bits)


def bits(register: str, text: str) -> float:
    """Information content of any text, in bits. Raises Impossible if this register could not have told it."""
    reader = Reader(text)
    teller = Teller(reader)
    TELLERS[register](teller)
    if reader.at < len(text):
        raise Impossible(reader.at, text[reader.at : reader.at + 40], ["the end of the document"])
    return teller.bits


@dataclass(frozen=True)
class Fact:
    """A cloze about the world: only `prompt + answer` can begin an entry of the encyclopedia."""

    prompt: str
    answer: str
    wrong: tuple[str, ...]


@cache
def values(kind: str, fact: str) -> tuple[str, ...]:
    return tuple(sorted({facts[fact] for facts in getattr(WORLD, kind).values()}))


def goes_on(register: str, text: str) -> bool:
    """Whether some document of the register begins with the text."""
    reader = Reader(text)
    try:
        TELLERS[register](Teller(reader))
    except Impossible:
        return reader.reached >= len(text)
    return reader.at >= len(text)


def facts(count: int, seed: int = 0) -> list[Fact]:
    """Clozes from entries that `tell` does not make, each with three false endings of the same type."""
    rng = random.Random(f"{seed} facts")
    found: dict[str, Fact] = {}
    for index in range(50 * count + 50):
        if len(found) == count:
            break
        text = tell("encyclopedia", index, seed=-1 - seed).text
        kind, topic = next((k, t) for k, t in TOPICS if re.match(rf"{title(k, t)}\b", text))
        known = getattr(WORLD, kind)[topic]
        fact = rng.choice(tales.CLOZES[kind])
        prompt, space, rest = text.partition(" " + known[fact])
        others = [value for value in values(kind, fact) if value != known[fact]]
        if not space or len(others) < 3 or rest[:1].isalnum():
            continue
        wrong = [w for w in rng.sample(others, len(others)) if not goes_on("encyclopedia", f"{prompt} {w}")][:3]
        if len(wrong) == 3:
            found.setdefault(prompt, Fact(prompt, f" {known[fact]}", tuple(f" {w}" for w in wrong)))
    return list(found.values())


@dataclass(frozen=True)
class Pair:
    """A grammatical sentence and the same with one fault."""

    good: str
    bad: str
    phenomenon: str


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """Minimal pairs in the words of the world, the phenomena in turn."""
    found: dict[str, Pair] = {}
    for index in count_from():
        if len(found) >= count:
            break
        phenomenon = list(tales.PAIRS)[index % len(tales.PAIRS)]
        teller = Teller(sampler(random.Random(f"{seed} pairs {index}")))
        cast(teller, WORLD.children, "name")
        teller.parts.clear()  # only who it is about; the sentence begins here
        other = pronouns("m" if teller.names["he"] == "she" else "f", "other_")
        teller.know(**other)
        teller.say(tales.PAIRS[phenomenon])
        text = "".join(teller.parts)
        good = re.sub(r"(\w+)~\w+", r"\1", re.sub(r"(\w+)%(\w+)", r"\1 \2", text))
        bad = re.sub(r"\w+~(\w+)", r"\1", re.sub(r"(\w+)%(\w+)", r"\2 \1", text))
        if phenomenon == "article":
            bad = re.sub(r"\b(an?) ", lambda m: "a " if m[1] == "an" else "an ", good, count=1)
        found.setdefault(good, Pair(good, bad, phenomenon))
    return list(found.values())
