"""Runs calls in processes that are forked from this one, which has imported the libraries already."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from calls import Call

ROOT = Path(__file__).parents[2]
NAMES = {"lsu_onto": "lsu-onto", "lsu_seg": "lsu-seg"}
MEMORY = 8 << 30
"""Bytes of a process: what asks for more gets a MemoryError, not the machine."""


@dataclass
class Ended:
    """code: the exit code, or minus the signal; None: it did not end in time."""

    code: int | None
    out: bytes
    err: bytes
    seconds: float


class Process:
    """A call that runs. anew: in a new interpreter, which sees its variables and streams from the start."""

    def __init__(self, program: str, call: Call, folder: Path, anew: bool, limit: float) -> None:
        self.call, self.folder, self.limit = call, folder, limit
        self._logs = [folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")]
        self._start = time.monotonic()
        self._at_work = (0.0, self._start)
        self._interrupted = False
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            try:
                self._become(program, anew)
            finally:
                os._exit(99)

    def ended(self) -> Ended | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self._start
        code: int | None = None
        if pid:
            code = os.waitstatus_to_exitcode(status)
        elif self.call.endless and seconds > 3 and not self._interrupted:
            self._interrupted = True
            os.killpg(self.pid, signal.SIGINT)
            return None
        elif not self._hangs():
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it may have left, too
        if not pid:
            os.waitpid(self.pid, 0)
        out, err = (log.read_bytes() if log.exists() else b"" for log in self._logs)
        return Ended(code, out, err, seconds)

    def _hangs(self) -> bool:
        """Whether it has computed for too long, or has not for as long: what waits for a busy machine does neither."""
        used, now = _cpu(self.pid), time.monotonic()
        if used >= self._at_work[0] + 0.1:
            self._at_work = (used, now)
        return used > self.limit or now - self._at_work[1] > self.limit

    def _become(self, program: str, anew: bool) -> None:
        os.setpgrp()  # not a session of its own, whose priority would be another
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number, kind in enumerate(self.call.streams):
            self._open(number, kind)
        home = self.folder.with_name("home")
        home.mkdir(exist_ok=True)
        env = {"HOME": os.fspath(home), "GIT_CEILING_DIRECTORIES": os.fspath(self.folder.parent)}
        if "TMPDIR" not in self.call.env:
            env["TMPDIR"] = os.fspath(home)
        for name, value in {**env, **self.call.env}.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.chdir(self.folder)
        if self.call.no_folder:
            os.mkdir("gone")  # noqa: PTH102
            os.chdir("gone")
            os.rmdir(os.getcwd())  # noqa: PTH106, PTH109
        if anew:
            os.environ["PYTHONPATH"] = os.fspath(ROOT)
            with contextlib.suppress(ValueError):  # a NUL
                os.execv(sys.executable, [sys.executable, "-m", program, *map(os.fsencode, self.call.args)])  # type: ignore[list-item]
            os._exit(2)
        _run(program, self.call.args)

    def _open(self, number: int, kind: str) -> None:
        """What is behind a stream: a file, nothing, a full disk, or a pipe that nobody reads."""
        if kind == "pipe":
            reading, file = os.pipe()
            os.close(reading)
        elif number == 0:
            file = os.open("/dev/urandom" if kind == "junk" else os.devnull, os.O_RDONLY)
            if kind == "junk":
                reading, writing = os.pipe()
                os.write(writing, os.read(file, 3000))
                os.close(writing)
                file = reading
        else:
            place = "/dev/full" if kind == "full" else self._logs[number - 1]
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, number)
        if kind == "closed":
            os.close(number)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _run(program: str, args: list[str]) -> None:
    """Be the program, from its streams to its end, as an interpreter has them."""
    code: int | str | None = 1
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    for number, (name, mode) in enumerate((("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb"))):
        stream = None
        with contextlib.suppress(OSError):
            handled = "backslashreplace" if number == 2 else errors or "strict"
            raw = os.fdopen(number, mode, closefd=False)
            stream = io.TextIOWrapper(raw, encoding, handled, line_buffering=number == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [NAMES[program], *args]
    try:
        import_module(f"{program}.__main__").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) or end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:
            code = 120  # as an interpreter does
            with contextlib.suppress(Exception):
                os.write(2, f"Exception ignored while flushing: {error!r}\n".encode())
    os._exit(int(code or 0))
