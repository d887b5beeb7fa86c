"""The sample as a value: written and read."""

from __future__ import annotations

import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from lsu_onto import ROW_VOID
from lsu_seg.audit.sample import GRID, UNSEEN, Sample, SampleError, load_sample


def small_sample(void: bool = True) -> Sample:
    rng = np.random.default_rng(3)
    top = rng.integers(0, 4, (2, *GRID, 2)).astype(np.uint16)
    top[0, :3] = UNSEEN
    return Sample(
        classes=("road", "grass", "Müll", "sky"),
        rows_of=("ground", "above"),
        p=rng.integers(0, 255, (5, 4)).astype(np.uint8),
        void=rng.integers(0, 255, 5).astype(np.uint8) if void else None,
        row=np.array([0, 0, 1, ROW_VOID, 1], np.int16),
        agree=np.array([True, False, True, True, False]),
        image=np.array([0, 0, 1, 1, 2], np.int32),
        place=rng.integers(0, 60000, (5, 2)).astype(np.uint16),
        weight=np.array([4, 4, 1.5, 2, 1], np.float32),
        keys=("a/1", "caf\udce9", "straße"),  # a file name may hold bytes that are no text
        size=np.array([[40, 60], [1, 1], [7, 9]], np.int32),
        pixels=np.array([[2000, 300, 100], [0, 1, 0], [50, 13, 0]]),
        grid_image=np.array([0, 2], np.int32),
        grid_row=rng.integers(-1, 2, (2, *GRID)).astype(np.int16),
        grid_top=top,
        images=70,
        unasked=np.array([3, 0, 9]),
    )


def same(a: Sample, b: Sample) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Sample)]
    return all(type(x) is type(y) and np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("void", [True, False])
def test_a_sample_is_read_as_it_was_written(tmp_path: Path, void: bool) -> None:
    sample = small_sample(void)
    sample.save(tmp_path / "s.npz")
    back = load_sample(tmp_path / "s.npz")
    assert same(back, sample)
    assert all(
        getattr(back, f.name).dtype == getattr(sample, f.name).dtype for f in fields(Sample) if f.name in _ARRAYS
    )
    assert not same(back, replace(sample, images=71))
    back.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "s.npz").read_bytes()


_ARRAYS = {"p", "row", "agree", "image", "place", "weight", "size", "pixels", "grid_row", "grid_top", "unasked"}


def test_what_is_no_sample_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    small_sample().save(file)
    whole = file.read_bytes()
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    other = (tmp_path / "other.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "deep.npz", "w") as archive:  # a header at which Python runs out of stack
        archive.writestr("p.npy", b"\x93NUMPY\x01\0" + (5001).to_bytes(2, "little") + b"~" * 5000 + b"1")
    deep = (tmp_path / "deep.npz").read_bytes()
    for data in (b"", b"no archive", whole[:-100], whole[:200], other, deep):
        file.write_bytes(data)
        with pytest.raises(SampleError, match="not a sample of an audit"):
            load_sample(file)


@pytest.mark.parametrize("name", [field.name for field in fields(Sample) if field.name not in ("images", "void")])
def test_arrays_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "sample.npz"
    small_sample().save(file)
    arrays = dict(np.load(file))
    array = arrays[name]
    others = [np.array(5), array[:1]]
    if array.dtype.kind in "iuf":
        others += [array[..., None], array.astype(str), array.astype(complex)]
    if name in ("row", "image", "grid_image", "grid_row", "grid_top"):
        others += [array + array.dtype.type(100), array - array.dtype.type(100), array + array.dtype.type(1)]
        others += [array - array.dtype.type(1)] if array.dtype.kind == "i" else []
    if name == "weight":
        others += [-array, 0 * array, np.full_like(array, np.nan), np.full_like(array, np.inf)]
    for other in others:
        np.savez(file, **arrays | {name: other})
        with pytest.raises(SampleError, match="not a sample of an audit"):
            load_sample(file)
