"""A report as an audit makes it, of any number of classes, with a finding of every kind."""

from __future__ import annotations

import numpy as np

from lsu_seg.audit.findings import KINDS, Cells, Finding, Region, Report


def a_report(classes: int = 5, sources: int = 6, key: str = "labels/train/a", seed: int = 0) -> Report:
    rng = np.random.default_rng(seed)
    allowed = np.zeros((classes, sources + 1), bool)
    allowed[np.arange(classes), np.arange(classes) % sources] = True
    allowed[1] = True
    share = rng.dirichlet(np.full(sources, 0.2), classes).astype(np.float32)
    share[-1] = np.nan
    decidable = rng.choice([0.02, 0.12, 0.4, np.inf], (classes, sources)).astype(np.float32)
    region = (Region(key, (0, 0, 16, 24), 0.83),)
    about = {
        "shuffled": Finding("shuffled", score=12.0, images=40),
        "mispaired": Finding("mispaired", keys=(key, "labels/train/b"), score=7.0),
        "slipped": Finding("slipped", rows=(0, 2, 3), changes={0: (2,), 2: (3,), 3: (0,)}, score=9.0),
        "exchanged": Finding("exchanged", rows=(0, 2), changes={0: (2,), 2: (0,)}, confirmed=True, score=6.0),
        "wrong-row": Finding("wrong-row", rows=(3,), channels=(1,), share=0.7, images=9, score=5.0),
        "insisted": Finding("insisted", (2,), (4,), share=0.834, images=41, score=4.0, figures={"lift": 7.31}),
        "void-hides": Finding("void-hides", rows=(-1,), channels=(5,), share=0.4, images=3, score=3.5),
        "never-chosen": Finding("never-chosen", rows=(0,), channels=(0,), score=3.0, expected=0.4),
        "is-void": Finding("is-void", rows=(1,), share=0.5, images=1, score=2.0, expected=0.5),
    }
    findings = tuple(Finding(**{**vars(about[kind]), "regions": region}) for kind in KINDS)
    return Report(
        dataset="park v1",
        source="tiny v1",
        classes=tuple(f"class_{d}" for d in range(classes)),
        source_classes=tuple(f"source_{c}" for c in range(sources)),
        allowed=allowed,
        images=300,
        sampled=200,
        pixels=np.full(classes, 4096, np.int64),
        unseen={classes - 1: "the teacher was asked in none of its pixels"},
        findings=findings,
        cells=Cells(share, np.zeros_like(share), decidable),
        settings={"false_alarms": 0.3},
        remarks=("the teacher is weak on `source_5`",),
    )
