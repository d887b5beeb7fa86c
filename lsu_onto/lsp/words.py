"""What the words of the language mean, in a line each: for hover and completion."""

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

KEYS = {
    "title": "the full name",
    "url": "where it is published",
    "paper": "the paper that describes it",
    "cite": "how to cite it",
    "licence": "under what terms it may be used",
    "license": "under what terms it may be used",
    "confidence": "how sure one is of the relations below",
    "source-of-labels": "where the list of classes was taken from",
    "encoding": "how raw values are stored: `id`, `id16`, `id16/1000`, `rgb`",
    "void": 'raw values that mean "not annotated": `255`, `0,255`, `250..255`, or colours under `rgb`',
    "background": "the class of pixels on which nothing is drawn, where labels are shapes or segments",
    "splits": "the names of the splits",
    "images": "where images lie below the root: `images/{split}/{stem}.jpg`",
    "labels": "where label files lie below the root: `labels/{split}/{stem}.png`",
    "segments": "where the JSON tables of `panoptic-rgb` and `rle` lie",
    "list": "where the list of a split's files lies",
}

SPLIT = "the split of this name has the files whose placeholder is one of these: `scene = park-8 trail-5`"
"""The keys `split-NAME`."""

ENCODINGS = {
    "id": "8-bit images or palette indices",
    "id16": "16-bit images",
    "id16/1000": "16-bit images; the class is the stored value // 1000",
    "instance-ids": "16-bit images: the value below 1000, else value // 1000 (Cityscapes)",
    "rgb": "the colour is the raw value",
    "panoptic-rgb": "colours are numbers of segments; the JSON of `segments:` has their categories",
    "polygons": "a JSON of labelled polygons per image",
    "rle": "tables of masks in the folder `segments:`",
}
