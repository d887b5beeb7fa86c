"""What all tests share: where `helpers` is, how thorough hypothesis is, and what the garbage collector passes over."""

import atexit
import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.forkserver import LIBRARIES, Server

# Processes that a test starts find `helpers`, too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])
)

os.environ.pop("PYTHONUNBUFFERED", None)  # containers set it, and it hides what Python says when it flushes at its end
os.environ["LSU_TRACEBACK"] = "1"  # an error that nobody expected is a failure, not a message and an exit code

# `make test-all` takes the profile `full`; helpers/examples.py scales with it. How long an example takes is the
# machine's affair.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.register_profile("full", deadline=None, max_examples=100)
settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is imported is garbage, and the collector would look through it a hundred times."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def frozen_garbage() -> None:
    """What exists before a module's first test is left alone by the garbage collector from then on.

    MMEngine collects garbage for every dataset that it builds, and would walk through a million objects of torch and of
    the collected tests each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def libraries() -> Iterator[Server]:
    """Starts processes that know what takes long to import, and neither MMSegmentation nor us."""
    server = Server(LIBRARIES)
    yield server
    server.close()


atexit.register(gc.unfreeze)  # nanobind complains about what is left at the end
