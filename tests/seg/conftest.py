"""Settings for the tests of `lsu_seg`, made before anything imports torch."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# The networks here are tiny: more threads only wait for each other. Processes that a test starts inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts the tests in the background has them ignore it, and then so would all that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def unformatted_configs() -> Iterator[None]:
    """Every run writes its config several times, and laying it out takes longer than training on it."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("yapf.yapflib.yapf_api", "mmengine.config.config"):  # the originals import it early
            patch.setattr(f"{module}.FormatCode", lambda text, **_: (text, True), raising=False)
        yield


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
