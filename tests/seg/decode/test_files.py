"""`lsu-seg decode` on one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsu_seg.decode import DecodeError
from lsu_seg.decode.files import decode_file


@pytest.mark.parametrize(("taxonomy", "encoding"), [("coco_panoptic", "panoptic-rgb"), ("nuimages", "rle")])
def test_labels_that_tables_explain_are_refused(taxonomy: str, encoding: str, tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", np.zeros((19, 4, 4), np.float32))
    label = str(tmp_path / "a.png")
    with pytest.raises(DecodeError, match=rf"a\.png: tables of the dataset explain .*`encoding: {encoding}`\)"):
        decode_file(taxonomy, "cityscapes", label, str(tmp_path / "logits.npy"), str(tmp_path / "out.png"))
    assert not (tmp_path / "out.png").exists()
