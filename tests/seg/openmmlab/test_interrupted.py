"""What stops mmengine at work, Ctrl-C first, stays what it is, whatever mmengine makes of it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config

import lsu_seg
from helpers.tiny import model_config
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.failures import named
from lsu_seg.openmmlab.runner import RankedRunner, build_runner, check_checkpoint
from lsu_seg.runtime.ctrl_c import held_back, leave_to_first_process, second_ends_at_once


def test_while_a_config_is_read(tmp_path: Path) -> None:
    text = "try:\n    raise KeyboardInterrupt\nexcept:\n    raise SyntaxError('no') from None\n"
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(KeyboardInterrupt):
        load_config(tmp_path / "a.py")


@pytest.mark.parametrize("code", ["import sys\nsys.exit(3)\n", "try:\n    exit(3)\nexcept:\n    raise ValueError\n"])
def test_a_config_that_ends_the_program(tmp_path: Path, code: str) -> None:
    (tmp_path / "a.py").write_text(code)
    with pytest.raises(ConfigError, match=r"a.py cannot be read: it ends the program \(SystemExit\(3\)\)"):
        load_config(tmp_path / "a.py")


def test_a_part_that_ends_the_program() -> None:
    with (
        pytest.raises(ConfigError, match=r"a part of the config ends the program \(SystemExit\(3\)\)"),
        named(Config()),
    ):
        sys.exit(3)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("DataLoader worker (pid 8339) is killed by signal: Killed. "),
            "a process that loads images is killed by signal: Killed; the system does so where memory runs out",
        ),
        (
            RuntimeError("DataLoader worker (pid 8428) is killed by signal: Bus error. It is possible that"),
            "is killed by signal: Bus error; /dev/shm is full: write fewer `num_workers`, or give a container more",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 84, 85) exited unexpectedly"),
            "unexpectedly; `num_workers = 0` shows",
        ),
        (RuntimeError("DataLoader timed out after 9.5 seconds"), "after 9.5 seconds, which is its `timeout`: write a"),
        (RuntimeError("received 0 items of ancdata"), "see `ulimit -n`"),
        (OSError(24, "Too many open files"), "see `ulimit -n`"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nmuch"),
            "there is too little memory (CUDA out of memory. Tried much): a smaller `batch_size`, smaller images",
        ),
        (RuntimeError("CUDA out of memory. Tried\nmuch"), "too little memory (CUDA out of memory. Tried much): a"),
        (MemoryError(), "there is too little memory (MemoryError): a smaller `batch_size`, smaller images"),
        (
            MemoryError("Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback:\nMemoryError: 9 GiB"),
            "too little memory (9 GiB): ",
        ),
        (
            RuntimeError("[../gloo/transport/tcp/pair.cc:5] Connection closed by peer"),
            "another process of this run has",
        ),
    ],
)
def test_what_the_machine_lacks_is_a_message_at_any_moment(error: Exception, said: str) -> None:
    runner = SimpleNamespace(started=True, loop="train", iter=7)
    with pytest.raises(ConfigError, match=re.escape(said)), named(Config(), runner):
        raise error


@pytest.mark.parametrize(("kind", "what"), [(os.mkfifo, "a pipe or a device"), (os.mkdir, "a folder")])
def test_what_is_no_file(tmp_path: Path, kind: Callable[[Path], None], what: str) -> None:
    kind(path := tmp_path / "a.py")
    with pytest.raises(ConfigError, match=rf"`{path}` is {what} and no config"):
        load_config(path)
    with pytest.raises(ConfigError, match=rf"`{path}` is {what} and no checkpoint"):
        check_checkpoint(Config(dict(model={})), path)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), SyntaxError("no"), EOFError()])
def test_while_a_run_is_built(error: Exception) -> None:
    error.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), named(Config()):
        raise error


def test_a_process_that_ends_while_a_config_is_laid_out_is_no_mistake_in_it() -> None:
    error = SyntaxError("Failed to format the config file")
    error.__context__ = RuntimeError("DataLoader worker (pid 8339) is killed by signal: Killed. ")
    with pytest.raises(ConfigError, match="a process that loads images is killed by signal"), named(Config()):
        raise error


def test_while_a_config_is_laid_out_for_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine's own `except:` around yapf makes a SyntaxError of it; and it has opened the file by then."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", interrupted)
    monkeypatch.setattr("mmengine.config.config.FormatCode", interrupted, raising=False)
    cfg = Config(dict(model=model_config(), default_scope="mmseg", work_dir=str(tmp_path)), "#", "town.py")
    with pytest.raises(KeyboardInterrupt):
        build_runner(cfg)
    assert not list(tmp_path.glob("*.py")) and not list(tmp_path.glob(".*"))


class _Dispositions(list[int]):
    def __getitem__(self, place: Any) -> Any:
        held_back = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # since before it was there
        return held_back and signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_what_loads_images_leaves_ctrl_c_to_the_first_process() -> None:
    """Or else it waits for five seconds before it ends, and a second Ctrl-C is a traceback in it."""
    sampler = dict(type="DefaultSampler", shuffle=False)
    for workers in (0, 1):
        loader = RankedRunner.build_dataloader(
            dict(dataset=_Dispositions([0]), sampler=sampler, batch_size=1, num_workers=workers)
        )
        assert list(loader) == [[bool(workers)]]


class _Interrupted(torch.utils.data.Sampler[int]):
    def __init__(self, **_: object) -> None:
        pass

    def __iter__(self) -> Iterator[int]:
        raise KeyboardInterrupt


def test_processes_that_are_interrupted_while_they_are_told_what_to_do_are_ended() -> None:
    """As garbage, spawned ones end when their queues are gone, and torch raises that wherever Python is by then."""
    sampler = dict(type=_Interrupted)
    loader: Any = RankedRunner.build_dataloader(
        dict(dataset=_Dispositions([0]), sampler=sampler, batch_size=1, num_workers=1)
    )
    runner: Any = SimpleNamespace(_train_loop=SimpleNamespace(dataloader=loader), _val_loop=None, _test_loop=None)
    with pytest.raises(KeyboardInterrupt):
        try:
            iter(loader)
        finally:
            (workers,) = loader.begun
            RankedRunner._end_workers(runner)
    assert not workers._worker_pids_set and not workers._workers[0].is_alive()


def test_processes_that_are_interrupted_while_another_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's destructor would fail."""
    started: list[Any] = []

    def start(process: Any) -> None:
        if started:
            raise KeyboardInterrupt
        started.append(process)
        process._start()

    kind = torch.multiprocessing.get_context("fork").Process
    monkeypatch.setattr(kind, "_start", kind.start, raising=False)
    monkeypatch.setattr(kind, "start", start)
    sampler = dict(type="DefaultSampler", shuffle=False)
    loader = RankedRunner.build_dataloader(
        dict(dataset=_Dispositions([0]), sampler=sampler, batch_size=1, num_workers=2, multiprocessing_context="fork")
    )
    with pytest.raises(KeyboardInterrupt) as interrupt:
        iter(loader)
    del interrupt
    gc.collect()  # pytest fails where that is said
    started[0].terminate()
    started[0].join()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_lets_ctrl_c_through_again_runs_before(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """multiprocessing's tracker is started with the first process that is not forked, and resets the mask."""
    told: list[str] = []
    monkeypatch.setattr("multiprocessing.resource_tracker.ensure_running", lambda: told.append("tracker"))
    held_back(lambda: told.append("start"), lambda: method)
    assert told == (["start"] if method == "fork" else ["tracker", "start"])


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_starts_while_the_first_one_ends_says_nothing(tmp_path: Path, method: str) -> None:
    """With many images, it is seconds until it has read what it is to load. Killed, the first one cannot tell it."""
    (tmp_path / "begin.py").write_text(f"""
import multiprocessing, os, threading, time
from lsu_seg.__main__ import main
from lsu_seg.runtime.ctrl_c import held_back

class ImportsLong:
    def __reduce__(self):
        return time.sleep, (1.5,)

if __name__ == "__main__":
    process = multiprocessing.get_context("{method}").Process(target=print, args=(ImportsLong(), b"x" * 1_000_000))
    threading.Timer(1, os._exit, [9]).start()
    held_back(process.start, lambda: "{method}")
""")
    done = subprocess.run([sys.executable, "begin.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (9, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_loads_images_ends_with_the_first_process(tmp_path: Path, method: str) -> None:
    """That may be killed, and can tell nobody."""
    (tmp_path / "begin.py").write_text(f"""
import multiprocessing, os, time
from lsu_seg.runtime.ctrl_c import held_back, leave_to_first_process

def load(ready):
    leave_to_first_process(None, 0)
    ready.send(True)
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    hears, ready = context.Pipe()
    held_back(context.Process(target=load, args=(ready,)).start, lambda: "{method}")
    hears.recv()
    os._exit(9)
""")
    command = [sys.executable, "begin.py"]  # what it has started holds its streams open, and `run` waits for that
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (9, "")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_loads_images_ends_with_the_first_process_though_it_is_stopped(tmp_path: Path, method: str) -> None:
    """As by `kill -STOP`: it does not hear that it is told to end, and Python waits for it."""
    (tmp_path / "begin.py").write_text(f"""
import multiprocessing, os, signal, time
from lsu_seg.runtime.ctrl_c import held_back

def load(ready):
    ready.send(True)
    os.kill(os.getpid(), signal.SIGSTOP)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    hears, ready = context.Pipe()
    held_back(context.Process(target=load, args=(ready,), daemon=True).start, lambda: "{method}")
    hears.recv()
""")
    command = [sys.executable, "begin.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_is_spawned_looks_for_no_module_in_the_current_folder(tmp_path: Path, method: str) -> None:
    """Nor does the program, whose own folder Python looks in."""
    begin = tmp_path / "bin/begin.py"
    begin.parent.mkdir()
    begin.write_text(f"""
import multiprocessing
from lsu_seg.runtime.ctrl_c import held_back
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    process = context.Process(target=print, args=("loads images",), kwargs=dict(flush=True))
    held_back(process.start, lambda: "{method}")
    process.join()
""")
    for name in ("logging", "struct", "enum", "signal", "socket"):
        (tmp_path / f"{name}.py").write_text("raise OSError('this is no module of Python')\n")
    done = subprocess.run([sys.executable, begin], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "loads images\n", "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_is_spawned_by_a_program_that_is_not_installed_finds_it(method: str) -> None:
    """`python -m lsu_seg` in a clone."""
    code = f"""
import multiprocessing
from lsu_seg.runtime.ctrl_c import held_back
look = "import sys; print('lsu_seg.spawned' in sys.modules, flush=True)"
process = multiprocessing.get_context("{method}").Process(target=exec, args=(look,))
held_back(process.start, lambda: "{method}")
process.join()
"""
    root = Path(lsu_seg.__file__).parent.parent
    command = [sys.executable, "-S", "-c", code]  # with the packages, and without what says where clones are
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"]}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_what_is_spawned_cannot_know_a_file_of_a_network() -> None:
    """Its classes may be those of a pipeline, too."""
    code = "import lsu_seg.spawned; raise ModuleNotFoundError('no module', name='net_33188bc9ee07')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("error: a process that is spawned to load images cannot import `net.py`, whose class")


def test_semaphores_that_somebody_else_has_removed() -> None:
    """As systemd does where a user logs out: Python would print a traceback of each, twice."""
    code = """
import multiprocessing, os
from lsu_seg.runtime.ctrl_c import held_back
make = multiprocessing.get_context("spawn").Lock
first, last = held_back(lambda: (make(), make()), lambda: "spawn")
for lock in (first, last):
    os.unlink(f"/dev/shm/sem.{lock._semlock.name[1:]}")
del first, lock
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    """Where destructors end other processes, Python would print its traceback and go on."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), second_ends_at_once():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("times", "code"), [(1, 0), (2, 130)])
def test_a_second_ctrl_c_ends_a_call_that_does_not_return(times: int, code: int) -> None:
    """As where a rank waits for one that is no more: Python hears of Ctrl-C only when the call returns."""
    code_of_it = f"""
import hashlib, os, signal
from lsu_seg.runtime.ctrl_c import second_ends_at_once
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with second_ends_at_once():
        if os.fork() == 0:
            signal.pause()
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"a", b"a", {10**6 if times == 1 else 2 * 10**9})
except KeyboardInterrupt:
    print("heard")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code_of_it], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == b"begun\n"
        time.sleep(0.2)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(1.2)
        assert process.wait(600) == code
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr.read() == (b"interrupted\n" if times == 2 else b"")
        assert process.stdout.read() == (b"" if times == 2 else b"heard\n")


class Unsendable:
    def __reduce__(self) -> Any:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")


def _hand_over(queue: Any) -> None:
    leave_to_first_process(None, 0)
    queue.put(Unsendable())
    time.sleep(60)


def test_a_process_that_cannot_hand_over_what_it_has_loaded_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """Python would print a traceback and drop the batch, for which the first process waited for ever."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_hand_over, args=(context.Queue(),))
    process.start()
    process.join(50)
    said = capfd.readouterr().err
    assert process.exitcode == 1 and "Traceback" not in said
    assert said.startswith("a process that loads images cannot hand over what it has loaded: unable to allocate")
    assert said.endswith("(28); write fewer `num_workers`, or give a container more (`docker run --shm-size 8g`)\n")
