"""Rows of task files, in the shapes in which they are published, as items.

{"context": "...", "options": ["...", "..."], "gold": 0}   our own; id, suite and phenomenon may stand beside
{"sentence_good": "...", "sentence_bad": "..."}            BLiMP
{"query": "...", "choices": [...], "gold": 0}              llm-foundry's multiple choice
{"context_options": [...], "continuation": "...", "gold"}  llm-foundry's schema: what follows is scored
{"context": "...", "continuation": "..."}                  llm-foundry's LAMBADA: to be guessed
{"text": "..."}                                            LAMBADA: the last word is to be guessed
{"question": ..., "choices": ..., "answerKey": "A"}        ARC, by AI2 or on the hub
{"goal": "...", "sol1": "...", "sol2": "...", "label": 0}  PIQA
{"premise", "choice1", "choice2", "question", "label"}     COPA
{"sentence": "... _ ...", "option1", "option2", "answer"}  WinoGrande
"""

from collections.abc import Callable
from typing import Any

from groundup.evaluate.choice import Item

Row = dict[str, Any]
CLOSING = (".", ",", ";", ":", "!", "?", "'", "’", ")")
CONNECTIVES = {"cause": "because", "effect": "therefore"}  # COPA's questions as text (Gordon et al. 2012)


def item_of(
    row: Row, id: str, context: str | None = None, option: str | None = None, alike: bool = False
) -> tuple[str, Item]:
    """(the shape's name, the item) of a row; its own `id` and groups where it has any.

    `context` and `option` are templates for what the shape calls so. Without one for the option, it is joined to a
    context by a space, unless one of them has it there or the option begins with a closing mark.
    `alike`: let options be all alike, which is then a tie; some published pairs are.
    Raises ValueError, KeyError, TypeError with what is wrong with the row.
    """
    shape = next((name for name, (keys, _) in SHAPES.items() if all(key in row for key in keys)), None)
    if shape is None:
        raise ValueError(f"it has none of the known shapes; its keys are {', '.join(sorted(row)[:10]) or 'none'}")
    pairs, gold, groups = SHAPES[shape][1](row)
    cloze = shape in ("cloze", "lambada")
    texts = tuple(_join(before, after, context, option) for before, after in pairs)
    if not cloze:
        if len(texts) < 2:
            raise ValueError(f"a choice needs two options or more, and it has {len(texts)}")
        if len(set(texts)) == 1 and not alike:
            raise ValueError("its options are all alike")
    if any(not scored.strip() for _, scored in texts):
        raise ValueError("an option is empty")
    if type(gold) is not int or not 0 <= gold < len(texts):
        raise ValueError(f"gold is {gold!r}, which is none of 0 to {len(texts) - 1}")
    given = row.get("id", row.get("idx"))
    return shape, Item(str(given) if isinstance(given, str | int) else id, texts, gold, groups)


def _join(before: Any, after: Any, context: str | None, option: str | None) -> tuple[str, str]:
    if not isinstance(before, str) or not isinstance(after, str):
        raise TypeError("context and options are texts")
    if context is not None and before:
        before = context.replace("{context}", before.rstrip())
    if option is not None:
        after = option.replace("{option}", after)
    elif before and after and not before[-1].isspace() and not after[0].isspace() and not after.startswith(CLOSING):
        after = f" {after}"
    return before, after


Built = tuple[list[tuple[Any, Any]], Any, dict[str, str]]


def _own(row: Row) -> Built:
    if "gold" not in row:
        raise KeyError("gold")
    options = row["options"]
    if not isinstance(options, list):
        raise TypeError("options are a list")
    groups = {key: str(row[key]) for key in ("suite", "phenomenon") if row.get(key)}
    return [(row.get("context", ""), option) for option in options], row["gold"], groups


def _blimp(row: Row) -> Built:
    groups = {"field": row.get("field"), "phenomenon": row.get("linguistics_term"), "paradigm": row.get("UID")}
    # one file of BLiMP's spells a field in another way
    named = {level: str(name).replace("syntax/semantics", "syntax_semantics") for level, name in groups.items() if name}
    return [("", row["sentence_good"]), ("", row["sentence_bad"])], 0, named


def _multiple(row: Row) -> Built:
    return [(row["query"], choice) for choice in _list(row["choices"])], row.get("gold"), {}


def _schema(row: Row) -> Built:
    return [(context, row["continuation"]) for context in _list(row["context_options"])], row.get("gold"), {}


def _cloze(row: Row) -> Built:
    return [(row["context"], row["continuation"])], 0, {}


def _lambada(row: Row) -> Built:
    before, _, last = row["text"].rpartition(" ")
    return [(before, last)], 0, {}


def _arc(row: Row) -> Built:
    question, choices = row["question"], row.get("choices")
    if isinstance(question, dict):
        question, choices = question["stem"], question["choices"]
    if isinstance(choices, dict):
        choices = [{"text": a, "label": b} for a, b in zip(choices["text"], choices["label"], strict=True)]
    labels = [choice["label"] for choice in _list(choices)]
    gold = labels.index(row["answerKey"]) if row["answerKey"] in labels else row["answerKey"]
    return [(f"Question: {question}\nAnswer:", choice["text"]) for choice in _list(choices)], gold, {}


def _piqa(row: Row) -> Built:
    return [(f"Question: {row['goal']}\nAnswer:", row[key]) for key in ("sol1", "sol2")], row.get("label"), {}


def _copa(row: Row) -> Built:
    before = f"{row['premise'].strip().rstrip('.')} {CONNECTIVES[row['question']]}"
    choices = [row[key][:1].lower() + row[key][1:] for key in ("choice1", "choice2")]
    return [(before, choice) for choice in choices], row.get("label"), {}


def _winogrande(row: Row) -> Built:
    before, gap, after = row["sentence"].partition("_")
    if not gap:
        raise ValueError("its sentence has no gap `_`")
    gold = {"1": 0, "2": 1}.get(str(row["answer"]), row["answer"])
    return [(before + row[key], f" {after.strip()}") for key in ("option1", "option2")], gold, {}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("choices are a list")
    return value


# The first whose keys a row has is the row's.
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[Row], Built]]] = {
    "options": (("options",), _own),
    "blimp": (("sentence_good", "sentence_bad"), _blimp),
    "multiple choice": (("query", "choices"), _multiple),
    "schema": (("context_options", "continuation"), _schema),
    "cloze": (("context", "continuation"), _cloze),
    "arc": (("question", "answerKey"), _arc),
    "piqa": (("goal", "sol1", "sol2"), _piqa),
    "copa": (("premise", "choice1", "choice2", "question"), _copa),
    "winogrande": (("sentence", "option1", "option2", "answer"), _winogrande),
    "lambada": (("text",), _lambada),
}
