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

NOTES = {
    "by": "who says what the row says: names or identifiers, such as `orcid:0000-0001-2345-6789`, between commas",
    "conf": "how sure they are, from 0 to 1",
    "how": "how they came to it, in a word of SSSOM; without it, somebody wrote the row",
    "allow": "silences warnings and infos of these codes on this line",
}
"""What has a form of its own in a note, before a colon."""

JUSTIFICATIONS = {
    "ManualMappingCuration": "somebody wrote it",
    "MappingReview": "somebody has looked at what others, or a program, proposed",
    "LexicalMatching": "the classes are called the same",
    "LexicalSimilarityThresholdMatching": "the names are alike, to a measure",
    "SemanticSimilarityThresholdMatching": "the meanings are alike, to a measure",
    "StructuralMatching": "the classes have the same place among others",
    "InstanceBasedMatching": "pictures that have both classes, or a model that knows one of them",
    "BackgroundKnowledgeBasedMatching": "a third source knows both",
    "LogicalReasoning": "it follows from other facts",
    "MappingChaining": "it follows from maps in a row, as `lsu-onto compose` derives it",
    "MappingInversion": "it follows from a map backwards, as `lsu-onto invert` derives it",
    "CompositeMatching": "several of these together",
    "UnspecifiedMatching": "nobody knows",
}
"""How a row came about: `how:`."""
