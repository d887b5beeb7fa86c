"""docs/adding-a-dataset.md and docs/scan.md: every command is run on a small dataset, and prints what stands there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lsu_onto.cli import main as onto
from lsu_seg.cli import main as seg

DOCS = Path(__file__).parents[3] / "docs"
CSV = "id,name,colour\n1,track,#c4a484\n2,crop,#6b8e23\n3,hedge,#2e8b57\n4,sky,#4682b4\n5,tractor,#00008e\n"


def draw(root: Path) -> None:
    """Six images to train and two to validate; sky above, a tractor, a hood (255), and 9 in one file."""
    for split, number in (("train", 6), ("val", 2)):
        for i in range(number):
            label = np.full((64, 96), 2, np.uint8)
            label[:20], label[20:28] = 4, 3
            label[28:, 30 + i : 60 - i], label[26:40, 70:84], label[-4:] = 1, 5, 255
            if (split, i) == ("train", 4):
                label[48:52, 4:24] = 9
            image = np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8)
            for place, pixels, suffix in (("images", image, "jpg"), ("labels", label, "png")):
                file = root / f"{place}/{split}/{i:03}.{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^```(console|tax)\n(.*?)^```$", text, re.M | re.S)


def run(command: str) -> str:
    """What a command prints, its exit code below if it is not 0."""
    program, *args = shlex.split(command, comments=True)
    result = CliRunner().invoke({"lsu-onto": onto, "lsu-seg": seg}[program], args)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.stdout + (f"(exit code {result.exit_code})\n" if result.exit_code else "")


def written(text: str) -> str:
    """The page as it ought to be: the files that it shows are written, and its commands are run."""
    for kind, block in blocks(text):
        if kind == "tax":
            Path("farm.tax").write_text(block)
        else:
            commands = re.findall(r"^\$ (.*)$", block, re.M)
            assert commands
            text = text.replace(block, "\n".join(f"$ {c}\n{run(c)}" for c in commands))
    return text


@pytest.mark.parametrize("page", ["adding-a-dataset.md", "scan.md"])
def test_every_command_prints_what_stands_there(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data")
    (tmp_path / "classes.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    assert len(list(blocks(text))) > 1
    new = written(text)
    if os.environ.get("WRITE_DOCS"):
        (DOCS / page).write_text(new, encoding="utf-8")
    assert new == text
    if page == "adding-a-dataset.md":
        config = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)[0]
        scope: dict = {}
        exec(config, scope)
        from mmengine.registry import init_default_scope

        from lsu_seg.openmmlab.registry import DATASETS

        init_default_scope("mmseg")
        assert len(DATASETS.build(scope["dataset"])) == 6
