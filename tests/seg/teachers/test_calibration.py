"""Temperatures: what is fitted, what they change in a teacher's evidence, and the file that has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.decoding import compare, gaps
from lsu_seg.commands.calibrate import _doubts
from lsu_seg.decode import QueryView, View, cpu
from lsu_seg.decode.points import evidence_at, p_at
from lsu_seg.decode.views import Decoded
from lsu_seg.errors import TeacherError
from lsu_seg.teachers import SegmentorTeacher, Views
from lsu_seg.teachers.calibration import (
    Calibration,
    Fit,
    beside,
    calibration_file,
    calibration_of,
    check_target,
    warn_of_other_views,
)
from lsu_seg.teachers.maps import Maps
from lsu_seg.teachers.reliability import calibration_error, count_bins
from lsu_seg.teachers.temperature import fit, loss, p_of

RNG = np.random.default_rng(4)


def drawn_from(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Classes drawn from the softmax of logits at a temperature: the one that calibrates them."""
    p = (logits / temperature).softmax(1).numpy()
    return torch.from_numpy((p.cumsum(1) > RNG.random((len(p), 1))).argmax(1))


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_the_temperature_that_the_truth_was_drawn_with_is_found(temperature: float) -> None:
    logits = torch.from_numpy(RNG.normal(size=(8000, 5)) * 3).float()
    target, weight = drawn_from(logits, temperature), torch.ones(8000)
    found = fit(logits[None], target, weight)
    assert found == pytest.approx(temperature, rel=0.06)

    def error(t: float) -> float:
        confidence, label = p_of(logits[None], t).max(1)
        return calibration_error(count_bins(confidence, (label == target).double(), weight))

    assert error(found) < 0.02 < 0.05 < error(1.0)


def test_it_is_the_smallest_loss_of_the_mean_over_the_views() -> None:
    """By weight, too: a pixel that stands for three is as three."""
    evidence = torch.from_numpy(RNG.normal(size=(2, 3000, 4)) * 4).float()
    target = drawn_from(evidence.mean(0), 3.0)
    weight = torch.from_numpy(RNG.integers(1, 4, 3000)).float()
    found = fit(evidence, target, weight)
    grid = np.geomspace(1, 4, 150)

    def naive(t: float) -> float:
        p = (evidence.double() / t).softmax(2).mean(0)[range(3000), target]
        return float(-(weight * p.log()).sum() / weight.sum())

    values = [naive(t) for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(values))], rel=0.02)
    assert loss(evidence, target, weight, found) == pytest.approx(naive(found))
    several = weight.long()
    repeated = fit(
        evidence.repeat_interleave(several, 1), target.repeat_interleave(several), torch.ones(int(several.sum()))
    )
    assert repeated == pytest.approx(found, rel=1e-4)


def test_a_teacher_that_is_always_right_gets_a_temperature_that_is_a_number() -> None:
    found = fit(torch.tensor([[[5.0, 0.0]] * 9]), torch.zeros(9, dtype=torch.int64), torch.ones(9))
    assert 0.1 <= found < 0.5


def test_logits_are_divided_and_no_object_is_not() -> None:
    logits, void = torch.randn(4, 3, 5), torch.rand(3, 5)
    view = Maps.of(View(logits, void=void)).tempered(2.0).view(False)
    assert isinstance(view, View)
    torch.testing.assert_close(view.logits, logits / 2)
    torch.testing.assert_close(view.void, void)
    same = Maps.of(View(logits))
    assert same.tempered(1.0) is same


def test_p_of_masks_gets_an_exponent() -> None:
    maps = Maps.of(QueryView(torch.randn(6, 4), torch.randn(6, 3, 5)))
    every = np.indices((3, 5)).reshape(2, -1)
    p, mass = p_at([maps.view(False)], *every, (3, 5))
    sharp = torch.cat([p, mass[:, None]], 1) ** (1 / 0.5)  # type: ignore[index]
    expected = sharp / sharp.sum(1, keepdim=True)
    p, mass = p_at([maps.tempered(0.5).view(False)], *every, (3, 5))
    torch.testing.assert_close(p, expected[:, :-1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mass, expected[:, -1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("queries", [False, True])
def test_evidence_at_points_is_what_p_is_the_mean_of(queries: bool) -> None:
    shapes = ((4, 5), (2, 3))
    views = [
        QueryView(torch.randn(6, 4), torch.randn(6, *shape), flip=bool(i))
        if queries
        else View(torch.randn(3, *shape), bool(i))
        for i, shape in enumerate(shapes)
    ]
    y, x = np.array([0, 3, 7, 8]), np.array([9, 2, 5, 0])
    evidence = evidence_at(views, y, x, (9, 10))
    p, mass = p_at(views, y, x, (9, 10))
    found = evidence.double().softmax(2).mean(0).float()
    torch.testing.assert_close(found[:, :3], p)
    assert mass is None or torch.allclose(found[:, 3], mass)


class Preprocessor:
    def __call__(self, data: dict, training: bool) -> dict:
        return {"inputs": torch.stack(data["inputs"]).float()}


class Network:
    """A segmentor that sees colours; its logits are large, as those of an overconfident one are."""

    data_preprocessor = Preprocessor()

    def __call__(self, batch: torch.Tensor, mode: str) -> torch.Tensor:
        scaled = torch.nn.functional.avg_pool2d(batch, 4) / 16
        return torch.cat([scaled, scaled.roll(1, 3)[:, :2] - 1], 1)


def test_decoders_agree_and_one_view_keeps_its_labels() -> None:
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    rows = RNG.integers(0, 3, (64, 96)).astype(np.int16)
    allowed = np.array([[1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0]], bool)

    def asked(flips: tuple[bool, ...], temperature: float) -> list:
        teacher = SegmentorTeacher(Network(), list("abcde"), Views(flips=flips), temperature=temperature)
        ((_, band),) = teacher.evidence([image], None, [(64, 96)])
        return band.views

    for flips in ((False,), (False, True)):
        plain, hot = asked(flips, 1.0), asked(flips, 3.0)
        for a, b in zip(plain, hot, strict=True):
            torch.testing.assert_close(b.logits, a.logits / 3)
        fast = cpu.decode(hot, rows, allowed)
        decoded = Decoded(torch.as_tensor(fast.labels), torch.as_tensor(fast.confidence))
        views = [replace(v, logits=v.logits.numpy()) for v in hot]
        differences = compare(views, rows, allowed, None, decoded)
        assert differences.outside == differences.wrong == 0 and differences.confidence <= 1
        assert differences.compared > 0.99 * rows.size
        before = cpu.decode(plain, rows, allowed)
        # In an open row, void needs more than the best class, which is less sure now.
        gap, tolerance = gaps(views, rows, allowed)
        closed = (rows != 1) & (gap > tolerance)
        if len(flips) == 1:
            np.testing.assert_array_equal(fast.labels[closed], before.labels[closed])
        assert fast.confidence[rows == 0].mean() < before.confidence[rows == 0].mean() - 0.05


# --- the file --------------------------------------------------------------------------------------------------------


def calibration(**changes: object) -> Calibration:
    fitted = Fit(nll=0.5, ece=0.1, bins=[(2, 1, 1.5)] * 15)
    facts = dict(toolkit="1", weights_sha256="a" * 64, source="s v1", dataset="d v1", split="val", data_sha256="0")
    seen = dict(images=2, pixels=9, missing=("train",), views={"scales": [1.0], "flips": [False]}, computing={})
    return Calibration(**{**dict(format=1, temperature=1.5, before=fitted, after=fitted), **facts, **seen, **changes})  # type: ignore[arg-type]


def test_a_file_says_what_was_written(tmp_path: Path) -> None:
    path = beside(tmp_path / "net.pth")
    calibration().write(path)
    assert path.name == "net.pth.calibration.json"
    assert calibration_of(path, "a" * 64) == calibration()
    assert "[ 2.0, 1.0, 1.5 ]" in path.read_text()
    assert calibration_of(None, "a" * 64) is None
    check_target(path), check_target(tmp_path / "new.json")
    path.write_text("{}")  # as its refusal says, it may be written anew
    check_target(path)
    with pytest.raises(TeacherError, match="remove it, or calibrate the teacher again"):
        calibration_of(path, "a" * 64)
    other = tmp_path / "config.json"
    other.write_text("{}")
    with pytest.raises(TeacherError, match=r"name the file that it wrote$"):
        calibration_of(other, "a" * 64, is_named=True)
    with pytest.raises(TeacherError, match=r"config.json is there, and not what .* so it is not replaced; choose"):
        check_target(other)
    with pytest.raises(TeacherError, match=r"is a folder; name another file with `-o FILE.json`"):
        check_target(tmp_path)
    path.unlink()
    assert calibration_file(tmp_path / "net.pth") is None
    path.symlink_to("nothing")  # labels without the temperature that somebody has put there would be wrong
    with pytest.raises(TeacherError, match=r"No such file or directory; expected the file of `lsu-seg calibrate`"):
        calibration_of(calibration_file(tmp_path / "net.pth"), "a" * 64)


@pytest.mark.parametrize(
    ("temperature", "before", "after", "said"),
    [
        (1.5, 0.5, 0.4, ""),
        (9.9999, 2.0, 1.7, "the temperature is at an end of its range, 0.1 to 10: "),
        (0.1, 2.0, 1.7, "the temperature is at an end of its range, 0.1 to 10: "),
        (1.6, 1.504, 1.538, "the confidence is worse with the temperature than without"),
    ],
)
def test_a_temperature_that_says_nothing_is_doubted(temperature: float, before: float, after: float, said: str) -> None:
    fits = {key: Fit(nll=nll, ece=0.1, bins=[(2, 1, 1.5)] * 15) for key, nll in (("before", before), ("after", after))}
    doubts = [*_doubts(calibration(temperature=temperature, **fits))]
    assert len(doubts) == bool(said)
    assert said in "".join(doubts)


def test_a_file_of_other_weights_is_passed_over_with_a_word_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    calibration().write(path)
    assert calibration_of(path, "b" * 64) is None
    assert "fitted on other weights than these" in capsys.readouterr().err
    with pytest.raises(TeacherError, match=r"c\.json: fitted on other weights than these .* calibrate this teacher"):
        calibration_of(path, "b" * 64, is_named=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "`temperature`: input should be greater"),
        ({"temperature": "hot"}, "`temperature`: "),
        ({"temperature": True}, "`temperature`: "),
        ({"temperature": "1.5"}, "`temperature`: "),
        ({"format": 2}, "`format`: "),
        ({"before": {"nll": 1, "ece": 2, "bins": []}}, "`before.ece`: "),
        (None, "invalid JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change: dict | None, message: str) -> None:
    path = tmp_path / "c.json"
    calibration().write(path)
    text = json.dumps(json.loads(path.read_text()) | change) if change else path.read_text()[:50]
    path.write_text(text)
    with pytest.raises(TeacherError, match="not what `lsu-seg calibrate` writes") as raised:
        calibration_of(path, "a" * 64)
    assert message in str(raised.value)


def test_other_views_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_other_views(calibration(), {"scales": [1.0], "flips": [False]})
    assert capsys.readouterr().err == ""
    warn_of_other_views(calibration(), {"scales": [0.5, 1.0], "flips": [False]})
    assert "other views: scales [1.0] instead of [0.5, 1.0]" in capsys.readouterr().err
