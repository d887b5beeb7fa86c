"""A file of weights: where in it those of a model are, and what is wrong with its kind, its bytes, or its names."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lsu_onto import open_to_read
from lsu_seg.errors import TeacherError, UserError

AGAIN = "get the file again"
_KINDS = (
    (b"version https://git-lfs", "a git-LFS pointer", "run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\x89PNG", "a PNG image", AGAIN),
    (b"\x89HDF", "an HDF5 file, as Keras writes it", "export its weights to PyTorch"),
    (b"\x93NUMPY", "a NumPy array", "save the weights with `torch.save`"),
)
_ARCHIVE = b"PK\x03\x04"
_TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
"""With which `torch.save` begins a pickle outside an archive, its format before torch 1.6."""


def check_file(path: Path) -> bytes:
    """Refuse a file that `check_kind` refuses, or an archive that is damaged: this reads all of it.

    Returns its first bytes.

    torch does not look at the checksums of the weights that it reads.

    Raises:
        TeacherError: the file cannot be a checkpoint, or is damaged. OSError: it cannot be read.
    """
    head = check_kind(path)
    if head.startswith(_ARCHIVE):
        _check_archive(path)
    return head


def check_kind(path: Path) -> bytes:
    """Refuse a file that is no checkpoint by its first bytes, which it returns.

    torch says of such files that they may be trusted, or that they do not fit.

    Raises:
        TeacherError: the file cannot be a checkpoint. OSError: it cannot be read.
    """
    with open_to_read(path) as file:
        head = file.read(512)
    if not head:
        raise TeacherError(f"`{path}` is empty (0 bytes); {AGAIN}")
    if head.startswith(_ARCHIVE):
        return head
    refuse_other_kinds(path, head)
    if is_safetensors(head):  # which may begin as a pickle does
        return head
    if head.startswith(b"\x80"):
        if _TORCH_MAGIC not in head[:64]:
            raise TeacherError(
                f"`{path}` is a pickle that `torch.save` has not written; only tensors are loaded, because a pickle can"
                " run code: load it where it was made, and write its weights with `torch.save(…)`"
            )
        return head
    if _is_tar(head):  # the format before torch 0.1.10, or any other archive
        _check_tar(path)
        return head
    raise TeacherError(f"`{path}` is not a checkpoint, or is cut off: it begins with {head[:16]!r}; {AGAIN}")


def refuse_other_kinds(path: Path, head: bytes) -> None:
    """Refuse what begins like a page, a picture, or what else lies where weights should.

    Raises:
        TeacherError: the file cannot be weights.
    """
    if head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise TeacherError(f"`{path}` is an HTML or XML page, with which the download was answered; {AGAIN}")
    for magic, kind, advice in _KINDS:
        if head.startswith(magic):
            raise TeacherError(f"`{path}` is {kind} and no checkpoint; {advice}")


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins with a header's length and the header, whatever it is called."""
    return head[4:9] == b"\0\0\0\0{"


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """The weights of a safetensors file: not every torch reads them, and none those with another ending.

    Raises:
        TeacherError: it is damaged, or no reader is installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ModuleNotFoundError as e:
        raise TeacherError(f"`{path}` is a safetensors file, which needs `pip install safetensors`") from e
    try:
        # Not mapped, as by `load_file`: where it is written anew meanwhile, the process dies without a word.
        with open_to_read(path) as file:
            return load(file.read())
    except SafetensorError as e:
        raise TeacherError(f"`{path}` is damaged, or cut off: {e}; {AGAIN}") from e


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _check_tar(path: Path) -> None:
    try:
        with tarfile.open(path, "r:") as archive:
            names = archive.getnames()
    except (tarfile.TarError, EOFError) as e:
        raise TeacherError(f"`{path}` is damaged: it ends too early; {AGAIN}") from e
    if "storages" not in names:
        some = ", ".join(f"`{name}`" for name in names[:3])
        raise TeacherError(f"`{path}` is a tar archive and no checkpoint: it holds {some or 'nothing'}; unpack it")


_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, OSError, struct.error)
"""What `zipfile` raises of an archive in which any byte is another."""


def _check_archive(path: Path) -> None:
    """Check an archive as `torch.save` writes it."""
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for item in archive.infolist():
                if item.CRC == 0:  # of nothing, or of a file saved with `torch.serialization.set_crc32_options(False)`
                    continue
                name = item.filename
                with archive.open(item) as record:
                    while record.read(1 << 20):
                        pass
    except _DAMAGED as e:
        if isinstance(e, OSError) and e.errno != errno.EINVAL:  # of the disk, and not of a place before its beginning
            raise
        what = f"`{name}` in it has another checksum" if name else "it ends too early"
        raise TeacherError(f"`{path}` is damaged: {what}; {AGAIN}") from e
    ends = {name.partition("/")[2] for name in names}
    if "constants.pkl" in ends:
        raise TeacherError(
            f"`{path}` is a TorchScript model; expected its weights alone:"
            f" `torch.save(torch.jit.load('{path}').state_dict(), 'weights.pth')`"
        )
    if "data.pkl" not in ends:
        some = ", ".join(f"`{name}`" for name in names[:3])
        inside = any(name.endswith((".pth", ".pt", ".ckpt", ".bin", ".safetensors")) for name in names)
        advice = "; unpack it" if inside else ""
        raise TeacherError(f"`{path}` is an archive and no checkpoint: it holds {some or 'nothing'}{advice}")


def check_weights(path: str, checkpoint: Any, model: nn.Module) -> None:
    """Refuse a checkpoint of which nothing belongs to the model, and say where its weights are.

    mmengine loads nothing of it, and only lists all keys of both in a warning.

    Raises:
        TeacherError: no weight has the name of one of the model's; some are of a kind that theirs are not.
    """
    own = {*model.state_dict()}
    if not own:
        return
    weights = usual_weights(path, checkpoint)
    if own & {*weights}:
        check_kinds(path, weights, model)
        return
    read = f"load_checkpoint('{path}', 'cpu')"  # ours: `torch.load` would have to run what the file holds
    for place, prefix, _ in _places(own, checkpoint):
        line = f"{{k.removeprefix('{prefix}'): v for k, v in {read}{place}.items()}}" if prefix else f"{read}{place}"
        where = [
            *([f"in `{place}`"] if place else []),
            *([f"under names that begin with `{prefix}`"] if prefix else []),
        ]
        raise TeacherError(
            f"`{path}` has the model's weights {', '.join(where)}, where nothing looks for them: write them into a file"
            " of their own, `from lsu_seg.openmmlab.compat import load_checkpoint; import torch;"
            f" torch.save(dict(state_dict={line}), 'weights.pth')`"
        )
    if not weights:
        raise _no_weights(path, checkpoint)
    raise TeacherError(
        f"`{path}` is of another model: it has {some(weights)}, and the config's model {some(sorted(own))}"
    )


def check_kinds(path: str, weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse weights that torch copies into the model's and that are not the same then, or cannot copy.

    Integers are what a quantised network has; what they stand for is written elsewhere. In a buffer, such as a count or
    a table, they are what they say.

    Raises:
        TeacherError: some are of a kind that the model's are not.
    """
    learnt = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name, own in model.state_dict().items():
        value = weights.get(name)
        if value is None or not isinstance(own, Tensor) or is_lazy(own) or own.layout != torch.strided:
            continue
        floats = own.is_floating_point() and not own.is_quantized
        kind = str(value.dtype).removeprefix("torch.")
        if value.is_meta and not own.is_meta:
            found = "a tensor of the meta device, which has no values,"
        elif value.layout != torch.strided:
            found = "a sparse tensor"
        elif floats and (value.is_quantized or value.is_complex()):
            found = f"{'a quantised tensor' if value.is_quantized else 'values'} of {kind}"
        elif floats and name in learnt and not value.is_floating_point():
            found = f"values of {kind}"
        else:
            continue
        raise TeacherError(
            f"`{path}` has {found} as `{name}`, and the model's is {str(own.dtype).removeprefix('torch.')}: take the"
            " checkpoint before it was converted"
        )


def usual_weights(path: str, checkpoint: Any) -> dict[str, Tensor]:
    """The weights of a checkpoint where mmengine looks for them, without what `DataParallel` puts before their names.

    Raises:
        TeacherError: it is no dict.
    """
    if not isinstance(checkpoint, Mapping):
        raise TeacherError(f"`{path}` holds a {type(checkpoint).__name__}; expected a dict of weights, or `state_dict`")
    loaded = checkpoint.get("state_dict", checkpoint)
    weights = _weights(loaded) if isinstance(loaded, Mapping) else ()
    return {re.sub(r"^module\.", "", name): value for name, value in weights}


def finite_weights(path: str, checkpoint: Any) -> dict[str, Tensor]:
    """The same, of which there are some, and none is NaN.

    Raises:
        TeacherError: there are none, or some are NaN.
    """
    weights = usual_weights(path, checkpoint)
    if not weights:
        raise _no_weights(path, checkpoint)
    _check_finite(path, weights)
    return weights


def _no_weights(path: str, checkpoint: Mapping[Any, Any]) -> TeacherError:
    holds = ", ".join(f"`{key}`" for key in list(checkpoint)[:4]) or "nothing"
    if "state_dict" in checkpoint:
        holds = f"`state_dict`, which {_holds(checkpoint['state_dict'])}"
    return TeacherError(
        f"`{path}` holds no weights: it has {holds}; expected a dict of weights, or one as `state_dict`"
    )


def _holds(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"is of type {type(state).__name__}"
    for name, value in state.items():
        return f"has `{name}`, a {type(value).__name__}"
    return "is empty"


def adopt(path: str, checkpoint: Any, names: Collection[str]) -> None:
    """Put the weights of a segmentor's `net`, which have other names in files of another program, where mmengine looks.

    Args:
        names: of all weights of the segmentor.

    Raises:
        TeacherError: they are in the file several times.
    """
    own = {*names}
    inner = {name.removeprefix("net.") for name in own}
    if not (own and isinstance(checkpoint, MutableMapping) and all(name.startswith("net.") for name in own)):
        return
    usual = checkpoint.get("state_dict", checkpoint)
    if isinstance(usual, Mapping) and own & {re.sub(r"^module\.", "", str(name)) for name in usual}:
        return
    if found := _only(path, inner, checkpoint):
        checkpoint["state_dict"] = {f"net.{name}": value for name, value in found.items()}


def load_into(net: nn.Module, checkpoint: Any, path: str) -> None:
    """Load a network's weights from wherever they are in a checkpoint: all of them, and nothing else.

    Raises:
        TeacherError: they are not there, are there several times, or do not fit.
    """
    from mmengine.runner.checkpoint import load_state_dict

    found = _only(path, {*net.state_dict()}, checkpoint) if isinstance(checkpoint, Mapping) else None
    if found is None:
        check_weights(path, checkpoint, net)
        found = usual_weights(path, checkpoint)  # has some of them, or else that would have been refused
    check_kinds(path, found, net)
    try:
        load_state_dict(net, found, strict=True)
    except RuntimeError as e:
        raise TeacherError(f"`{path}` does not fit the network: {misfit(e)}") from e
    check_finite(path, net)


def _only(path: str, own: set[str], checkpoint: Mapping[Any, Any]) -> dict[str, Tensor] | None:
    """The weights that have most of a model's names behind some prefix; None if there are none.

    Where there are several, as of a model and its average, `state_dict` has the ones to load, or nobody knows.
    """
    places = list(_places(own, checkpoint))
    usual = [one for one in places if one[0] == "['state_dict']"] or places
    if len(usual) > 1:
        where = ", ".join(f"`{place}` under `{prefix}…`" if prefix else f"`{place}`" for place, prefix, _ in usual)
        raise TeacherError(
            f"`{path}` has weights with the model's names several times ({where}): write the right ones into a file of"
            " their own"
        )
    return usual[0][2] if usual else None


def _places(own: set[str], checkpoint: Any) -> Iterator[tuple[str, str, dict[str, Tensor]]]:
    """Where a checkpoint has most of a model's weights: the place, what stands before the names there, the weights."""
    for place, state in _nested(checkpoint, ""):
        names = dict(_weights(state))
        for prefix in _prefixes(own, names):
            # Everything of the place, so that what the model has no place for is noticed.
            yield place, prefix, {name.removeprefix(prefix): v for name, v in names.items() if name.startswith(prefix)}


def _weights(state: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            yield name, value


def _nested(value: Mapping[Any, Any], place: str, depth: int = 3) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """A record and the records in it, each with the Python that looks it up."""
    yield place, value
    for key, inside in value.items() if depth else ():
        if isinstance(inside, Mapping):
            yield from _nested(inside, f"{place}[{key!r}]", depth - 1)


def _prefixes(own: set[str], names: Mapping[str, Any]) -> list[str]:
    """What stands before the model's names in a dict, where most of them are there."""
    some = next(iter(sorted(own, key=len, reverse=True)))
    ends = [name for name in names if name == some or name.endswith(f".{some}")]
    prefixes = dict.fromkeys(name.removesuffix(some) for name in ends)
    return [prefix for prefix in prefixes if sum(prefix + one in names for one in own) * 2 > len(own)]


def some(names: Any) -> str:
    names = list(names)
    return ", ".join(f"`{name}`" for name in names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def check_finite(path: str, model: nn.Module) -> None:
    """Refuse weights that are NaN: the training diverged, and every prediction would be one class.

    Raises:
        TeacherError: a weight is not a number.
    """
    _check_finite(path, model.state_dict())


def _check_finite(path: str, weights: Mapping[str, Any]) -> None:
    if bad := _nan(weights):
        raise TeacherError(
            f"`{path}` has weights that are NaN: {some(bad)}; its training diverged: take an earlier checkpoint, or"
            " train with a lower learning rate"
        )


def local(weight: Any) -> Any:
    """What this rank has of a weight: a part, if it is sharded."""
    return weight.to_local() if hasattr(weight, "to_local") else weight


def nan_weights(model: nn.Module) -> list[str]:
    """The names of the weights that have a NaN. Of a sharded model, in the parts of this rank."""
    return _nan({name: local(weight) for name, weight in model.state_dict().items()})


def _nan(weights: Mapping[str, Any]) -> list[str]:
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return [name for name, value in tensors.items() if any(part.isnan().any() for part in _plain(value))]


def _plain(weight: Tensor) -> list[Tensor]:
    """The values of a weight as tensors that can be computed with, whatever keeps them; none if they cannot be NaN."""
    if weight.is_nested:
        return [part for inner in weight.unbind() for part in _plain(inner)]
    if weight.is_quantized or not (weight.is_floating_point() or weight.is_complex()) or is_lazy(weight):
        return []
    dense = weight if weight.layout == torch.strided else weight.to_dense()
    return [dense.float() if dense.dtype.itemsize == 1 else dense]


def same_weight(own: Any, other: Any) -> bool:
    """Whether two weights have the same values; those of a lazy layer have none before its first image."""
    if not isinstance(own, Tensor) or not isinstance(other, Tensor):  # what a layer adds to its state
        return type(own) is type(other)
    if is_lazy(own) or is_lazy(other):
        return False
    return weight_bytes(own) == weight_bytes(other)


def weight_bytes(value: Any) -> bytes:
    """The kind and the values of one weight, or of whatever else is in a layer's state."""
    if isinstance(value, Tensor) and not value.is_nested and not value.is_quantized and value.layout == torch.strided:
        values = value.detach().cpu().resolve_conj().resolve_neg().reshape(-1).contiguous().view(torch.uint8)
        return f"{value.dtype} {tuple(value.shape)}\n".encode() + values.numpy().tobytes()
    saved = io.BytesIO()
    torch.save(value, saved)
    return saved.getvalue()


@contextlib.contextmanager
def readable(checkpoint: str) -> Iterator[None]:
    """What torch and mmengine raise of a checkpoint that is cut off, or of another model, becomes a refusal.

    Raises:
        TeacherError: it cannot be read, or does not fit.
    """
    try:
        yield
    except UserError:
        raise
    except (EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, OSError, struct.error) as e:
        if isinstance(e, OSError) and e.filename:  # torch says `Invalid argument` of some files that are cut off
            raise
        raise TeacherError(f"`{checkpoint}` is not a checkpoint, or is cut off; get the file again") from e
    except RuntimeError as e:
        what = "cannot be read" if "PytorchStreamReader" in str(e) else "does not fit the config's model"
        raise TeacherError(f"`{checkpoint}` {what}: {misfit(e)}") from e


def misfit(error: RuntimeError) -> str:
    """What mmengine says of weights that do not fit, without the hundreds of names."""
    out = []
    for line in str(error).splitlines()[1:]:
        before, colon, names = line.partition(": ")
        listed = names.strip().split(", ")
        if line.startswith(("missing keys", "unexpected key")) and len(listed) > 3:
            line = f"{before}{colon}{', '.join(listed[:3])} and {len(listed) - 3} more"
        if line.strip():
            out.append(line)
    sizes = [line for line in out if line.startswith("size mismatch")]
    others = [line for line in out if line not in sizes]
    more = [f"{len(sizes) - 3} more sizes differ"] if len(sizes) > 3 else []
    return "\n  ".join(["", *others[:4], *sizes[:3], *more]) if out else str(error)
