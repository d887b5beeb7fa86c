"""Processes that a test looks at from outside."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

WRITE, SCAN = "lsu_seg.pseudo.output:OutputFolder.write", "lsu_seg.scan.state:State.add"
"""What is done with one image."""


def state(pid: int) -> str:
    """As in `/proc/PID/stat`: T stands still, Z has ended and was not waited for, X is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def ended(pid: int) -> bool:
    return state(pid) in "ZX"


def seconds(pid: int) -> float:
    """Of processor time: unlike the clock, it does not say how busy the machine is."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """seconds: how long a hang may last, on however slow a machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.001)


def standing_still(work: str, key: str) -> str:
    """Code for `lsu-seg …` that stops itself after an image: a test that watched and stopped it might come too late.

    Args:
        work: WRITE or SCAN. key: of the image.
    """
    return f"""
import signal, sys, threading
from pkgutil import resolve_name

owner, _, name = {work!r}.rpartition(".")
owner = resolve_name(owner)
work = getattr(owner, name)

def worked(self, image, *rest, **more):
    work(self, image, *rest, **more)
    if getattr(image, "key", image) == {key!r}:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # here, and not in whichever thread is next

setattr(owner, name, worked)
from lsu_seg.cli import main
main(sys.argv[1:], prog_name="lsu-seg")
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
