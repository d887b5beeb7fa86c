"""The contents of the search path: sources, datasets, and the sources to which each dataset has a map."""

from __future__ import annotations

from typing import Any

from lsu_onto.library.library import Library
from lsu_onto.library.pipe import differing


def catalogue(library: Library) -> list[dict[str, Any]]:
    """One entry per source and dataset, in the order of the search path. The first with a name and version counts.

    `maps` are the sources to which a dataset has a map; `inherited` are those of the dataset that it extends, provided
    that it adds no classes. `differs` is another file of the same place that declares the name and version
    differently, so that the name means neither; or "".
    """
    entries = list(dict.fromkeys(library.entries()))
    maps: dict[tuple[str, str], dict[str, str]] = {}
    for e in entries:
        if e.source:
            maps.setdefault((e.name, e.version), {}).setdefault(e.source_text, str(e.path))
    classes: dict[tuple[str, str], set[str]] = {}
    for path in dict.fromkeys(str(e.path) for e in entries if e.kind == "dataset"):
        for d in library.declared(path).taxonomies:
            classes.setdefault((d.name, d.version), {c.name for c in d.classes})
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for e in entries:
        key = (e.kind, e.name, e.version)
        if e.kind == "map" or key in rows:
            continue
        declared = library.declared(str(e.path)).taxonomies
        t = next((t for t in declared if (t.name, t.version) == (e.name, e.version)), None)
        own = maps.get((e.name, e.version), {}) if e.kind == "dataset" else {}
        known = classes.get((e.name, e.version), set())
        base = next((maps[b] for b in t.extends if b in maps and known <= classes[b]), {}) if t else {}
        rows[key] = {
            "kind": e.kind,
            "name": e.name,
            "version": e.version,
            "title": t.meta.get("title", "") if t else "",
            "classes": len(t.classes) if t else None,
            "maps": sorted(own),
            "inherited": sorted(set(base) - set(own)),
            "file": str(e.path),
            "differs": _other_declaration(library, key),
        }
    return list(rows.values())


def _other_declaration(library: Library, key: tuple[str, str, str]) -> str:
    other = differing(library.workspace, library.workspace.search.nearest(None, key), key)
    return other.file if other else ""


def as_text(rows: list[dict[str, Any]], width: int) -> str:
    """Sources, then datasets, one per line. Titles are cut at `width`."""
    lines: list[str] = []
    for kind, heading in (
        ("source", "source taxonomies"),
        ("dataset", "datasets, and the sources they are mapped to"),
    ):
        chosen = sorted((r for r in rows if r["kind"] == kind), key=lambda r: (r["name"], r["version"]))
        if not chosen:
            continue
        lines += ["", heading] if lines else [heading]
        names = [f"{r['name']} {r['version']}" for r in chosen]
        targets = [" ".join(s.split()[0] for s in sorted(r["maps"] + r["inherited"])) for r in chosen]
        w1, w2 = max(map(len, names)), max(map(len, targets))
        for r, name, target in zip(chosen, names, targets, strict=True):
            count = f"{r['classes']:4d}" if r["classes"] is not None else "   ?"
            twice = f"`{r['file']}` and `{r['differs']}` declare it, differently" if r["differs"] else ""
            title = "; ".join(filter(None, [twice, r["title"]]))
            line = f"  {name:{w1}} {count}  {target:{w2}}{'  ' if w2 else ''}{title}".rstrip()
            lines.append(line if len(line) <= width else line[: width - 1] + "…")
    return "\n".join(lines)
