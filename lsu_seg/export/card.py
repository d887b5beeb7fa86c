"""What an export says of itself: its classes, where images and labels come from, and under what terms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import yaml

from lsu_onto import __version__
from lsu_seg.export.labelled import Item, Run
from lsu_seg.label_files import void_index

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def classes(run: Run) -> str:
    """`classes.json`: number, name and colour of each class, and the number of void."""
    c = run.constraint
    colours = ("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in c.source_palette.tolist())
    rows = [
        {"id": channel, "name": name, "color": colour}
        for channel, (name, colour) in enumerate(zip(c.source_classes, colours, strict=True))
    ]
    text = {"source": f"{c.source} {c.source_version}", "void": void_index(c.num_classes), "classes": rows}
    return json.dumps(text, indent=1, ensure_ascii=False) + "\n"


def id2label(run: Run) -> str:
    """`id2label.json`, as the configs of Hugging Face's models have it."""
    return json.dumps(dict(enumerate(run.constraint.source_classes)), indent=1, ensure_ascii=False) + "\n"


def front_matter(items: Sequence[Item]) -> str:
    """The head of a dataset card on a Hugging Face hub."""
    splits = list(dict.fromkeys(item.split for item in items))
    head = {
        "license": "other",
        "license_name": "licences-of-the-datasets",
        "task_categories": ["image-segmentation"],
        "tags": ["semantic-segmentation", "pseudo-labels"],
        "size_categories": [next((name for limit, name in _SIZES if len(items) < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n"


def card(runs: Sequence[Run], how: str) -> str:
    """A page in Markdown. how: what lies where, and how it is loaded."""
    c = runs[0].constraint
    names = list(dict.fromkeys(run.name for run in runs))
    many = f"{len(names)} datasets" if len(names) > 1 else f"`{names[0]}`"
    void = void_index(c.num_classes)
    return "\n".join(
        [
            f"# {many} in the classes of `{c.source} {c.source_version}`",
            "",
            f"{_allowed(runs)} Written by lsu-toolkit {__version__}.",
            "",
            how.strip(),
            "",
            "## Images and their licences",
            "",
            "Images stay under the licences of their owners, and labels that were made from annotations may, too."
            " Before you share this dataset, make sure that all of them allow it.",
            "",
            *_table(["dataset", "images", "void pixels", "licence", "from"], map(_provenance, runs)),
            "",
            "## How labels were made",
            "",
            *_table(["dataset", "teacher", "scales", "flips", "threshold", "toolkit"], map(_settings, runs)),
            "",
            *_corrected(runs),
            "## Classes",
            "",
            f"{void} is void: no class, or not known.",
            "",
            *_table(["id", "class"], ([str(i), name] for i, name in enumerate(c.source_classes))),
            "",
        ]
    )


def _allowed(runs: Sequence[Run]) -> str:
    free = list(dict.fromkeys(f"`{run.name}`" for run in runs if not run.manifest.get("constrained", True)))
    if not free:
        return "Every label lies inside what the dataset's own annotation allows."
    return f"The labels of {', '.join(free)} are the teacher's alone: the dataset's own annotation may contradict them."


def _corrected(runs: Sequence[Run]) -> list[str]:
    counts = [f"{run.corrected} of `{run.name}`" for run in runs if run.corrected]
    return [f"People have corrected labels: {', '.join(counts)}.", ""] if counts else []


def _provenance(run: Run) -> list[str]:
    images = ", ".join(f"{count} {split}" for split, count in sorted(run.images.items()))
    about: Mapping[str, str] = run.about
    title = f"`{run.manifest['dataset']}`" + (f", {about['title']}" if about.get("title") else "")
    share = f"{100 * run.void / run.pixels:.1f} %" if run.pixels else ""
    return [title, images, share, about.get("licence", "unknown"), about.get("url", "")]


def _settings(run: Run) -> list[str]:
    m = run.manifest
    weights = str(m.get("checkpoint_sha256", "unknown")).removeprefix("none: ")  # the teacher brought its own
    teacher = str(m.get("teacher") or f"weights {weights[:12]}")
    scales = " ".join(_text(scale) for scale in _values(m.get("scales")))
    if not m.get("constrained", True):
        teacher += ", without constraints"
    threshold = m.get("threshold")
    flips = "yes" if True in _values(m.get("flips")) else "no"
    return [
        run.name,
        teacher,
        scales,
        flips,
        "none" if threshold is None else _text(threshold),
        str(m.get("version", "")),
    ]


def _values(stated: object) -> list[object]:
    """A list of a manifest, which somebody may have edited."""
    return stated if isinstance(stated, list) else []


def _text(stated: object) -> str:
    return f"{stated:g}" if isinstance(stated, (int, float)) else str(stated)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |")
    return lines
