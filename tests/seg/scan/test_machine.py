"""`lsu-seg scan` on a machine that has too little of something, or lets it read something only later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.tiny import write_park
from helpers.tiny import write_tax as write_park_tax

ROOT = Path(__file__).parents[3]


def python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)


ONE_PROCESS = """
import errno, os
from pathlib import Path
from lsu_seg.layout.pairs import Pair
from lsu_seg.scan.collect import Task, inspect_all

fork, forked = os.fork, []

def fork_once():
    if forked:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    forked.append(True)
    return fork()

os.fork = fork_once
tasks = [Task(Pair(Path("a.png"), Path("a.png"), str(n))) for n in range(20)]
try:
    list(inspect_all(lambda tasks: [{} for _ in tasks], tasks, 3))
except OSError as error:
    print(error.strerror)
"""


def test_a_scan_that_cannot_fork_all_of_its_workers_ends() -> None:
    result = python(ONE_PROCESS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Resource temporarily unavailable\n"


LATER = """
import os, sys
from pathlib import Path
from helpers.forkserver import drop_privileges
from lsu_seg.scan.run import scan

drop_privileges()
tax, data, work = sys.argv[1:]
files = [Path(data, "labels/train/a.png"), Path(data, "images/train/b.png")]
for mode in (0, 0o644):
    for file in files:
        file.chmod(mode)
    print(sorted(f.kind for f in scan(tax, data, ["train"], work_dir=work).findings))
"""


def test_a_file_that_may_be_read_later_is_read_then(tmp_path: Path) -> None:
    write_park(tmp_path / "data", {"a": [0, 2], "b": [0, 2]})
    result = python(LATER, write_park_tax(tmp_path / "tax"), tmp_path / "data", tmp_path / "work")
    assert result.returncode == 0, result.stderr
    before, after = result.stdout.splitlines()
    assert ("label" in before, "image" in before) == (True, True), before
    assert ("label" in after, "image" in after) == (False, False), after
