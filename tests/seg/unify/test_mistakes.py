"""Mistakes in a config of `unify`: found before any data is drawn and anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lsu_seg.cli import main
from lsu_seg.commands.demo import DEMO
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.unify.checks import check_config
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
        ("unify.views.scales", 0.5, "`unify.views`: Views(scales=0.5"),
        ("unify.views.scales", [-1], "`unify.views`: scales are (-1.0,); expected positive numbers"),
        ("unify.views.threshold", "x", "`unify.views`: threshold is 'x'; expected 0..1, or None"),
        ("unify.views.soft", -1, "`unify.views`: soft is -1"),
        ("unify.views", 3, "`unify.views` is 3; expected `dict(scales="),
        ("unify.refresh", 3, "`unify.refresh` is 3; expected `dict(every=…)`"),
        ("unify.refresh", dict(views={}), "expected `dict(every=…)`, in epochs"),
        ("unify.refresh", dict(every="x"), "`unify.refresh`: `every` of the TeacherRefreshHook is x"),
        (
            "unify.refresh",
            dict(every=1, views=dict(scale=1)),
            "`unify.refresh`: nothing reads the key `views.scale`; did you mean `scales`?",
        ),
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
        ("train_dataloader.dataset.datasets.0.split", 3, "datasets.0.split` is 3; expected a text"),
        ("val_evaluator.source", "idd", "the evaluator has source='idd', and the training datasets `demo`: write"),
        ("train_cfg.max_iters", -3, "`train_cfg.max_iters` is -3; expected a whole number, 1 or more"),
        ("train_cfg.max_iters", 0, "`train_cfg.max_iters` is 0"),
        ("train_cfg.max_iters", 2.5, "`train_cfg.max_iters` is 2.5"),
        ("train_cfg.max_iters", "many", "`train_cfg.max_iters` is 'many'"),
        ("train_cfg.val_interval", 0, "`train_cfg.val_interval` is 0; expected"),
        ("custom_hooks", 3, "`custom_hooks` is 3; expected a list"),
        ("model.decode_head.type", "SetHed", "`model.decode_head.type` is `SetHed`, and no class of that name"),
        ("optim_wrapper.optimizer.type", "Nope", "`optim_wrapper.optimizer.type` is `Nope`, and no class of that name"),
        (f"{ZERO}.pipeline", [dict(type="Nope")], "`unify.evaluate.zero_shot.pipeline.0.type` is `Nope`"),
        ("source", "x", "`--set source=…` comes too late: `source` is a variable of"),
    ],
)
def test_a_mistake_is_named_with_its_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_config(load_config(DEMO, options={key: value}))
    assert message in str(refused.value)


def test_the_demo_draws_nothing_for_a_config_with_a_mistake(tmp_path: Path) -> None:
    done = call("demo", "--work-dir", tmp_path / "work", "--set", "unify.views.scale=2")
    assert done.exit_code == 1
    assert "nothing reads the key `unify.views.scale`" in done.output
    assert not (tmp_path / "work").exists()


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
