"""Settings for the tests of `lsu_seg`, made before anything imports torch."""

import os
import signal
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from helpers.forkserver import OURS, Server

# The networks here are tiny: more threads only wait for each other. Processes that a test starts inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# No test depends on a network. Those of models on a hub serve one of their own.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell that starts the tests in the background has them ignore it, and then so would all that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


import_module("lsu_seg")  # it installs what a test file needs that imports mmseg first


@pytest.fixture(autouse=True, scope="session")
def unformatted_configs() -> None:
    if find_spec("yapf"):
        from helpers.configs import lay_out_by, parsed

        lay_out_by(parsed)


@pytest.fixture(autouse=True, scope="session")
def spared_openmmlab() -> None:
    if find_spec("mmengine"):
        from helpers.openmmlab import spare

        spare()


@pytest.fixture(autouse=True, scope="session")
def float32_where_no_precision_is_named() -> None:
    """On a GPU, too, where bf16 is the default: tests compare labels and weights with those of other computations."""
    if which("nvidia-smi") and find_spec("torch"):
        from lsu_seg.teachers import computing

        computing._capability = lambda device: None


@pytest.fixture
def formatted_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users get them."""
    from helpers.configs import YAPF, lay_out_by

    lay_out_by(YAPF, monkeypatch.setattr)


@pytest.fixture(scope="session")
def server(libraries: Server) -> Iterator[Server]:
    """Starts `lsu-seg …` where all that it needs is imported."""
    server = Server(OURS, parent=libraries)
    yield server
    server.close()


@pytest.fixture(scope="module")
def park(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The taxonomies `tiny` and `park`, and a dataset of each."""
    import numpy as np

    from helpers.tiny import save, write_park, write_tax

    root = tmp_path_factory.mktemp("park")
    write_tax(root / "tax")
    write_park(root / "park", {"a": [0, 1, 2, 3, 4, 5, -1], "b": [1, 3], "c": [0, 2]}, size=(64, 96))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        save(root / f"fine/images/{split}/a.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
        save(root / f"fine/labels/{split}/a.png", rng.choice([0, 1, 2, 3, 4, 255], (64, 64)).astype(np.uint8))
    return root
