"""Settings for the tests of `lsu_seg`, made before anything imports torch."""

import os
from collections.abc import Iterator

import pytest

# The networks here are tiny: more threads only wait for each other. Processes that a test starts inherit it.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="module")
def unformatted_configs() -> Iterator[None]:
    """Every run writes its config several times, and laying it out takes longer than training on it."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("yapf.yapflib.yapf_api", "mmengine.config.config"):  # the originals import it early
            patch.setattr(f"{module}.FormatCode", lambda text, **_: (text, True), raising=False)
        yield
