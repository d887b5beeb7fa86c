"""Some thousand images through the loop: memory stays where it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny import label_config, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.statistics import Statistics

IMAGES, DRAWN = 3000, 60
SIZES = [(64, 96), (64, 96), (96, 64), (48, 80)]


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory in /proc")
def test_memory_is_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tax(tmp_path / "tax")
    for i in range(DRAWN):
        write_park(tmp_path / "park", {f"{i:04}": [0, 1, 2, 3, 4, 5, ROW_VOID]}, size=SIZES[i % len(SIZES)])
    for i in range(DRAWN, IMAGES):
        for kind in ("images", "labels"):
            folder = tmp_path / "park" / kind / "train"
            (folder / f"{i:04}.png").hardlink_to(folder / f"{i % DRAWN:04}.png")
    save_checkpoint(tmp_path / "teacher.pth")
    seen: dict[int, float] = {}
    add = Statistics.add

    def watched(self: Statistics, key: str, record: dict[str, Any]) -> None:
        add(self, key, record)
        share = 100 * self.images // IMAGES
        if share in (5, 25, 50, 75, 100):
            seen.setdefault(share, resident())

    monkeypatch.setattr(Statistics, "add", watched)
    dataset = dict(taxonomy=str(tmp_path / "tax/park.tax"), data_root=str(tmp_path / "park"), split="train")
    cfg = label_config(dataset, tmp_path, batch_size=2, confidence=True)
    result = pseudo_label(cfg, tmp_path / "teacher.pth", quiet=True)
    print(f"\nMiB by percent of {IMAGES} images: {seen}; {result['images'] / result['seconds']:.0f} images/s")
    assert result["images"] == IMAGES
    assert len(finished(tmp_path / "labels")) == IMAGES
    assert seen[100] - seen[5] < 16
