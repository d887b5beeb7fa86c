"""Rules for the file patterns of a taxonomy: `images:`, `labels:`, `segments:` and `list:`.

What is refused here could match no file, or would pair files without a word that do not belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsu_onto.diagnostics import Diagnostic, Fix, did_you_mean
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology.model import Taxonomy, alternatives

PATTERNS = ("images", "labels", "segments", "list")
_WILD = re.compile(r"""(?<!\*)\*(?!\*)|[?\\'"]""")

_ODD_SPLIT = re.compile(r"[^\w.+/-]")
_FOREIGN = re.compile(r"%\d*[sd]|<[^<>]*>|\$\w*|\(\.[*+]\??\)")
"""Placeholders of other languages."""


def check_pattern(s: ast.Meta) -> Iterator[Diagnostic]:
    """Findings on the alternatives of one key, at most one for each."""
    for value in alternatives(s.value.text):
        if wrong := _wrong(s, value):
            what, help_, instead = wrong
            whole = s.value.text.replace(value, instead) if instead else ""
            fix = Fix.write(whole, s.value.span, True) if whole else None
            yield Diagnostic("TAX012", what, s.value.span, help_, fix=fix)


def _wrong(s: ast.Meta, value: str) -> tuple[str, str, str] | None:
    """What is wrong with an alternative, what to do, and what to write instead if that is obvious."""
    key, parts = s.key.text, value.split("/")
    rest = re.sub(r"\{[A-Za-z_]\w*\}", "", value)
    if "|" in value:
        all_parts = re.split(r"\s*\|\s*", s.value.text)
        instead = " | ".join(re.split(r"\s*\|\s*", value)) if all(all_parts) else ""
        what = f"`{value}` has a `|` that stands between no two patterns"
        return what, "alternatives have ` | ` between them, with a blank on either side", instead
    if value[:1] in ("'", '"') or value[-1:] in ("'", '"'):
        bare = value.strip("'\"")
        return f"`{value}` has quotes, which would be part of the file name", f"write `{bare}`", bare
    if value[:1] == "[" and value[-1:] == "]":
        bare = " | ".join(re.split(r"\s*,\s*", value[1:-1].strip()))
        return f"`{value}` has brackets, which would be part of the file name", f"write `{bare}`", bare
    commas = re.split(r"\s*,\s*", value)
    if len(commas) > 1 and all(re.search(r"\.(\w+|\{\w+\})$", p) for p in commas):
        instead = " | ".join(commas)
        return (
            f"`{value}` has a comma between two patterns",
            f"alternatives have ` | ` between them: `{instead}`",
            instead,
        )
    if foreign := _FOREIGN.search(value):
        help_ = "a placeholder is `{name}`: `{stem}` stands for any text in a file name"
        return f"`{foreign[0]}` stands for nothing in `{value}`", help_, ""
    if "\\" in value and not re.match(r"[A-Za-z]:", value):
        slashes = value.replace("\\", "/")
        return f"`{value}` has backslashes, and folders end with `/` here", f"write `{slashes}`", slashes
    if value.startswith(("/", "~")) or re.match(r"[A-Za-z]:", value) or ".." in parts:
        return f"`{value}` leaves the dataset's folder", "write it relative to `data_root`", ""
    if value.startswith("./") or "//" in value or "." in parts:
        plain = "/".join(p for p in parts if p not in ("", "."))
        return f"`{value}` has a folder that is empty or `.`, which matches nothing", f"write `{plain}`", plain
    if value.endswith("/") or parts[-1] == "**":
        return (
            f"`{value}` names no file",
            f"write what the files are called, as in `{value.rstrip('/*')}/{{stem}}.png`",
            "",
        )
    if key in ("segments", "list") and set(re.findall(r"\{(\w+)\}", value)) - {"split"}:
        return f"`{key}:` names one file per split", "its only placeholder is `{split}`", ""
    if key in ("segments", "list") and "**" in parts:
        return f"`{key}:` names one file per split", "write its folders", ""
    if parts.count("**") > 1:
        return f"`{value}` has `**` twice", "one is enough: it stands for any folders, or none", ""
    if wild := next((c for p in parts if p != "**" for c in "*?" if c in p), ""):
        single = value.count("*") == value.count(wild) == 1 and "{stem}" not in value
        instead = value.replace("*", "{stem}") if single and key in ("images", "labels") else ""
        help_ = "a placeholder such as `{stem}` stands for any text in a file name; `**` alone stands for any folders"
        return f"`{wild}` stands for nothing in `{value}`", f"write `{instead}`: {help_}" if instead else help_, instead
    if "{" in rest or "}" in rest:
        help_ = "a placeholder is `{name}` with letters, digits and `_`; alternatives have ` | ` between them"
        return f"`{value}` has a brace that is no placeholder", help_, ""
    return None


def check_layout(s: ast.Meta, t: Taxonomy) -> Iterator[Diagnostic]:
    """Findings on one key, given the others: splits that nothing tells apart, and patterns that cannot be paired."""
    key, value, place = s.key.text, s.value.text, s.value.span
    without = next((k for k in t.meta if k in ("images", "labels") and "{split}" in t.meta[k]), "")
    if key == without and not t.splits and not any(did_you_mean(k, ("splits",)) for k in t.meta):
        help_ = "write their names, as in `splits: train val`"
        yield Diagnostic("TAX012", "`{split}` stands for the name of a split, and there is no `splits:`", place, help_)
    if key == "labels" and t.meta.get("images") and not t.meta.get("list"):
        labels, images = ([_names(a) for a in alternatives(t.meta[k])] for k in ("labels", "images"))
        readable = not _WILD.search(t.meta["images"] + value)  # else that is the mistake
        if readable and (_alone(labels, images) or _alone(images, labels)):
            what = "`images:` and `labels:` have no placeholder in common, so nothing tells which label an image has"
            yield Diagnostic("TAX012", what, place, "write the same `{stem}` in both; `{split}` alone does not do")
    if key == "splits" and (odd := next((n for n in t.splits if _ODD_SPLIT.search(n)), "")):
        words = re.split(r"[^\w.+/-]+", re.sub(r"\s*=\s*[^\s,;]*|:\s*\d+(?!\w)", " ", value))  # `val=200` has a count
        names = " ".join(w for w in words if w)
        help_ = f"write `{names}`: the names, with blanks between them" if names else "write names, as in `train val`"
        fix = Fix.write(names, place) if names else None
        yield Diagnostic("TAX012", f"`{odd}` is no name of a split", place, help_, fix=fix)
    elif key == "splits" and len(t.splits) > 1 and t.meta.get("images"):
        alike = [n for n in t.splits if f"split-{n}" not in t.meta]
        if alike and not any("{split}" in t.meta.get(k, "") for k in PATTERNS):
            what = f"nothing tells the files of `{alike[0]}` from those of other splits"
            help_ = (
                f"write `{{split}}` into `images:`, `labels:` or `list:`, or `split-{alike[0]}: placeholder = value …`"
            )
            yield Diagnostic("TAX012", what, place, help_)


def _names(pattern: str) -> frozenset[str]:
    """The placeholders of a pattern that tell files of a split apart."""
    return frozenset(re.findall(r"\{(\w+)\}", pattern)) - {"split"}


def _alone(patterns: list[frozenset[str]], others: list[frozenset[str]]) -> bool:
    """Whether a pattern shares no placeholder with any of the others. Two single files are a pair without any."""
    return any(all(not a & b and (a or b) for b in others) for a in patterns)
