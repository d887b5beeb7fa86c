"""What an audit looks at: a sample, the map that it is held against, and where the labels are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.audit.sample import Sample, SampleError
from lsu_seg.errors import UserError
from lsu_seg.label_files.annotation import has_meaning
from lsu_seg.pseudo.output import MANIFEST
from lsu_seg.pseudo.sample import in_rows_of, read_manifest, read_sample

_DEPTH = 3
"""A run of `unify` has the labels of a dataset in WORK/pseudo/NAME/constrained."""


@dataclass(frozen=True)
class Audited:
    """Everything that an audit needs.

    Attributes:
        name, source, paths: of the map, as for `lsu_onto.load`. constraint: what that returned.
        sample: of the pixels that the teacher was asked about; its classes are those of `constraint`.
        splits: those that the sample is of. labels: folder of the pseudo-labels. raw: of the teacher's own, or None.
    """

    name: str
    source: str | None
    paths: tuple[str, ...]
    constraint: Constraint
    sample: Sample
    splits: tuple[str, ...]
    labels: Path
    raw: Path | None

    @property
    def labels_of_another_map(self) -> bool:
        """Whether the pseudo-labels, which pictures show, were made under another map than `constraint`."""
        if not (self.labels / MANIFEST).is_file():
            return False
        made = read_manifest(self.labels).get("meaning_sha256")
        return not has_meaning(self.constraint, made)


def labelling_runs(root: Path) -> list[Path]:
    """The folders of constrained labels: the folder itself, or else those below it, such as those of a `unify` run.

    Raises:
        SampleError: there is none.
    """
    if (root / MANIFEST).is_file():
        return [root]
    found = sorted(
        path.parent
        for depth in range(1, _DEPTH + 1)
        for path in root.glob("/".join(["*"] * depth + [MANIFEST]))
        if "before" not in path.relative_to(root).parts  # what a change of a `unify` config has replaced
    )
    runs = [path for path in found if _is_constrained(path)]
    if not runs:
        raise SampleError(
            f"{root}: neither a folder of pseudo-labels, which has a {MANIFEST}, nor one with such folders below it;"
            " name the output folder of a labelling run"
        )
    return runs


def _is_constrained(root: Path) -> bool:
    try:
        return bool(read_manifest(root).get("constrained", True))
    except SampleError:
        return False  # another program's


def audited_run(
    root: Path, taxonomy: str | None = None, source: str | None = None, paths: Iterable[str] = ()
) -> Audited:
    """A labelling run, finished or not, with the map that it was made with or another one of the same raw values.

    Args:
        taxonomy, source, paths: the map, as for `lsu_onto.load`; by default the one that the run names.

    Raises:
        SampleError: there is nothing to look at, or the map has other classes. TaxonomyError: see `lsu_onto.load`.
    """
    sample, manifest, paths = read_sample(root), read_manifest(root), tuple(paths)
    dataset, to = str(manifest["dataset"]), str(manifest["source"])
    name, source = taxonomy or dataset, source or to
    try:
        constraint = lsu_onto.load(name, source, paths)
    except UserError as error:
        if taxonomy:
            raise
        raise SampleError(
            f"{root}: these are labels of `{dataset}` -> `{to}`, whose map cannot be read: {error}\n"
            "Name its file with `--taxonomy FILE.tax`, or the folder that it is in with `--path DIR`"
        ) from error
    sample = in_rows_of(constraint, sample, root)
    splits = manifest.get("splits")
    return Audited(
        name, source, paths, constraint, sample, tuple(splits) if isinstance(splits, dict) else (), root, _raw(root)
    )


def _raw(root: Path) -> Path | None:
    """The teacher's own labels of the same run, where they lie beside the constrained ones."""
    own = read_manifest(root)
    for path in sorted(root.absolute().parent.glob(f"*/{MANIFEST}")):
        try:
            other = read_manifest(path.parent)
        except SampleError:
            continue
        if not other.get("constrained", True) and all(
            other.get(key) == own.get(key) for key in ("dataset", "source", "model_sha256", "checkpoint_sha256")
        ):
            return path.parent
    return None
