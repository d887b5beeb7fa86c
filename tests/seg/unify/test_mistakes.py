"""Mistakes in a config of `unify`: found before any data is drawn and anything is trained."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from helpers.unify import config
from lsu_seg.cli import main
from lsu_seg.commands.demo import DEMO
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import load_config, merge
from lsu_seg.openmmlab.rehearsal import rehearse
from lsu_seg.unify.checks import check_config
from lsu_seg.unify.configs import student_config, teacher_config
from lsu_seg.unify.stages import RECORD

TOWN, ZERO = "unify.extra.town", "unify.evaluate.zero_shot"


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def test_the_demo_has_none() -> None:
    check_config(load_config(DEMO))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("unify.views.scale", 0.5, "nothing reads the key `unify.views.scale`; did you mean `scales`?"),
        ("unify.views.title", "x", "nothing reads the key `unify.views.title`; it has scales, flips, window"),
        ("unify.views.scales", 0.5, "`unify.views`: scales are 0.5; expected positive numbers in a list"),
        ("unify.views.scales", [-1], "`unify.views`: scales are (-1.0,); expected positive numbers"),
        ("unify.views.threshold", "x", "`unify.views`: threshold is 'x'; expected 0..1, or None"),
        ("unify.views.soft", -1, "`unify.views`: soft is -1"),
        ("unify.views.precision", "bf15", "`unify.views`: precision is 'bf15'; expected one of fp32"),
        ("unify.views.compile", True, "`unify.views`: a network is compiled for one size of images"),
        ("unify.views", 3, "`unify.views` is 3; expected `dict(scales="),
        ("unify.refresh", 3, "`unify.refresh` is 3; expected `dict(every=…)`"),
        ("unify.refresh", dict(views={}), "expected `dict(every=…)`, in epochs"),
        ("unify.refresh", dict(every="x"), "`unify.refresh`: `every` of the TeacherRefreshHook is x"),
        (
            "unify.refresh",
            dict(every=1, views=dict(scale=1)),
            "`unify.refresh`: nothing reads the key `views.scale`; did you mean `scales`?",
        ),
        (
            "unify.average_with_teacher",
            1,
            "`unify.average_with_teacher` is 1; expected the teacher's share",
        ),
        ("unify.average_with_teacher", "half", "`unify.average_with_teacher` is 'half'; expected"),
        ("unify", dict(average_with_teacher=0.5, student_init=None), "write `student_init='teacher'`, or leave it out"),
        ("unify.students", "set", "`unify.students` is 'set'; expected a list: `['set']`"),
        (TOWN, 3, "`unify.extra.town` is 3; expected `dict(…)`"),
        (f"{TOWN}.truht", 3, "nothing reads the key `unify.extra.town.truht`; did you mean `truth`?"),
        (f"{TOWN}.truth", 3, "`unify.extra.town.truth` is 3; expected `dict(taxonomy=…, folder=…, paths=…)`"),
        (f"{TOWN}.truth.taxonomi", "x", "nothing reads the key `unify.extra.town.truth.taxonomi`; did you mean"),
        (f"{TOWN}.dataset", 3, "the dataset of extra set `town` is 3; expected `dict(type='TaxDataset'"),
        (
            f"{TOWN}.dataset.taxonomie",
            "x",
            "nothing reads `unify.extra.town.dataset.taxonomie`: `TaxDataset` has no `taxonomie`; did you mean",
        ),
        (f"{TOWN}.dataset.weight", "x", "`unify.extra.town.dataset.weight` is 'x'; expected a number"),
        (f"{TOWN}.dataset.split", "tran", "extra set `town`: there is no split `tran`; `demo_town` has train, val"),
        (f"{ZERO}.splt", "x", "`TaxDataset` has no `splt`; did you mean `split`?"),
        (f"{ZERO}.taxonomy", "idd", "evaluation set `zero_shot`: `idd` has several maps"),
        (
            "train_dataloader.dataset.datasets.0.taxonomie",
            "x",
            "nothing reads `train_dataloader.dataset.datasets.0.taxonomie`",
        ),
        ("train_dataloader.dataset.datasets", 3, "`train_dataloader.dataset.datasets` is 3; expected a list"),
        ("train_dataloader.dataset.datasets", ["x"], "`train_dataloader.dataset.datasets.0` is 'x'; expected `dict("),
        ("unify", "", "`unify` is ''; expected `dict(…)`"),
        ("train_dataloader.dataset.datasets.0.split", 3, "datasets.0.split` is 3; expected a text"),
        ("val_evaluator.source", "idd", "the evaluator has source='idd', and the training datasets `demo`: write"),
        ("train_cfg.max_iters", -3, "`train_cfg.max_iters` is -3; expected a whole number, 1 or more"),
        ("train_cfg.max_iters", 0, "`train_cfg.max_iters` is 0"),
        ("train_cfg.max_iters", 2.5, "`train_cfg.max_iters` is 2.5"),
        ("train_cfg.max_iters", "many", "`train_cfg.max_iters` is 'many'"),
        ("train_cfg.val_interval", 0, "`train_cfg.val_interval` is 0; expected"),
        ("custom_hooks", 3, "`custom_hooks` is 3; expected a list"),
        ("model.decode_head", 3, "`model.decode_head` is 3; expected `dict(type=…, …)`"),
        ("model.test_cfg.mode", 2, "`model.test_cfg.mode` is 2; expected 'whole' or 'slide'"),
        ("model.test_cfg", dict(mode="slide"), "`model.test_cfg.crop_size` is None; expected height and width"),
        ("model.test_cfg", dict(mode="slide", crop_size=(9, 9), stride=3), "`model.test_cfg.stride` is 3; expected"),
        ("model.neck", [[]], "`model.neck` is [[]]; expected `dict(type=…, …)`"),
        ("model.decode_head.loss_decode", "x", "`model.decode_head.loss_decode` is 'x'; expected"),
        ("model.decode_head.type", "SetHed", "`model.decode_head.type` is `SetHed`, and no class of that name"),
        ("train_dataloader.sampler.type", 3, "`train_dataloader.sampler.type` is 3; expected the name of a class"),
        ("optim_wrapper.optimizer.type", "Nope", "`optim_wrapper.optimizer.type` is `Nope`, and no class of that name"),
        (f"{ZERO}.pipeline", [dict(type="Nope")], "`unify.evaluate.zero_shot.pipeline.0.type` is `Nope`"),
        ("source", "x", "`--set source=…` comes too late: `source` is a variable of"),
    ],
)
def test_a_mistake_is_named_with_its_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_config(load_config(DEMO, options={key: value}))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unify.views.scale=2", "nothing reads the key `unify.views.scale`"),
        ("param_scheduler=3", "`param_scheduler` cannot be used as it is: TypeError"),
    ],
)
def test_the_demo_draws_nothing_for_a_config_with_a_mistake(tmp_path: Path, change: str, message: str) -> None:
    done = call("demo", "--work-dir", tmp_path / "work", "--jobs", "1", "--set", change)
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("param_scheduler", 3, "`param_scheduler` cannot be used as it is: TypeError"),
        ("param_scheduler", [dict(type="PolyLR", power="x", eta_mn=0)], "nothing reads `param_scheduler.0.eta_mn`"),
        ("param_scheduler", [dict(type="OneCycleLR", eta_max=1, pct_start=3, by_epoch=False)], "pct_start"),
        ("optim_wrapper", 3, "`optim_wrapper` cannot be used as it is"),
        ("optim_wrapper.optimizer.lr", "high", "`optim_wrapper"),
        ("optim_wrapper.optimizer.momentm", 1, "nothing reads `optim_wrapper.optimizer.momentm`"),
        ("optim_wrapper.clip_grad", 3, "`optim_wrapper"),
        ("default_hooks", 3, "`default_hooks` cannot be used as it is"),
        ("default_hooks.checkpoint", 3, "`default_hooks` cannot be used as it is"),
        ("visualizer", 3, "`visualizer` cannot be used as it is"),
        ("visualizer", dict(type="SegLocalVisualizer", vis_backends=3), "`visualizer` cannot be used as it is"),
        ("log_processor", 3, "`log_processor` cannot be used as it is"),
        ("log_level", 3.5, "`log_level` cannot be used as it is"),
        ("randomness", dict(seed="x"), "`randomness` cannot be used as it is"),
        ("auto_scale_lr", 3, "`auto_scale_lr` cannot be used as it is"),
        ("train_cfg", 3, "`train_cfg` cannot be used as it is"),
        ("train_cfg.max_itters", 3, "nothing reads `train_cfg.max_itters`"),
        ("val_cfg", 3, "`val_cfg` cannot be used as it is"),
        ("val_evaluator.sorce", "demo", "nothing reads `val_evaluator.sorce`"),
        ("model.backbone.dept", 18, "nothing reads `model.backbone.dept`"),
        ("model.decode_head.loss_decode", dict(type="CrossEntropyLoss", wait=1), "`model.decode_head.loss_decode"),
        ("model.data_preprocessor.mean", 3, "`model.data_preprocessor"),
        ("model.train_cfg", 3, "`model.train_cfg` is 3; expected `dict(…)`"),
        ("train_dataloader.dataset.pipeline", [dict(type="RandomFlip", prb=1)], "nothing reads `train_dataloader"),
        ("val_dataloader.dataset.pipeline", [dict(type="Resize")], "`val_dataloader.dataset.pipeline.0"),
        ("train_dataloader.dataset.pipeline", 3, "`train_dataloader.dataset.pipeline` is 3; expected a list"),
        ("val_dataloader.dataset.pipeline", [3], "`val_dataloader.dataset.pipeline.0` is 3; expected a transform"),
        ("env_cfg.mp_cfg", 3, "`env_cfg.mp_cfg` is 3; expected `dict("),
    ],
)
def test_what_cannot_be_built_shows_before_there_is_any_data(
    key: str, value: Any, message: str, tmp_path: Path
) -> None:
    cfg = config(tmp_path)
    merge(cfg, {key: value})
    with pytest.raises(ConfigError) as refused:
        rehearse(cfg)
    assert message in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_no_hooks_of_ones_own_are_none(tmp_path: Path) -> None:
    cfg = load_config(DEMO, options={"custom_hooks": None})
    for own in (teacher_config(cfg, tmp_path, 0), student_config(cfg, tmp_path, 0, "set", tmp_path / "a.pth")):
        assert [hook["type"] for hook in own.custom_hooks] == ["TrainProgressHook"]


def test_what_can_be_built_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the usual one is other tests', too
    made: list[str] = []
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, of=tempfile.mkdtemp, **k: made.append(of(*a, **k)) or made[-1])
    rehearse(config(tmp_path / "data"))
    assert made and not any(Path(folder).exists() for folder in made)
    assert not (tmp_path / "data").exists()


def test_fresh_removes_nothing_for_a_config_that_cannot_run(tmp_path: Path) -> None:
    stage = tmp_path / "teacher"
    stage.mkdir()
    (stage / RECORD).write_text('{"key": "k", "result": "iter_700.pth"}')
    done = call("unify", DEMO, "--work-dir", tmp_path, "--fresh", "--set", "val_cfg=3")
    assert done.exit_code == 1 and "`val_cfg`" in done.output
    assert (stage / RECORD).is_file()


@pytest.mark.parametrize("form", [(), ("--student", "constrained", "--set", "load_from=a.pth")])
def test_a_training_leaves_the_stages_of_unify_alone(tmp_path: Path, form: tuple[str, ...]) -> None:
    """Or `unify` would say of somebody else's weights that they are its own, and reuse them."""
    stage = tmp_path / ("student_constrained" if form else "teacher")
    stage.mkdir()
    (stage / RECORD).write_text('{"key": "k", "result": "iter_700.pth"}')
    done = call("train", DEMO, "--work-dir", tmp_path if form else stage, *form)
    assert done.exit_code == 1
    assert f"{stage} is a stage of `lsu-seg unify`, which would take what is written there for its own" in done.output
    assert [p.name for p in stage.iterdir()] == [RECORD]
