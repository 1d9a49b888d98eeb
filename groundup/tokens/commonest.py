"""What a text holds most of, to look at how it is split: words, numbers, dates, marks, contractions; and hard cases."""

import re
from collections import Counter
from collections.abc import Iterable

from groundup.tokens.encoding import END, PAD

WORDS, OTHERS = 100, 25  # the commonest words, and of each other sort
MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
)
PATTERNS = {
    "words": re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*"),
    "numbers": re.compile(r"\d+(?:[.,]\d+)*"),
    "dates": re.compile(
        rf"\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}[/.]\d{{1,2}}[/.](?:\d{{4}}|\d\d)\b"
        rf"|\b\d{{1,2}} {MONTH} \d{{4}}\b|\b{MONTH} \d{{1,2}},? \d{{4}}\b|\b{MONTH} \d{{4}}\b"
    ),
    "marks": re.compile(r"[^\w\s]+"),
    "contractions": re.compile(r"[^\W\d_]+['’][^\W\d_]+"),
}
SPACED = ("words", "contractions")  # mostly met behind a space, which most tokenizers join to them

HARD_CASES = (
    ("long word", "antidisestablishmentarianism"),
    ("rare word", "syzygy quokka"),
    ("compound", "state-of-the-art mother-in-law"),
    ("compound of German", "Donaudampfschifffahrtsgesellschaft"),
    ("upper case", "THE QUICK BROWN FOX"),
    ("mixed case", "eBay iPhone McDonald LaTeX"),
    ("without a space and with one", "The The the"),
    ("repetition", "noooooooo hahahaha"),
    ("misspelling", "definately seperate recieve"),
    ("contractions", "I'd've they're don’t o'clock"),
    ("possessive", "James's the dogs' Zoë’s"),
    ("years", "1066 1984 2024 1990s"),
    ("number", "1234567890 1,234,567"),
    ("decimals", "3.14159 0.001 -2.5e-10"),
    ("arithmetic", "12+34=46 99×101=9999"),
    ("date and time", "2024-11-25 11/25/2024 09:30:00"),
    ("money and share", "$1,999.99 €20 15.5%"),
    ("URL", "https://www.example.org/path?q=1&lang=en#top"),
    ("address", "first.last+tag@mail.example.org"),
    ("path", "/usr/local/lib/python3.13/site-packages"),
    ("code", "def add(a: int, b: int) -> int:\n    return a + b\n"),
    ("names in code", "snake_case camelCase SCREAMING_CASE"),
    ("markup", '<a href="x">y</a> {"key": [1, 2.0, null]}'),
    ("accents", "naïve café Ångström Zoë"),
    ("accent as a mark of its own", "cafe\u0301"),
    ("typographic marks", "“Yes,” she said — ‘no’ …"),
    ("Chinese", "我们去东京吃饭。"),
    ("Japanese", "東京タワーへ行きました。"),
    ("Korean", "안녕하세요"),
    ("Russian", "достопримечательность"),
    ("Greek", "φιλοσοφία"),
    ("Arabic", "مرحبا بالعالم"),
    ("Hindi", "नमस्ते दुनिया"),
    ("emoji", "😀 👍🏽 ❤️"),
    ("emoji of several", "👩‍🚀 👨‍👩‍👧 🇯🇵"),
    ("mathematics", "∑ x² ≤ √2 ∈ ℝ"),
    ("spaces", "a  b   c        d"),
    ("line ends", "one\n\ntwo\r\n\r\nthree\n\n\n"),
    ("tabs", "\tkey\t\tvalue"),
    ("space at the end", "the end "),
    ("no-break and thin space", "10\u00a0km 5\u2009%"),
    ("names of special tokens", f"{END} {PAD}"),
)


def count(texts: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
    """The commonest of each of PATTERNS, with how often they occur; equally common ones in alphabetical order."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in PATTERNS}
    for text in texts:
        for name, pattern in PATTERNS.items():
            counts[name].update(pattern.findall(text))
    return {
        name: sorted(found.items(), key=lambda item: (-item[1], item[0]))[: WORDS if name == "words" else OTHERS]
        for name, found in counts.items()
    }
