"""The reference of the Python names that users import or write in configs, read off the source: nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "reference"
MODULES = {
    "lsu_seg.set_nll": "The set-valued loss on tensors.",
    "lsu_seg.decode": "Pseudo-labels from the logits of any framework.",
    "lsu_seg.targets": "What the loss of a pixel is.",
    "lsu_seg.label_files": "Label files and their rows.",
}
"""Those of `lsu_seg` that work in programs of one's own, without MMSegmentation."""
REGISTRIES = {
    "DATASETS": "Datasets",
    "TRANSFORMS": "Transforms",
    "DATA_SAMPLERS": "Samplers",
    "MODELS": "Models and losses",
    "TASK_UTILS": "Parts of losses",
    "LOOPS": "Loops",
    "HOOKS": "Hooks",
    "METRICS": "Metrics",
    "VISBACKENDS": "Backends of trackers",
}
"""The registries of MMSegmentation in which we have parts, and what they hold."""


def pages() -> dict[str, str]:
    """Page → Markdown for mkdocstrings. The docstrings are on them, the names come from the source."""
    pages = {
        "lsu_onto.md": "\n".join(
            ["# lsu_onto", "", "Taxonomies and constraints, without torch. [A tour](../python.md)", ""]
            + [_entry(f"lsu_onto.{name}") for name in _functions_first("lsu_onto")]
        ),
        "configs.md": "\n".join(_configs()),
        "lsu_seg.md": "\n".join(_modules()),
    }
    return pages


def _modules() -> Iterator[str]:
    yield "# lsu_seg, without MMSegmentation"
    yield "\n[Plain PyTorch](../plain-pytorch.md) and [decoding](../decoding.md) show their use.\n"
    for module, purpose in MODULES.items():
        yield f"## {module}\n\n{purpose}\n"
        for name in _functions_first(module):
            yield _entry(f"{module}.{name}", level=3)


def _configs() -> Iterator[str]:
    yield "# Parts of a config"
    yield (
        "\nAfter `custom_imports = dict(imports=['lsu_seg'])`, these names are known as `type`.\n"
        "[Training](../training.md), [pseudo-labels](../pseudo-labels.md), [teachers](../teachers.md) and"
        " [evaluation](../evaluation.md) show their use.\n"
    )
    parts = registered()
    unknown = set(parts) - set(REGISTRIES)
    if unknown:
        raise ValueError(f"parts in {', '.join(sorted(unknown))}: give these registries a heading in {__file__}")
    for registry, heading in REGISTRIES.items():
        yield f"## {heading}\n"
        for path in parts[registry]:
            yield _entry(path, level=3)


def _entry(path: str, level: int = 2) -> str:
    return f"::: {path}\n    options:\n      heading_level: {level}\n"


def registered() -> dict[str, list[str]]:
    """Registry → dotted names of the classes that `@register` puts there."""
    parts: dict[str, list[str]] = {}
    for file in sorted((ROOT / "lsu_seg").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            for call in node.decorator_list if isinstance(node, ast.ClassDef) else []:
                match call:
                    case ast.Call(func=ast.Name(id="register"), args=[ast.Name(id=registry)]):
                        parts.setdefault(registry, []).append(f"{module}.{node.name}")
    return parts


def public(module: str) -> list[str]:
    """The names in a module's `__all__`."""
    for node in _tree(module).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=names):
                return [str(name) for name in ast.literal_eval(names)]
    raise ValueError(f"{module} has no __all__")


def _functions_first(module: str) -> list[str]:
    """Its own functions in their order, then what it takes from others: functions, classes, constants."""
    names = public(module)
    own = [node.name for node in _tree(module).body if isinstance(node, ast.FunctionDef) and node.name in names]
    others = [name for name in names if name not in own]
    return own + sorted(others, key=lambda name: (name.isupper(), name[0].isupper(), others.index(name)))


def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
