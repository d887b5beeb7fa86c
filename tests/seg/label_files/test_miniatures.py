"""Every shipped dataset the whole way, from its official folder in miniature to pseudo-labels inside S(d)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope

import lsu_onto
from helpers.miniatures import Official, draw
from helpers.official import OFFICIAL, OTHER_FORMS
from helpers.tiny import label_config, model_config, read, save_checkpoint
from lsu_onto import Constraint
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import Entry
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import survey
from lsu_seg.pseudo.run import pseudo_label

LOAD = [dict(type="LoadTaxImage"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]
VOID = 255


def shipped() -> list[Entry]:
    """Every taxonomy below `taxonomies/urban` and `taxonomies/offroad`, and the maps between."""
    return [e for e in Library().entries() if {"urban", "offroad"} & set(e.path.parts[-3:-1])]


def sources_of(name: str) -> list[str]:
    """The sources that a dataset has maps to: its own, else those of the dataset that it extends."""
    library = Library()
    entries = [e for e in shipped() if name in (e.name, f"{e.name} {e.version}")]
    own = [e.source for e in entries if e.source] or [e.name for e in entries if e.kind == "source"]
    if own:
        return own
    (base, version) = library.declared(str(entries[0].path)).taxonomies[0].extends[0]
    return sources_of(f"{base} {version}")


def test_no_shipped_dataset_lacks_a_miniature() -> None:
    datasets = [e for e in shipped() if e.kind in ("dataset", "source")]
    assert len(datasets) > 25
    covered = {e: [n for n in OFFICIAL if n in (e.name, f"{e.name} {e.version}")] for e in datasets}
    assert [e.name for e, names in covered.items() if len(names) != 1] == []
    assert len(OFFICIAL) == len(datasets)


def test_a_dataset_of_several_releases_is_named_with_its_version(tmp_path: Path) -> None:
    with pytest.raises(lsu_onto.TaxonomyError, match=r'name the version, e\.g\. `"vistas v1\.2"`'):
        TaxDataset("vistas", str(tmp_path), "training", source="cityscapes")
    for version, classes in (("v1.2", 66), ("v2", 124)):
        draw(OFFICIAL[f"vistas {version}"], tmp_path, lsu_onto.load(f"vistas {version}", "cityscapes"))
        dataset = TaxDataset(f"vistas {version}", str(tmp_path), "training", source="cityscapes")
        assert (len(dataset), len(dataset.constraint.classes)) == (2, classes)
        assert (dataset.constraint.dataset, dataset.constraint.dataset_version) == ("vistas", version)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Constraint], Path]:
    """A checkpoint of random weights for each source."""
    folder = tmp_path_factory.mktemp("teachers")

    def of(constraint: Constraint) -> Path:
        path = folder / f"{constraint.source}.pth"
        return path if path.exists() else save_checkpoint(path, classes=constraint.source_classes)

    return of


@pytest.mark.filterwarnings("ignore:.*labels are not where the list says")  # ApolloScape's road01, officially so
@pytest.mark.parametrize("name", OFFICIAL)
def test_the_whole_way(name: str, tmp_path: Path, teacher: Callable[[Constraint], Path]) -> None:
    official, sources, data = OFFICIAL[name], sources_of(name), tmp_path / "data"
    constraint = lsu_onto.load(name, sources[0])
    known = dict(zip(constraint.raw_names or constraint.raw.tolist(), constraint.raw_row.tolist(), strict=True))
    assert {raw: constraint.classes[known[raw]] for raw in official.knows} == official.knows
    assert set(constraint.layout.splits) == set(official.splits)

    drawn = check_finding(name, official, data, constraint)
    for number, source in enumerate(sources):
        split = list(drawn)[number % len(drawn)]
        check_pseudo_labels(name, source, data, split, drawn[split], tmp_path / source, teacher)


def test_every_dataset_with_alternatives_has_a_miniature_of_the_other_form() -> None:
    patterns = {n: lsu_onto.load(n, sources_of(n)[0]).layout for n in OFFICIAL}
    assert {n for n, p in patterns.items() if " | " in p.images + p.labels + p.segments + p.list} == set(OTHER_FORMS)


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_other_forms_of_the_download(name: str, tmp_path: Path) -> None:
    constraint = lsu_onto.load(name, sources_of(name)[0])
    check_finding(name, OTHER_FORMS[name], tmp_path, constraint)


def test_tables_in_another_folder(tmp_path: Path) -> None:
    """`rle` finds its tables by the alternatives of `segments:`, the pairs and the masks alike."""
    constraint = lsu_onto.load("nuimages", "cityscapes")
    drawn = draw(OFFICIAL["nuimages"], tmp_path, constraint)
    layout = replace(constraint.layout, segments="{split}/tables | v1.0-{split}")
    reader = LabelReader(replace(constraint, layout=layout), root=str(tmp_path), split="val")
    (pair,) = survey(tmp_path, layout, "val").pairs
    assert np.array_equal(reader.rows(pair.label), drawn["val"][pair.image])


def check_finding(
    name: str, official: Official, data: Path, constraint: Constraint
) -> dict[str, dict[Path, np.ndarray]]:
    """Draw the miniature: its pairs are found, no other file is taken, and its labels are read as they were drawn."""
    drawn = draw(official, data, constraint)
    for split, pairs in official.splits.items():
        found = survey(data, constraint.layout, split)
        assert {(p.image, p.label) for p in found.pairs} == {(data / i, data / label) for i, label in pairs}
        assert not (found.alone or found.doubles or found.unreadable)
        check_decoding(name, constraint.source, data, split, drawn[split])
    return drawn


def check_decoding(name: str, source: str, data: Path, split: str, drawn: dict[Path, np.ndarray]) -> None:
    """What the pipeline loads is what was drawn, and every class that can be drawn is in it."""
    init_default_scope("mmseg")
    dataset = TaxDataset(name, str(data), split, source=source, pipeline=LOAD)
    seen = set()
    for sample in dataset:
        packed = sample["data_samples"]
        rows = packed.gt_rows.data[0].numpy()
        assert np.array_equal(rows, drawn[Path(packed.img_path)])
        seen |= set(np.unique(rows).tolist())
    constraint = dataset.constraint
    can_be = {*constraint.raw_row.tolist(), constraint.background}
    assert {row for row in seen if row >= 0} == {row for row in can_be if row >= 0}


def check_pseudo_labels(
    name: str,
    source: str,
    data: Path,
    split: str,
    drawn: dict[Path, np.ndarray],
    work: Path,
    teacher: Callable[[Constraint], Path],
) -> None:
    """A real loop with a small teacher: its output is inside S(d) on every pixel, and is read as it was written."""
    constraint = lsu_onto.load(name, source)
    config = dict(taxonomy=name, source=source, data_root=str(data), split=split)
    cfg = label_config(config, work, flips=(False,))
    cfg.model = model_config(constraint.num_classes)
    cfg.test_dataloader.dataset.pipeline = LOAD
    result = pseudo_label(cfg, teacher(constraint), quiet=True)
    assert result["images"] == len(drawn)
    assert (result["asked_share"] > 0) == bool((constraint.relabel < 0).any())

    ignore = np.zeros(constraint.num_classes + 1, bool)
    ignore[-1] = True
    allowed = np.vstack([constraint.allowed, ignore])  # the last: what is not annotated
    labelled = TaxDataset(**config, labels=str(work / "labels"), pipeline=LOAD)
    for sample in labelled:
        packed = sample["data_samples"]
        written = read(Path(packed.seg_map_path))
        assert np.array_equal(packed.gt_sem_seg.data[0].numpy(), written)
        assert set(np.unique(written).tolist()) <= {*range(constraint.num_classes), VOID}
        column = np.where(written == VOID, constraint.num_classes, written)
        assert allowed[drawn[Path(packed.img_path)], column].all()
