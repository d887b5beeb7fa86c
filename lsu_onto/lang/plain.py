"""Typography → plain characters: what word processors, papers and input methods put in place of ASCII."""

from __future__ import annotations

import re
import unicodedata

_SIGNS = {
    "⊑⊆⊂∈≤⊏": " < ",
    "⊒⊇⊃∋≥⊐": " > ",
    "≡≅≃⇔↔": " = ",
    "≈∼∩⊓≬": " ~ ",
    "≠∉⊥¬∖⊄": " ! ",
    "∪⊔∨∧⋃": " , ",
    "→⇒⟶⟹↦➔➜⟼": " -> ",
    "∅⌀": " none ",
    "‐‑‒–—―−": "-",
    "´`‘’‚‛‹›": "'",
    "“”„‟«»″〝〞「」『』": '"',
    "，、": ",",
    "；": ";",
    "：": ":",
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff": "",
    "∗⁎†‡§¶®™": "",
}
_PLAIN = str.maketrans({char: plain for chars, plain in _SIGNS.items() for char in chars})
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»″〝〞「」『』", '"'))
_LOOKALIKE = str.maketrans("аеорсухіјѕАВЕКМНОРСТХοανρΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsABEKMHOPCTXoavpABEZHIKMNOPTYX")
"""Cyrillic and Greek letters that look like Latin ones."""


def plain(text: str) -> str:
    """A line in plain characters. What stands in quotes stays as it is.

    >>> plain("１ pave\u00adment ⊑ „Straße“"), plain("\u0430sphalt proﬁle 1–3")
    ('1 pavement  <  "Straße"', 'asphalt profile 1-3')
    """
    parts = re.split(r'("[^"]*")', text.translate(_QUOTES))
    return "".join(part if i % 2 else _outside_quotes(part) for i, part in enumerate(parts))


def _outside_quotes(text: str) -> str:
    if text.isascii():
        return text
    text = "".join(unicodedata.normalize("NFKC", c) if _form(c) else c for c in text.translate(_PLAIN))
    return re.sub(r"\w+", _latin, re.sub(r"[^\S \t\r\n]", " ", text))


def _form(char: str) -> bool:
    """Whether this is another form of ASCII letters: full width, or a ligature."""
    return "\uff01" <= char <= "\uff5e" or "\ufb00" <= char <= "\ufb06"


def _latin(word: re.Match[str]) -> str:
    """A word with a few letters of another script that look like Latin ones."""
    latin = word[0].translate(_LOOKALIKE)
    return latin if latin.isascii() and re.search("[A-Za-z0-9_]", word[0]) else word[0]
