"""How a segmentor's network computes: with which precision, and whether it is compiled for one size of images."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from lsu_onto import ran_out
from lsu_seg.errors import TeacherError, did_you_mean
from lsu_seg.runtime.telling import tell

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}

_PARTS = ("net", "backbone", "neck", "decode_head")
"""What computes in the segmentors that we know: the network of another library, or the parts of MMSegmentation's."""


def default_precision(device: str, capability: tuple[int, int] | None) -> str:
    """The precision of a network where nobody names one: docs/pseudo-labels.md has what was measured.

    Args:
        device: its type. capability: of a GPU; Ampere, 8.0, was the first to compute in bfloat16.

    >>> default_precision("cuda", (9, 0)), default_precision("cuda", (7, 5)), default_precision("cpu", None)
    ('bf16', 'fp32', 'fp32')
    """
    return "bf16" if device == "cuda" and capability is not None and capability >= (8, 0) else "fp32"


def precision_here(device: torch.device) -> str:
    """`default_precision` of a device of this machine."""
    return default_precision(device.type, _capability(device))


def _capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


@dataclass(frozen=True)
class Computing:
    """How a network computes. Labels depend on it, so it is in the manifest.

    Args:
        precision: `fp32`; `tf32`: matrix products of a GPU with 10 bits instead of 23; `bf16` or `fp16`: what
            `torch.autocast` computes in 16 bits. Weights and the network's outputs are float32 in any case. None: what
            is the default on the network's device, once that is known (`ComputingNetwork`).
        compile: the network is compiled for the windows of its views, or for the images of an evaluation.

    Raises:
        TeacherError: there is no such precision.
    """

    precision: str | None = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            hint = did_you_mean(str(self.precision), PRECISIONS)
            raise TeacherError(f"precision is {self.precision!r}; expected one of {', '.join(PRECISIONS)}{hint}")
        if not isinstance(self.compile, bool):
            raise TeacherError(f"compile is {self.compile!r}; expected True or False")

    def check_window(self, window: Any) -> None:
        """Refuse to compile a teacher's network without a window.

        Raises:
            TeacherError: there is none.
        """
        if self.compile and window is None:
            raise TeacherError(
                "a network is compiled for one size of images: with `compile=True`, also set `window=(height, width)`,"
                " multiples of 32, such as (1024, 1024)"
            )

    def manifest(self) -> dict[str, Any]:
        """The settings as JSON values, for an output folder's manifest."""
        return asdict(self)


class ComputingNetwork:
    """A segmentor's network that computes as the settings say, as long as this context is open.

    Callers of the segmentor do not notice. What the network returns is float32.

    Args:
        model: a segmentor. device: of its weights.

    Attributes:
        settings: with the precision that it computes in, also where none was named.

    Raises:
        TeacherError: the device does not have this precision, or the segmentor's network cannot be found.
    """

    def __init__(self, model: Any, settings: Computing, device: torch.device) -> None:
        self._parts = _parts(model)
        if settings.precision is None:  # of a network that is not found, nobody can change it
            settings = replace(settings, precision=precision_here(device) if self._parts else "fp32")
            if settings.precision != "fp32":
                tell(
                    f"the network computes in {settings.precision}, the default on this GPU; in float32 with"
                    " `--precision fp32`, or in a config `precision='fp32'`"
                )
        assert settings.precision is not None
        _check_device(settings.precision, device)
        self.settings, self._device, self._precision = settings, device, settings.precision
        self.compiled = False
        self._kept = ExitStack()
        self._size: torch.Size | None = None
        self._learns = self._by_compiled = False
        if settings == Computing() and device.type == "cpu":
            self._parts = []  # a GPU needs the setting even for fp32: by default, torch computes convolutions in TF32
        elif settings != Computing() and not self._parts:
            raise TeacherError(
                f"precision={settings.precision!r}, compile={settings.compile}: it is not known which part of a"
                f" {type(model).__name__} is its network, so it can only run as it is: leave both out"
            )

    def __enter__(self) -> Self:
        for part in self._parts:
            eager = part.forward
            part.forward = self._forward(eager, part is self._parts[0], part is self._parts[-1])
            self._kept.callback(_restore, part, eager)
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def compile_for(self, show: Callable[[], object]) -> None:
        """Compile the network for the size of the images that `show` has it see; all others go through uncompiled.

        So which images are compiled depends on neither their order nor their number. Where the network cannot be
        compiled, a line says why, and `compiled` is False.
        """
        self.compiled = self._learns = True
        try:
            show()
        except Exception as error:  # of torch's compiler, which calls one of C++
            cause = error.__cause__ or error  # a TorchSegmentor says of whatever its network raises that it does
            by_compiler = type(cause).__module__.startswith(("torch._inductor", "torch._dynamo"))
            if ran_out(error) or (isinstance(error, TeacherError) and not by_compiler):
                raise
            self.compiled = False
            said = " ".join(line.strip() for line in str(cause).strip().splitlines()[:2])
            tell(f"warning: the network cannot be compiled here, and runs as it is: {type(cause).__name__}: {said}")
        finally:
            self._learns = False

    def _forward(self, eager: Callable[..., Any], is_first: bool, is_last: bool) -> Callable[..., Any]:
        compiled = functools.cache(lambda: torch.compile(eager, dynamic=False))  # slow: it imports the compiler

        @functools.wraps(eager)
        def forward(*args: Any, **kwargs: Any) -> Any:
            if is_first:
                images = next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
                if self._learns:
                    self._size = images.shape
                self._by_compiled = self.compiled and images.shape == self._size
            with _precision(self._precision, self._device), _possible(self._precision):
                out = (compiled() if self._by_compiled else eager)(*args, **kwargs)
            return _in_float32(out) if is_last else out

        return forward


def _parts(model: Any) -> list[Any]:
    parts = [getattr(model, name, None) for name in _PARTS]
    flat = [one for part in parts for one in (part if isinstance(part, nn.ModuleList) else [part])]
    known = [part for part in flat if isinstance(part, nn.Module) and not isinstance(part, torch.jit.ScriptModule)]
    return known if len(known) == sum(part is not None for part in flat) else []


def _restore(part: nn.Module, forward: Callable[..., Any]) -> None:
    del part.forward
    if part.forward != forward:  # it was an attribute of the network itself
        part.forward = forward


def _check_device(precision: str, device: torch.device) -> None:
    if precision != "tf32" or (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)):
        return
    raise TeacherError(
        f"precision='tf32' needs a GPU of compute capability 8.0 or newer, and the network is on {device.type}: write"
        " 'fp32'"
    )


@contextmanager
def _precision(precision: str, device: torch.device) -> Iterator[None]:
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(tf32(precision != "fp32"))
        if precision in _HALVES:
            stack.enter_context(torch.autocast(device.type, _HALVES[precision]))
        yield


@contextmanager
def _possible(precision: str) -> Iterator[None]:
    """Where a part of the network does not have this precision, which may be nobody's wish but the default: say so."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        if precision in _HALVES and lacks_precision(error):
            line = str(error).strip().partition("\n")[0]
            raise TeacherError(
                f"the network cannot compute in {precision} ({line}): choose another precision, `--precision fp32`, or"
                " in a config `precision='fp32'`"
            ) from error
        raise


def lacks_precision(error: BaseException) -> bool:
    """Whether an operation has no such precision, or the network's own code mixes two: what its first line speaks of.

    >>> lacks_precision(RuntimeError("'some_operator' not implemented for 'BFloat16'"))
    True
    >>> lacks_precision(RuntimeError("mat1 and mat2 must have the same dtype, but got Float and BFloat16"))
    True
    >>> lacks_precision(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))
    False
    """
    first = str(error).strip().partition("\n")[0]
    return re.search(r"\b(BFloat16|Half|bfloat16|float16)\b", first) is not None


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    places: tuple[Any, Any] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = on
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


def _in_float32(out: Any) -> Any:
    """What a network returns, with all of its numbers as float32."""
    if isinstance(out, Tensor):
        return out.float() if out.is_floating_point() else out
    if isinstance(out, Mapping):  # also of Hugging Face, whose attributes are its items
        for key in out:
            out[key] = _in_float32(out[key])  # type: ignore[index]
        return out
    if type(out) in (list, tuple):
        return type(out)(map(_in_float32, out))
    return out
