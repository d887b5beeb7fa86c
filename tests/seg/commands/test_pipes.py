"""No command waits for a named pipe that nothing writes to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsu_seg.decode.files import _logits
from lsu_seg.evaluation.files import read
from lsu_seg.label_files import read_bytes
from lsu_seg.layout.lists import read_list
from lsu_seg.models.hf_models import model_name
from lsu_seg.openmmlab.weights import check_kind
from lsu_seg.scan.collect import look_at_image

READERS: dict[str, Callable[[Path], Any]] = {
    "an image or a label": read_bytes,
    "a list": lambda path: read_list(path, path.parent, [], []),
    "an evaluation": read,
    "an image's size": look_at_image,
    "logits": _logits,
    "a checkpoint": check_kind,
    "a model's folder": lambda path: model_name(path.parent),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_a_pipe_is_said_to_be_one(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "config.json"
    os.mkfifo(path)
    answer: list[Any] = []

    def run() -> None:
        try:
            answer.append(READERS[reader](path))
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert "it is a pipe that nothing writes to" in str(answer[0])
    assert "config.json" in str(answer[0])
