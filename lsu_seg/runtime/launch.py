"""Connects the processes of a distributed run: torchrun, Slurm, Open MPI."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

import torch

from lsu_seg.errors import UserError
from lsu_seg.runtime.ctrl_c import second_ends_at_once

_VARIABLES = {  # rank, number of ranks, rank on this machine; and the program that sets them
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "torchrun"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "srun"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"),
}


_LAST_PORT = 65535
_PATIENCE_S = 10.0
"""Other ranks may still import torch."""


class LaunchError(UserError):
    """The given launcher did not start this process. The message says what to do."""


def is_first(launcher: str) -> bool:
    """Whether this process is rank 0, before the ranks are connected.

    >>> is_first("none")
    True
    """
    rank = _VARIABLES[launcher][0] if launcher in _VARIABLES else ""
    return os.environ.get(rank, "0") == "0"


def join_ranks(launcher: str) -> None:
    """Connect the processes of this run, through gloo if there is no GPU.

    With GPUs, mmengine connects them; its own code needs a GPU.

    Args:
        launcher: `none`, or what started the processes: `pytorch` (torchrun), `slurm` (srun), `mpi` (Open MPI).

    Raises:
        LaunchError: the launcher's variables are not set, so it did not start this process, or are no ranks; or
            torchrun started several processes although `launcher` is `none`; or mmengine would read a LOCAL_RANK that
            is no rank.

    >>> join_ranks("none")
    """
    if launcher == "none" and "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise LaunchError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes, each of which would do all the work: add"
            " `--launcher pytorch`"
        )
    if launcher == "none":
        _check_local_rank()
        return
    if torch.distributed.is_initialized():
        return
    if launcher not in _VARIABLES:
        raise LaunchError(f"`launcher` is `{launcher}`; expected none, {', '.join(_VARIABLES)}")
    *names, program = _VARIABLES[launcher]
    if missing := [name for name in names if name not in os.environ]:
        raise LaunchError(
            f"`--launcher {launcher}` is for processes that `{program}` started, and {missing[0]} is not set: put"
            f" `{program} …` in front of the command, or leave `--launcher` out for one process"
        )
    _check_ranks(names, program)
    port = os.environ.get("MASTER_PORT", "0")
    if not port.isdecimal() or int(port) > _LAST_PORT:
        raise LaunchError(f"MASTER_PORT is `{port}`; expected a port, a whole number up to {_LAST_PORT}")
    if launcher == "slurm":
        os.environ.setdefault("MASTER_ADDR", _first_node())
    if torch.cuda.is_available():
        return
    for name, value in zip(("RANK", "WORLD_SIZE", "LOCAL_RANK"), names, strict=True):
        os.environ[name] = os.environ[value]
    os.environ.setdefault("MASTER_PORT", "29500")  # the default of mmengine
    if "MASTER_ADDR" not in os.environ:
        raise LaunchError("MASTER_ADDR is not set: set it to the name of the first machine, for all processes")
    place = f"MASTER_ADDR={os.environ['MASTER_ADDR']}, MASTER_PORT={os.environ['MASTER_PORT']}"
    waits = f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} waits for the others at {place}\n"
    patience = threading.Timer(_PATIENCE_S, sys.stderr.write, [waits])
    patience.daemon = True
    patience.start()
    try:
        with second_ends_at_once():  # it waits in C++, for minutes
            torch.distributed.init_process_group("gloo")
    except (RuntimeError, ValueError) as error:  # ports in use, machines and interfaces that are not there
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise LaunchError(f"the processes cannot meet at {place}: {said[:300]}") from error
    finally:
        patience.cancel()


def _check_local_rank() -> None:
    """Refuse what mmengine's logger, which reads this variable whoever set it, would fail with."""
    value = os.environ.get("LOCAL_RANK", "0")
    if not value.isdecimal():
        raise LaunchError(
            f"LOCAL_RANK is `{value}`; expected a whole number: no launcher started this process, so `unset LOCAL_RANK`"
        )


def _check_ranks(names: Sequence[str], program: str) -> None:
    """Refuse variables that no launcher sets so: with a rank too many, all others would wait for it for minutes."""
    for name in names:
        if not os.environ[name].isdecimal():
            raise LaunchError(
                f"{name} is `{os.environ[name]}`; expected a whole number: have `{program}` set it, and not by hand"
            )
    rank, size, _ = names
    last = int(os.environ[size]) - 1
    if int(os.environ[rank]) > last:
        expected = f"a rank from 0 to {last}" if last >= 0 else "1 process or more"
        raise LaunchError(
            f"{rank} is {os.environ[rank]}, and {size} {os.environ[size]}; expected {expected}: have `{program}` set"
            " both, and not by hand"
        )


def _first_node() -> str:
    """The machine of rank 0 of a Slurm job."""
    if "MASTER_ADDR" in os.environ:
        return os.environ["MASTER_ADDR"]
    try:
        nodes = subprocess.run(
            ["scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        return nodes[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise LaunchError(
            "MASTER_ADDR is not set, and `scontrol show hostnames` does not say which machine is the first (it may be"
            " missing inside a container): set MASTER_ADDR in the batch script, before `srun`"
        ) from None
