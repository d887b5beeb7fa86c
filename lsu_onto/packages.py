"""The packages that the toolkit uses, by the names of their modules."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

EXTRAS = {
    "seg": ("torch", "mmengine", "mmcv", "mmseg", "cv2", "numba", "llvmlite", "matplotlib", "pycocotools"),
    "mask2former": ("mmdet",),
    "audit": ("scipy",),
    "hf": ("transformers", "huggingface_hub"),
    "render": ("graphviz", "pygraphviz"),
    "labels": ("PIL", "isal"),
    "skos": ("rdflib",),
    "lsp": ("pygls", "lsprotocol"),
    "parquet": ("pyarrow",),
}
"""Extra → the modules that come with it."""

REQUIRED = (
    *("click", "lark", "networkx", "numpy", "packaging", "pydantic", "pygments", "yaml", "rapidfuzz", "rich"),
    *("pydantic_core", "markdown_it"),  # parts of those
)
"""The modules that every installation has, unless pip was told `--no-deps`."""

OTHERS = ("pandas", "safetensors", "tokenizers", "torchvision", "triton", "cattrs")
"""Modules that those import, some of them only where they are there."""


def modules() -> set[str]:
    """All of them.

    >>> "torch" in modules(), "json" in modules()
    (True, False)
    """
    return {module for several in (REQUIRED, OTHERS, *EXTRAS.values()) for module in several}


def installed_as(filename: str) -> str:
    """The package that a file belongs to, by where pip and Debian install packages; else "".

    >>> installed_as("lib/python3/dist-packages/numpy/core/a.py"), installed_as("nets/net.py")
    ('numpy', '')
    """
    for folder, name in pairwise(Path(filename).parts):
        if folder in ("site-packages", "dist-packages") or folder.endswith(".egg"):
            return Path(name).stem
    return ""
