"""One line about each word of the language, for hover and completion."""

from __future__ import annotations

OPERATORS = {
    "=": "the same pixels; stands alone",
    "<": "the class lies inside the target; stands alone",
    ">": "each target lies inside the class; without `void` they make up all of it",
    "~": "the class and each target overlap in part",
    "!": "never: takes the target out of a group named before; `! any`: no source class (a fact)",
    "->": "a decision: `-> void` ignores the class, `-> any` lets the teacher choose",
}

TARGETS = {
    "void": "not a class: pixels that are nothing in the source, or are ignored",
    "any": "every source class: `! any` is none of them (a fact), `-> any` is unconstrained (a decision)",
}

KEYWORDS = {
    "tax": "the edition of the language; the first line of every file",
    "source": "starts a source taxonomy: the classes that models predict",
    "dataset": "starts a dataset; with `-> source` its class lines carry relations",
    "map": "starts a map of a dataset that is declared elsewhere",
    "extends": "the dataset has the classes of another one, and those below",
}
