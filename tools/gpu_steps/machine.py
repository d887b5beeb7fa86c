"""Which machine this is, and how fast its memory is."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from gpu_steps.rows import Add, Row, Size, device_ms


def run(size: Size, add: Add) -> None:
    packages = [f"Python {platform.python_version()}"]
    for name in ("torch", "triton", "transformers", "numpy", "lsu-toolkit"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"no {name}")
    add(Row("versions", ", ".join(packages)))
    if size.full:
        properties = torch.cuda.get_device_properties(0)
        capability = f"compute capability {properties.major}.{properties.minor}"
        add(Row("GPU", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {capability}"))
    else:
        add(Row("GPU", "none: every step at reduced size, the kernel in Triton's interpreter"))
    half = torch.empty(size.of(2**31, 2**20), dtype=torch.uint8, device=size.device)
    other = torch.empty_like(half)
    ms = device_ms(lambda: other.copy_(half), 5).busy
    add(Row("a copy on the device, bytes read and written", 2 * half.nbytes / ms / 1e6, "GB/s"))
