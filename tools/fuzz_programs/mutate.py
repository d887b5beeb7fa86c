"""What goes wrong with files, values and environments: every choice is drawn from the generator of a call."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

NUMBERS = ["0", "-1", "1", "255", "65536", "4294967296", "1" * 30, "1e400", "nan", "-inf", "0.5", "1_0", "٣", "0x10"]
WORDS = [
    *[
        "",
        " ",
        "-",
        "--",
        "x",
        "void",
        "any",
        "None",
        "null",
        "true",
        "[]",
        "{}",
        "[[[[",
        "a=b",
        "=",
        "a,b",
        "*",
        "**/x",
    ],
    *[
        "{stem}",
        "{split}",
        "%s",
        "[red]x[/]",
        "é",
        "😀",
        "道路",
        "a\nb",
        "a\tb",
        "x" * 300,
        "../x",
        "./",
        "\udcff",
        "@x",
    ],
]
TOKENS = [
    *NUMBERS,
    *WORDS,
    "tax 1",
    "dataset",
    "source",
    "->",
    "=",
    "<",
    ">",
    "~",
    "!",
    "@",
    "#804080",
    "\x00",
    "\ufeff",
]
OTHERS: list[Any] = [None, True, 0, -1, 1e308, 10**30, float("nan"), "", "x", [], {}, [[]], {"a": {}}, ["a"] * 3]

Bytes = Callable[[bytes, Random], bytes]


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _splice(data: bytes, rng: Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:a] + rng.randbytes(rng.randrange(5)) + data[min(b, a + 9) :]


def _shape(data: bytes, rng: Random) -> bytes:
    """The whole file as another program would have written it."""
    text = data.decode("utf-8", "replace")
    return rng.choice(
        [
            lambda: b"",
            lambda: b"\n",
            lambda: b"\x00" * 64,
            lambda: b"\xef\xbb\xbf" + data,
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-16-le"),
            lambda: text.encode("cp1252", "replace"),
            lambda: data.replace(b"\n", b"\r\n"),
            lambda: data.replace(b"\n", b"\r"),
            lambda: data + data,
            lambda: b"[" * 20_000,
            lambda: b"<!DOCTYPE html><html><body>404</body></html>",
            lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        ]
    )()


def _line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(5)
    if what == 0:
        del lines[i]
    elif what == 1:
        lines.insert(j, lines[i])
    elif what == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif what == 3:
        lines[i] = b" " * rng.randrange(1, 9) + lines[i]
    else:
        lines[i] += lines[j]
    return b"\n".join(lines)


def _token(data: bytes, rng: Random) -> bytes:
    """Some words or numbers become others, mostly of the same file."""
    text = data.decode("utf-8", "surrogateescape")
    spans = [m.span() for m in re.finditer(r"\w+|[^\w\s]+", text)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        if not spans:
            break
        a, b = rng.choice(spans)
        c, d = rng.choice(spans)
        text = text[:a] + (text[c:d] if rng.random() < 0.5 else rng.choice(TOKENS)) + text[b:]
    return text.encode("utf-8", "surrogatepass")


def _json(data: bytes, rng: Random) -> bytes:
    """A value of a document becomes one of another type, or goes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):  # an earlier change made it too deep
        return _token(data, rng)
    places: list[tuple[Any, Any]] = []
    todo = [document] if isinstance(document, dict | list) else []
    while todo:
        here = todo.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        places += [(here, key) for key in keys]
        todo += [here[key] for key in keys if isinstance(here[key], dict | list)]
    if not places or rng.random() < 0.05:
        return json.dumps(rng.choice(OTHERS)).encode()
    for _ in range(rng.choice([1, 1, 3])):
        here, key = rng.choice(places)
        if isinstance(here, dict) and rng.random() < 0.3:
            here.pop(key, None)
            if rng.random() < 0.5:
                here[rng.choice(WORDS)] = rng.choice(OTHERS)
        elif isinstance(here, dict) or key < len(here):
            here[key] = rng.choice(OTHERS)
    return json.dumps(document).encode()


def _picture(data: bytes, rng: Random) -> bytes:
    """The same pixels of another kind or size."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(io.BytesIO(data))
            image = image.convert(rng.choice(["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "CMYK"]))
            sizes = [image.size, image.size, (1, 1), (7, 3), image.size[::-1], (3000, 1)]
            out = io.BytesIO()
            form = rng.choice(["PNG", "PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
            image.resize(rng.choice(sizes), 0).save(out, form)
            return out.getvalue()
    except (OSError, ValueError, KeyError, SyntaxError):  # not of this mode, or in this format
        return _flip(data, rng)


def _arrays(data: bytes, rng: Random) -> bytes:
    """An array of an `.npy` or `.npz` with another type, shape, order or value."""
    import numpy as np

    try:
        loaded = np.load(io.BytesIO(data))
        arrays = dict(loaded) if hasattr(loaded, "files") else {"": loaded}
    except Exception:  # mutated already
        return _flip(data, rng)
    name = rng.choice(list(arrays))
    a = arrays[name]
    with np.errstate(all="ignore"):
        changed = rng.choice(
            [
                lambda: a.astype(rng.choice(["f2", "f8", "i1", "u8", "U9", "?", "c8", "O"])),
                lambda: a[:0],
                lambda: a.reshape(-1),
                lambda: a[None],
                lambda: a.T,
                lambda: np.concatenate([a.reshape(-1)] * 2),
                lambda: np.zeros_like(a),
                lambda: np.full_like(a, a.reshape(-1)[-1]),
                lambda: np.array(rng.choice([0, -1, 1e300, "x", float("nan")])),
            ]
        )
        try:
            arrays[name] = changed()
        except (TypeError, ValueError, IndexError, OverflowError):
            arrays[name] = np.zeros(0)
    if len(arrays) > 1 and rng.random() < 0.2:
        del arrays[name]
    out = io.BytesIO()
    if "" in arrays:
        np.save(out, arrays[""])
    else:
        np.savez(out, **arrays)
    return out.getvalue()


_TEXT: list[Bytes] = [_token, _token, _token, _line, _line, _shape, _flip, _cut, _splice]
_BINARY: list[Bytes] = [_flip, _flip, _cut, _shape, _splice]


def change(path: Path, rng: Random) -> None:
    """Change a file, or put something else in its place."""
    if rng.random() < 0.06:
        path.unlink()
        what = rng.randrange(5)
        if what == 0:
            path.mkdir()
        elif what == 1:
            os.mkfifo(path)
        elif what == 2:
            path.symlink_to(path.name)
        elif what == 3:
            path.symlink_to("nowhere")
        return
    data = path.read_bytes()
    kinds = {".json": [_json] * 6 + _TEXT, ".png": [_picture] * 4 + _BINARY, ".pth": _BINARY}
    kinds |= dict.fromkeys((".npz", ".npy"), [_arrays] * 8 + _BINARY)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        data = rng.choice(kinds.get(path.suffix, _TEXT))(data, rng)
    path.write_bytes(data)


def word(text: str, rng: Random) -> str:
    """A value that was typed wrongly."""
    what = rng.randrange(6)
    a = rng.randrange(len(text) + 1)
    if what == 0:
        return rng.choice(WORDS)
    if what == 1:
        return rng.choice(NUMBERS)
    if what == 2:
        return text[:a] + text[a + 1 :]
    if what == 3:
        return text + rng.choice(["/", "x", ":", "@v1", "@v9", " v1", ".tax", "\n", "\x07", "=1", ",", "=" * 3])
    if what == 4:
        return text.swapcase()
    return text[:a] + rng.choice("-_=,@:/. é😀[{\"'\\") + text[a:]


def environment(rng: Random) -> dict[str, str | None]:
    """Variables that differ from the usual; None: not set."""
    choices: list[dict[str, str | None]] = [
        *({"PYTHONIOENCODING": e} for e in ("cp1252", "latin-1", "ascii", "utf-16", "ascii:replace")),
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": None},
        {"HOME": "park.tax"},
        {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None},
        {"XDG_CACHE_HOME": "park.tax"},
        {"TMPDIR": "/nowhere", "TEMP": "/nowhere"},
        *({"COLUMNS": c} for c in ("1", "0", "x", "-5", "100000")),
        {"NO_COLOR": "1", "TERM": "dumb"},
        {"FORCE_COLOR": "1", "TERM": "unknown"},
        {"OMP_NUM_THREADS": "x"},
        {"OMP_NUM_THREADS": "-1"},
        {"RANK": "1", "WORLD_SIZE": "x"},
        {"LOCAL_RANK": "7", "WORLD_SIZE": "2"},
        {"PATH": ""},
        {"PYTHONWARNINGS": "default"},
        {"LSU_SEG_TRUST_CHECKPOINT": "maybe"},
        {"GIT_DIR": "/nowhere"},
        {"TZ": "x/y"},
    ]
    chosen: dict[str, str | None] = {}
    for _ in range(rng.choice([1, 1, 2])):
        chosen |= rng.choice(choices)
    return chosen
