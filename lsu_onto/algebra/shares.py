"""How frequent the classes of a dataset are, as `lsu-seg scan --format json` counted them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.members import Member
from lsu_onto.errors import UserError
from lsu_onto.files import open_to_read


def read_all(paths: Sequence[str], members: Sequence[Member]) -> dict[str, NDArray[np.float64]]:
    """The shares of several datasets, by name and version.

    Raises:
        UserError: as `read_shares`; or two files are of one dataset.
    """
    shares: dict[str, NDArray[np.float64]] = {}
    for path in paths:
        name, own = read_shares(path, members)
        if name in shares:
            raise UserError(f"{path}: is a second scan of `{name}`; scan all of its splits in one go")
        shares[name] = own
    return shares


def read_shares(path: str, members: Sequence[Member]) -> tuple[str, NDArray[np.float64]]:
    """The name and version of one of some datasets, and the share of each of its classes in the pixels of a scan.

    Raises:
        UserError: the file is no such report, or of none of the datasets.
    """
    try:
        with open_to_read(path) as file:
            report = json.loads(file.read())["report"]
        name = str(report["taxonomy"])
        pixels = {str(c["name"]): c["pixels"] for c in report["classes"]}
        total = report["pixels"]
        if not all(type(n) is int and 0 <= n <= total < 1 << 63 for n in (*pixels.values(), total)):
            raise ValueError
    except OSError as e:
        raise UserError(f"cannot read `{path}`: {e.strerror or e}") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # no UTF-8; Infinity; nested too deeply
        raise UserError(
            f"{path}: is no report of a scan; `lsu-seg scan DATASET --format json > {path}` writes one"
        ) from None
    found = next((m for m in members if m.name == name), None)
    if found is None:
        raise UserError(f"{path}: is a scan of `{name}`, which is not united; {', '.join(m.name for m in members)} are")
    if total < 1:
        raise UserError(f"{path}: the scan has read no pixels")
    if {c.name for c in found.taxonomy.classes} != pixels.keys():
        raise UserError(f"{path}: is a scan of other classes than `{name}` has now; scan it again")
    return name, np.array([pixels[c.name] / total for c in found.taxonomy.classes])
