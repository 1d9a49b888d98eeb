"""From bytes as they came to text that a tokenizer may see. Pure functions, in the order in which they are applied."""

import re
import unicodedata

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Windows-1252 has no character at the byte 9D, the last of a closing quotation mark in UTF-8. Where UTF-8 was read as
# Windows-1252, as in TinyStories, that byte was often dropped, and ftfy takes what is left, with a space, for a dagger.
HALF_QUOTE = re.compile("â€(?![\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ])\ufffd?")
# All that ftfy takes for a sign of wrong decoding has one of these characters, or two beyond ASCII side by side.
SUSPICIOUS = re.compile("[^\x00-\x7f](?:(?<=[\x80-\x9fÂÃŒœ])|[^\x00-\x7f])")
LONGEST_LINE = 1_000_000  # characters mended at once

ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
ODD_ASCII = bytes(code for code in range(128) if ODD.match(chr(code)))
LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")

# Lines of a web page that are no part of its text. A paragraph may hold the same words, so that only short lines are
# looked at. Each pattern is searched for only in texts that hold its key, which is much faster.
LONGEST_BOILERPLATE = 300  # characters
NOTICES = [
    (key, re.compile(pattern, re.IGNORECASE))
    for key, pattern in [
        # notices that Raffel et al. (2020, section 2.2) remove, too
        ("cookie", r"\bcookie policy\b|\b(?:uses?|use of|using|accept) (?:our )?cookies\b"),
        ("privacy policy", r"\bprivacy policy\b"),
        ("terms of ", r"\bterms of (?:use|service)\b"),
        ("javascript", r"^(?=.*javascript).*\b(?:enabled?|disabled|browser|turn(?:ed)? (?:on|off)|requires?d?)\b"),
        # who owns and who runs the site
        ("rights reserved", r"\ball rights reserved\b"),
        ("copyright", r"^\W*copyright\W*(?:\(c\)|©|(?:19|20)\d\d\b)"),
        ("©", r"^\W*©"),
        ("powered by ", r"\bpowered by (?:wordpress|blogger|drupal|joomla|shopify|vbulletin|disqus)\b"),
        # links, whose target is lost
        ("click here", r"^\W*(?:please )?click here\b|^(?=.{,120}$).*\bclick here\b"),
        ("read more", r"^\W*read more\b\s*(?:$|[^\w\s,])"),
        ("continue reading", r"^\W*continue reading\b\s*(?:$|[^\w\s,])"),
        # what a blog's software writes around a post
        ("entry was posted", r"^\W*this entry was posted\b"),
        ("permalink", r"\bbookmark the permalink\b"),
        ("filed under", r"^\W*filed under\b"),
        ("comments off", r"\bcomments off\b(?: on\b|\W*$)"),
        ("previous ", r"^\W*previous (?:post|page|article|entry|story)\s*:"),
        ("next ", r"^\W*next (?:post|page|article|entry|story)\s*:"),
        ("newsletter", r"^\W*(?:please )?(?:subscribe|sign up)\b.*\bnewsletter\b"),
        ("logged in", r"\b(?:you )?must be logged in to\b"),
    ]
]
# A button is a line that is one of these; a bar is a row of items of both lists, to which at least half of them belong.
BUTTON = frozenset([
    "read more", "see more", "view more", "show more", "load more", "learn more", "continue reading", "click here",
    "skip to content", "skip to main content", "back to top", "previous page", "next page", "previous post",
    "next post", "older posts", "newer posts", "log in", "login", "sign in", "sign up", "subscribe now", "add to cart",
    "add to basket", "add to wishlist", "leave a reply", "leave a comment", "post a comment", "no comments",
    "comments are closed", "comments off", "related posts", "recent posts", "related articles", "share this",
    "share on facebook", "share on twitter", "tweet this", "pin it", "email this", "print this page", "follow us",
    "all rights reserved", "privacy policy", "cookie policy", "terms of use", "terms of service",
    "terms and conditions",
])  # fmt: skip
MENU = BUTTON | frozenset([
    "home", "about", "about us", "contact", "contact us", "search", "sitemap", "site map", "menu", "news", "blog",
    "faq", "faqs", "help", "shop", "store", "cart", "checkout", "register", "my account", "gallery", "services",
    "products", "events", "links", "archives", "forum", "forums", "share", "tweet", "like", "email", "print",
    "facebook", "twitter", "linkedin", "pinterest", "reddit", "tumblr", "whatsapp", "instagram", "youtube", "google",
    "google+", "rss", "previous", "next", "terms", "privacy", "careers", "jobs", "press", "support", "subscribe",
    "newsletter",
])  # fmt: skip
LONGEST_BUTTON, LONGEST_BAR, LONGEST_ITEM = 30, 120, 24  # characters
BAR_MARK = re.compile("[|»›>•·/:]| [-–—] ")
ITEM_EDGES = " \t.…!*#[]()<«-–—→←↑+"


def decode(raw: bytes) -> tuple[str, str | None]:
    """Text of a document in UTF-8, and what is wrong with its bytes (None: nothing).

    Files in other encodings were transcoded while they were read (data/streams.py). Bytes that are none become U+FFFD.
    """
    mark = len(BYTE_ORDER_MARK) if raw.startswith(BYTE_ORDER_MARK) else 0
    body = raw[mark:] if mark else raw
    try:
        text = body.decode()
        return text, "holds NUL bytes" if "\0" in text else None
    except UnicodeDecodeError as error:
        what = f"byte 0x{body[error.start]:02X} at offset {mark + error.start} is not UTF-8"
        return body.decode(errors="replace"), what


def repair(text: str) -> str:
    """The text without mojibake: UTF-8 that was decoded as something else, line by line. Idempotent.

    Only that. Quotation marks, ligatures, full-width letters and HTML entities stay: they may be meant (`&c;` is an
    old way to write `etc.`), and guessing changes correct text.
    """
    while not text.isascii() and SUSPICIOUS.search(text):
        mended = "\n".join(map(_repair_line, text.split("\n")))
        if mended == text:
            break
        text = mended
    return text


def _repair_line(line: str) -> str:
    if not SUSPICIOUS.search(line):
        return line
    if len(line) > LONGEST_LINE:
        half = len(line) // 2
        return _repair_line(line[:half]) + _repair_line(line[half:])
    import ftfy  # 0.1 s, which text without suspicious characters does not pay

    # Lossy sequences, a letter and a question mark say, stay as they are: to mend them is to lose characters.
    settings = ftfy.TextFixerConfig(replace_lossy_sequences=False, explain=False)
    return str(ftfy.fix_encoding(HALF_QUOTE.sub("”", line), settings))


def normalise(text: str) -> str:
    """Unicode NFC, `\\n` for every line end, no control characters, no spaces at line ends, at most one blank line.

    Idempotent.
    """
    if _is_odd(text):
        text = CONTROL.sub("", LINE_END.sub("\n", text))
    text = unicodedata.normalize("NFC", text)
    if " \n" in text or "\t\n" in text:
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    return _close_gaps(text).strip()


def _is_odd(text: str) -> bool:
    """Whether a text has line ends to replace, or control characters."""
    if text.isascii():  # several times as fast as a regular expression
        return len(text.encode().translate(None, ODD_ASCII)) < len(text)
    return ODD.search(text) is not None


def _close_gaps(text: str) -> str:
    """The text with at most one blank line in a row. Several times as fast as a regular expression."""
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def strip_boilerplate(text: str) -> tuple[str, list[str]]:
    """A normalised text without the lines that web pages put around it, and those lines.

    Cookie and copyright notices, navigation bars, links and buttons: what the patterns above describe. What is left
    is normalised, too.
    """
    lines = text.split("\n")
    short = [line for line in lines if 0 < len(line) <= LONGEST_BOILERPLATE]
    lower = "\n".join(short).lower()
    patterns = [pattern for key, pattern in NOTICES if key in lower]
    found = {line for line in short if len(line) <= LONGEST_BAR and _is_bar(line)}
    found.update(line for pattern in patterns for line in short if pattern.search(line))
    if not found:
        return text, []
    kept = "\n".join([line for line in lines if line not in found])
    return _close_gaps(kept).strip(), [line for line in short if line in found]


def _is_bar(line: str) -> bool:
    """Whether a line of at most LONGEST_BAR characters is a button or a row of them."""
    if len(line) > LONGEST_BUTTON and not BAR_MARK.search(line):
        return False
    items = {part.strip(ITEM_EDGES) for part in BAR_MARK.split(line.lower())} - {""}
    known = len(items & MENU)
    if known < len(items):
        return len(items) > 2 and 2 * known >= len(items) and max(map(len, items)) <= LONGEST_ITEM
    return known > 1 or bool(items & BUTTON)
