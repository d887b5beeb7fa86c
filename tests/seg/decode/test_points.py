"""The evidence at points is that of the whole label there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.decoding import problems, tensor_view
from helpers.examples import examples
from lsu_seg.decode import QueryView, View, reference
from lsu_seg.decode.points import covered, p_at
from lsu_seg.decode.soft import _part


@settings(max_examples=examples(150), deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_points_have_the_evidence_of_the_reference(problem: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    views, size = [tensor_view(v) for v in problem[0]], problem[1].shape
    top = int(rng.integers(0, size[0]))
    count = int(rng.integers(1, size[0] - top + 1))
    y, x = rng.integers(0, count, 20), rng.integers(0, size[1], 20)

    k = views[0].num_classes
    everything = (torch.arange(k + 1) < k)[:, None, None].expand(-1, *size)
    log_p = reference._fuse(views, everything)[1]
    if any(view.to is not None for view in views):  # the shares of what the maps leave
        log_p = log_p.log_softmax(0).nan_to_num(-torch.inf)
    with_mass = [v for v in views if isinstance(v, QueryView) or v.void is not None]
    mass = reference._fuse(with_mass, everything)[2] if with_mass else None
    whole = p_at(views, y + top, x, size)
    parts = p_at([_part(v, top, count, size[0]) for v in views], y, x, (count, size[1]))
    for p, void in (whole, parts):
        assert p.dtype == torch.float32
        np.testing.assert_allclose(p.numpy(), log_p.exp()[:, y + top, x].T.numpy(), rtol=1e-4, atol=1e-6)
        assert (void is None) == (mass is None)
        if void is not None and mass is not None:
            np.testing.assert_allclose(void.numpy(), mass[y + top, x].numpy(), rtol=1e-4, atol=1e-6)


@settings(max_examples=examples(100), deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_a_point_is_covered_if_no_missing_sample_changes_it(problem: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    view, size = tensor_view(problem[0][0]), problem[1].shape
    maps = view.maps
    missing = rng.random(maps.shape[1:]) < 0.3
    y, x = rng.integers(0, size[0], 30), rng.integers(0, size[1], 30)
    other = torch.where(torch.from_numpy(missing), 7.0, maps)
    changed = replace(view, **{"logits" if isinstance(view, View) else "masks": other})
    at = covered(view, missing, y, x, size)
    assert torch.equal(p_at([view], y, x, size)[0][at], p_at([changed], y, x, size)[0][at])
    if missing.all() or not missing.any():
        assert at.all() != missing.all()


def test_what_a_map_leaves_of_a_very_sure_teacher() -> None:
    """It says next to nothing of the classes, and that is all there is."""
    logits = torch.tensor([2000.0, 1.0, 0.0]).view(3, 1, 1)
    to = np.array([[False, False, True], [True, False, False], [False, True, False]])
    p, _ = p_at([View(logits, to=to)], np.array([0]), np.array([0]), (1, 1))
    assert torch.allclose(p, torch.tensor([[1.0, 0.0]]).softmax(1))
