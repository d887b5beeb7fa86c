"""Real processes, without each of them importing torch anew.

`python -m helpers.forkserver` imports what its processes need, reads a request a line from a socket, and forks: the
child is the process that was asked for, with its own process id, signals, exit code, environment and output. `Server`
is the other side.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from helpers.processes import ended, free_port, state, wait_until

LIBRARIES = [
    *["torch.distributed.optim", "torch.distributed.fsdp", "torch.utils.cpp_extension", "transformers", "numba", "cv2"],
    *["scipy.optimize", "networkx", "setuptools", "matplotlib.figure", "matplotlib.backends.backend_agg"],
]
"""What takes long to import, and has heard of neither MMSegmentation nor us."""
OURS = [
    *["lsu_seg", "mmseg.models", "lsu_seg.openmmlab.components", "lsu_seg.cli"],
    *["lsu_seg.pseudo.run", "lsu_seg.pseudo.loop", "lsu_seg.training.run", "lsu_seg.evaluation.run"],
]


class Server:
    """Starts processes in which some modules are imported. Close it when done."""

    def __init__(self, modules: list[str], parent: Server | None = None, env: Mapping[str, str] | None = None) -> None:
        """parent: a server that forks this one, and that has imported other modules already.

        env: variables that differ from the tests', set before the modules are imported.
        """
        self._process = None
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"{folder}/socket")
            listening.listen()
            listening.settimeout(0.5)
            request = dict(serve=f"{folder}/socket", modules=modules, env=dict(env or {}))
            if parent:
                pid = parent.ask(**request)
            else:
                # Whoever asks the driver itself for GPUs, as MMEngine does when it is imported, cannot fork any more.
                ask = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
                command = [sys.executable, "-m", "helpers.forkserver", json.dumps(request)]
                self._process = subprocess.Popen(command, env=os.environ | ask)
                pid = self._process.pid
            self._socket = _accepted(listening, pid, modules)
        self._requests, self._answers = self._socket.makefile("w"), self._socket.makefile("r")

    def ask(self, **request: Any) -> int:
        print(json.dumps(request), file=self._requests, flush=True)
        return int(self._answers.readline())

    def start(
        self,
        log: Path,
        *arguments: object,
        code: str | None = None,
        env: Mapping[str, str | None] | None = None,
        unprivileged: bool = False,
    ) -> Command:
        """`lsu-seg ARGUMENTS`, or `python -c CODE ARGUMENTS`.

        Args:
            log: a file for what it says. env: variables that differ from the tests'; None: not set.
            unprivileged: permissions hold for it, even if it is root's.
        """
        log.write_text("")
        pid = self.ask(
            log=str(log),
            arguments=[str(a) for a in arguments],
            code=code,
            env=dict(env or {}),
            unprivileged=unprivileged,
        )
        return Command(self, pid, log)

    def run(self, log: Path, *arguments: object, **options: Any) -> tuple[int, str]:
        """Exit code and what was said."""
        command = self.start(log, *arguments, **options)
        return command.wait(), command.said

    def ranks(self, folder: Path, number: int, *arguments: object, **options: Any) -> list[Command]:
        """So many processes of one run, as torchrun starts them."""
        if "--launcher" in arguments:
            need_a_device_per_rank(number)
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(number)}
        return [
            self.start(
                folder / f"rank{rank}.log",
                *arguments,
                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                **options,
            )
            for rank in range(number)
        ]

    def close(self) -> None:
        for end in (self._requests, self._answers, self._socket):
            end.close()
        if self._process:
            self._process.wait()


def _accepted(listening: socket.socket, pid: int, modules: list[str]) -> socket.socket:
    """The connection of a server that has imported its modules."""
    while True:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            if ended(pid):
                raise RuntimeError(f"one of {', '.join(modules)} cannot be imported: see the output above") from None
        else:
            connection.settimeout(None)
            return connection


def need_a_device_per_rank(number: int) -> None:
    """Skip a test of several ranks where there are GPUs, but not one for each: OpenMMLab gives each rank its own."""
    import torch

    if 0 < torch.cuda.device_count() < number:
        pytest.skip(f"needs {number} GPUs, or none")


class Command:
    def __init__(self, server: Server, pid: int, log: Path) -> None:
        self._server, self.pid, self._log = server, pid, log
        self._code: int | None = None

    @property
    def said(self) -> str:
        return self._log.read_text()

    def when(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, or for the process's end."""
        wait_until(lambda: condition() or ended(self.pid))

    def when_still(self) -> None:
        """Wait until it is stopped: see `standing_still`."""
        self.when(lambda: state(self.pid) == "T")
        assert not ended(self.pid), self.said

    def send(self, number: int) -> None:
        """Until `wait`, its number is not given to another process."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit code, or minus the signal."""
        if self._code is None:
            self._code = self._server.ask(wait=self.pid)
        return self._code


def drop_privileges() -> None:
    """Root without the right to pass over permissions (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110
    assert libc.capset(header, sets) == 0


def _serve(path: str, modules: list[str], env: dict[str, str]) -> None:
    os.environ.update(env)
    gc.disable()  # nothing that is imported is garbage
    for module in modules:
        import_module(module)
    if "lsu_seg.cli" in modules:
        _load_decoder()
        _leave_configs_unformatted()
        _spare_openmmlab()
    gc.collect()
    gc.freeze()  # processes share what is there
    gc.enable()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        requests, answers = peer.makefile("r"), peer.makefile("w")
        started: set[int] = set()
        servers: list[int] = []
        for line in requests:
            request = json.loads(line)
            if "wait" in request:
                answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
                started.discard(request["wait"])
            else:
                answer = os.fork()
                if not answer:
                    break
                if "serve" in request:
                    servers.append(answer)
                else:
                    started.add(answer)
            print(answer, file=answers, flush=True)
        else:
            for pid in started:  # a test that fails leaves some
                os.kill(pid, signal.SIGKILL)
            for pid in servers:
                os.waitpid(pid, 0)
            return
    if "serve" in request:
        _serve(request["serve"], request["modules"], request["env"])
    else:
        _become(request)


def _load_decoder() -> None:
    """In this thread: a process that forks must have no other."""
    import numpy as np

    from lsu_seg.decode import View, cpu

    cpu.decode([View(np.zeros((2, 1, 1), np.float32))] * 2, np.zeros((1, 1)), np.ones((1, 3), bool), threads=1)


def _leave_configs_unformatted() -> None:
    from helpers.configs import lay_out_by, parsed

    lay_out_by(parsed)


def _spare_openmmlab() -> None:
    from mmengine.visualization import Visualizer

    from helpers.openmmlab import spare

    spare()
    Visualizer("spare")  # its figure is there for every process


def _become(request: dict[str, Any]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name, value in request["env"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if request["unprivileged"]:
        drop_privileges()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["code"] is None:
        from lsu_seg.cli import main

        main(request["arguments"], prog_name="lsu-seg")
    else:
        sys.argv = ["-c", *request["arguments"]]
        exec(request["code"], {"__name__": "__main__"})


if __name__ == "__main__":
    _first = json.loads(sys.argv[1])
    _serve(_first["serve"], _first["modules"], _first["env"])
