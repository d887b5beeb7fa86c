"""The whole method on a handful of drawn scenes: what is written, and what a second run does again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import lsu_onto
import lsu_seg
from helpers.forkserver import Server
from helpers.tiny import LOAD, model_config
from lsu_onto.library.searchpath import shipped
from lsu_seg.demo import data
from lsu_seg.errors import ConfigError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import load_config, search_in
from lsu_seg.runtime.processes import ProcessError
from lsu_seg.unify import checks, configs, report, unify

CONFIGS = Path(lsu_seg.__file__).parent / "configs"
MODEL_NAMES = ["teacher", "student_raw", "student_constrained", "student_set"]
EVALUATIONS = [f"evaluate-{m}" for m in MODEL_NAMES]
LABELS = ["pseudo-town", "pseudo-country"]
STUDENTS = ["student-raw", "student-constrained", "student-set"]
SCORES = ["score-town", "score-country"]
STAGES = ["teacher", *LABELS, *STUDENTS, *SCORES, *EVALUATIONS, "report"]
AFTER_LABELS = {*SCORES, *STUDENTS, *EVALUATIONS[1:], "report"}


def config(root: Path, iterations: int = 4) -> Config:
    """A teacher of a few hundred weights, two extra datasets, two sets to judge on."""

    def tax(taxonomy: str, folder: str, split: str) -> dict[str, Any]:
        return dict(
            type="TaxDataset",
            taxonomy=str(root / f"tax/{taxonomy}.tax"),
            source="demo",
            data_root=str(root / "data" / folder),
            split=split,
            serialize_data=False,  # which collects garbage every time
        )

    def extra(name: str) -> dict[str, Any]:
        truth = dict(taxonomy=str(root / "tax/demo.tax"), folder=str(root / f"data/{name}/truth/train"))
        return dict(dataset=tax(f"demo_{name}", name, "train"), truth=truth)

    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="WARNING",
            model=model_config(15),
            train_dataloader=dict(
                batch_size=2,
                sampler=dict(type="CompoundSampler"),
                dataset=dict(
                    type="CompoundDataset", source="demo", pipeline=LOAD, datasets=[tax("demo", "source", "train")]
                ),
            ),
            val_dataloader=dict(
                batch_size=2,
                sampler=dict(type="DefaultSampler", shuffle=False),
                dataset=dict(**tax("demo", "source", "val"), pipeline=LOAD),
            ),
            val_evaluator=dict(type="OntologyIoU", source="demo"),
            val_cfg=dict(type="ValLoop"),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2)),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1000)),
            unify=dict(
                extra=dict(town=extra("town"), country=extra("country")),
                views=dict(scales=(1.0,), flips=(False,)),
                students=("raw", "constrained", "set"),
                unsure=0.1,
                evaluate=dict(source_val=tax("demo", "source", "val"), zero_shot=tax("demo", "zero_shot", "val")),
            ),
        ),
    )


class Project:
    """A folder with taxonomies, scenes and, after `run`, results."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work"

    def run(self, cfg: Config | None = None, seed: int = 0) -> set[str]:
        """Run the method; returns the stages that were not reused."""
        said: list[str] = []
        self.results = unify.unify(cfg or config(self.root), self.work, seed, said.append)
        return set(STAGES) - {line.removesuffix(": reused") for line in said}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("unify"))
    shutil.copytree(shipped() / "demo", project.root / "tax")
    with pytest.MonkeyPatch.context() as patch:
        parts = zip(data.PARTS, (4, 2, 3, 3, 2, 1), strict=True)
        patch.setattr(data, "PARTS", [data.Part(**{**vars(p), "images": n}) for p, n in parts])
        data.make_data(project.root / "data", seed=0)
    assert project.run() == set(STAGES)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A finished run to change: paths are a part of configs, so it is the same folder, put back afterwards."""
    shutil.copytree(finished.root, tmp_path / "before")
    yield finished
    shutil.rmtree(finished.root)
    shutil.copytree(tmp_path / "before", finished.root)


# --- what is written ---------------------------------------------------------------------------------------


def test_results(finished: Project) -> None:
    results = json.loads((finished.work / "results.json").read_text())
    assert results.keys() == {*MODEL_NAMES, "pseudo_labels", "settings"}
    for model in MODEL_NAMES:
        assert results[model].keys() == {"source_val", "zero_shot"}
        for values in results[model].values():
            assert 0 <= values["miou"] <= 1
            assert values["miou"] == values["source/mIoU"]
    assert results["pseudo_labels"].keys() == {"raw", "constrained"}
    for kind in ("raw", "constrained"):
        assert {n: v["images"] for n, v in results["pseudo_labels"][kind].items()} == {
            "town": 3,
            "country": 3,
        }
    assert results["settings"]["seed"] == 0


def test_constraints_make_better_labels(finished: Project) -> None:
    scores = finished.results["pseudo_labels"]
    for name in ("town", "country"):
        assert scores["constrained"][name]["miou"] > scores["raw"][name]["miou"] + 0.1


def test_every_label_is_there_in_both_kinds(finished: Project) -> None:
    files = {str(f.relative_to(finished.work / "pseudo")) for f in (finished.work / "pseudo").rglob("*.png")}
    trees = {"town": "labels/train/town_{:04}.png", "country": "annotations/train/country_{:04}_color.png"}
    assert files == {
        f"{name}/{kind}/{tree.format(i)}"
        for name, tree in trees.items()
        for kind in ("raw", "constrained", "constrained/confidence")
        for i in range(3)
    }


def test_each_stage_leaves_a_config_that_can_be_run(finished: Project) -> None:
    for name in MODEL_NAMES:
        cfg = load_config(finished.work / name / f"{name}.py")
        assert cfg.work_dir == str(finished.work / name)
    student = load_config(finished.work / "student_constrained/student_constrained.py")
    labels = [None, *(str(finished.work / "pseudo" / n / "constrained") for n in ("town", "country"))]
    assert [d.get("labels") for d in student.train_dataloader.dataset.datasets] == labels
    assert "unsure" not in student.train_dataloader.dataset.datasets[1]
    assert student.model.decode_head.loss_decode.type == "CrossEntropyLoss"
    of_sets = load_config(finished.work / "student_set/student_set.py")
    assert [d.get("labels") for d in of_sets.train_dataloader.dataset.datasets] == labels
    assert {d.unsure for d in of_sets.train_dataloader.dataset.datasets} == {0.1}
    assert of_sets.model.decode_head.loss_decode.to_dict() == dict(type="SetNLLLoss", source="demo")


def test_only_the_labels_that_students_want(finished: Project) -> None:
    cfg = config(finished.root)
    cfg.unify.students = ("set",)
    loop = configs.pseudo_config(cfg, finished.work, 0, "town").test_cfg
    assert (loop.raw_dir, loop.confidence) == (None, True)
    cfg.unify.students = ("raw",)
    loop = configs.pseudo_config(cfg, finished.work, 0, "town").test_cfg
    assert (loop.raw_dir, loop.confidence) == (str(finished.work / "pseudo/town/raw"), False)


def test_one_student_by_itself(finished: Project) -> None:
    cfg = config(finished.root)
    cfg.work_dir = str(finished.work)
    for key in ("model", "train_dataloader"):
        stage = load_config(finished.work / "student_set/student_set.py")
        assert configs.one_student(cfg, "set")[key].to_dict() == stage[key].to_dict()
    with pytest.raises(ConfigError, match=r"no student `best`; .* raw, constrained, set"):
        configs.one_student(cfg, "best")
    cfg.unify.student_init = "teacher"
    with pytest.raises(ConfigError, match="load_from=CHECKPOINT"):
        configs.one_student(cfg, "set")


def test_students_whose_labels_are_made_anew(finished: Project) -> None:
    cfg = config(finished.root)
    cfg.unify.refresh = dict(every=2)
    hooks = {
        kind: [h for h in configs.student_config(cfg, finished.work, 0, kind).custom_hooks if "every" in h]
        for kind in ("raw", "constrained", "set")
    }
    assert hooks["raw"] == []
    assert hooks["set"] == hooks["constrained"]
    (hook,) = hooks["set"]
    assert hook == dict(type="TeacherRefreshHook", views=cfg.unify.views.to_dict(), every=2)


class Pictures(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if tag == "img" and k == "src"]


def test_the_report_shows_what_it_names(finished: Project) -> None:
    page = finished.work / "report/index.html"
    pictures = Pictures(page.read_text()).found
    assert len(pictures) >= 2 * 3 * 5
    assert all((page.parent / p).stat().st_size > 0 for p in pictures)
    text = report.table(finished.results)
    for value in (finished.results["teacher"]["zero_shot"]["miou"],):
        assert f"{value:.1%}" in text
        assert f"{value:.1%}" in page.read_text()
    assert re.search(r"student, constrained labels.*\([+-]\d+\.\d\)", text)


def test_the_report_shows_targets_of_datasets_with_settings_of_their_own(finished: Project, tmp_path: Path) -> None:
    def picture(**options: Any) -> bytes:
        cfg = config(finished.root)
        cfg.unify.extra.town.dataset.update(options)
        shown = unify.shown_datasets(cfg, finished.work)
        page = report.write(tmp_path, "demo", finished.results, shown)
        return (page.parent / "pictures/town_0_4.png").read_bytes()

    plain = picture()
    assert picture(loss_weight=0.5) == plain
    assert picture(threshold=1.0) != plain
    assert picture(threshold=None) != plain, "its labels are taken as they are"


def test_side_by_side_the_results_are_the_same(server: Server, finished: Project, tmp_path: Path) -> None:
    """The command in a process of its own; all that is known of the models but where their checkpoints lie."""
    cfg = config(finished.root)
    # Not `cfg.dump`, which sorts keys: in which order datasets come is a part of a training.
    (tmp_path / "config.py").write_text("".join(f"{key} = {value!r}\n" for key, value in cfg.to_dict().items()))
    command = ["unify", tmp_path / "config.py", "--jobs", "2", "--work-dir", tmp_path / "work"]
    code, said = server.run(tmp_path / "log.txt", *command)
    assert code == 0, said
    results = json.loads((tmp_path / "work/results.json").read_text())
    expected = json.loads((finished.work / "results.json").read_text())
    assert results["settings"].pop("config") == "config.py"
    expected["settings"].pop("config")
    assert results == expected
    assert "evaluating teacher on zero_shot" in said
    assert str(tmp_path / "work/report/index.html") in said
    for kind in ("raw", "constrained"):
        for file in (finished.work / f"pseudo/town/{kind}/labels").rglob("*.png"):
            again = tmp_path / "work" / file.relative_to(finished.work)
            assert again.read_bytes() == file.read_bytes()


def test_starting_over_removes_all_results(project: Project) -> None:
    unify.remove(project.work)
    assert [f for f in project.work.rglob("*") if f.is_file()] == []


def test_no_process_is_forked_from_one_that_uses_cuda(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unify.torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(ProcessError, match=r"has used CUDA, .* pass `jobs=1`"):
        unify.unify(config(project.root), project.work, jobs=2)


# --- what is done again ------------------------------------------------------------------------------------


def test_nothing_changed(project: Project) -> None:
    before = {f: f.stat().st_mtime_ns for f in project.work.rglob("*") if f.name != "results.json"}
    assert project.run() == set()
    assert {f: f.stat().st_mtime_ns for f in project.work.rglob("*") if f.name != "results.json"} == before


def test_folders_of_taxonomies_count_by_what_lies_there(project: Project) -> None:
    cfg = config(project.root)
    for _, part in cfg.items():
        search_in(part, [f"{project.root}/./tax"])
    assert "paths" in cfg.val_dataloader.dataset and "paths" in cfg.unify.extra.town.truth
    assert project.run(cfg) == set()


def test_a_changed_relation_of_an_extra_dataset(project: Project) -> None:
    tax = project.root / "tax/demo_town.tax"
    tax.write_text(
        tax.read_text().replace("> sidewalk ~ grass ", "> sidewalk ~ grass tree ").replace("> tree", "~ tree")
    )
    assert project.run() == {"pseudo-town", *AFTER_LABELS} - {"score-country"}


def test_a_changed_source_taxonomy(project: Project) -> None:
    tax = project.root / "tax/demo.tax"
    tax.write_text(tax.read_text().replace("v1\n", "v1\n\n# a new note\n", 1))
    assert project.run() == set()
    tax.write_text(tax.read_text().replace("#4682b4", "#4682b5"))
    assert project.run() == set(STAGES)


def test_a_truth_counts_by_what_its_taxonomy_says(project: Project) -> None:
    cfg, demo = config(project.root), lsu_onto.load(project.root / "tax/demo.tax", "demo")
    rows = [
        f"{value} {demo.classes[row]} = {demo.classes[row]}\n"
        for value, row in zip(demo.raw, demo.raw_row, strict=True)
        if row >= 0
    ]
    tax = project.root / "tax/truth.tax"
    tax.write_text(f"tax 1\ndataset truth v1 -> demo v1\nvoid: 255\n{''.join(rows)}")
    cfg.unify.extra.town.truth.taxonomy = str(tax)
    before = project.results["pseudo_labels"]
    assert project.run(cfg) == {"score-town", "report"}
    assert project.results["pseudo_labels"] == before
    tax.write_text(tax.read_text().replace("= road", "! any"))
    assert project.run(cfg) == {"score-town", "report"}
    assert project.results["pseudo_labels"]["raw"]["town"] != before["raw"]["town"]


def test_folders_to_search_count_by_what_is_found_there(project: Project) -> None:
    cfg = config(project.root)
    for folder in ("tax", "./tax"):
        search_in(cfg._cfg_dict, [str(project.root) + "/" + folder])
        assert cfg.unify.extra.town.dataset.paths
        assert project.run(cfg) == set()


def test_another_seed(project: Project) -> None:
    assert project.run(seed=1) == set(STAGES)
    assert project.results["settings"]["seed"] == 1


def test_a_longer_training(project: Project) -> None:
    assert project.run(config(project.root, iterations=5)) == set(STAGES)


def test_other_views(project: Project) -> None:
    cfg = config(project.root)
    cfg.unify.views.flips = (False, True)
    assert project.run(cfg) == {*LABELS, *AFTER_LABELS}


def test_another_set_to_judge_on(project: Project) -> None:
    cfg = config(project.root)
    cfg.unify.evaluate.pop("zero_shot")
    assert project.run(cfg) == {*EVALUATIONS, "report"}
    assert project.results["teacher"].keys() == {"source_val"}


def test_one_extra_dataset_less(project: Project) -> None:
    cfg = config(project.root)
    cfg.unify.extra.pop("country")
    assert project.run(cfg) == {*AFTER_LABELS, "pseudo-country"} - {"score-town"}  # nobody asked for those of country
    assert project.results["pseudo_labels"]["raw"].keys() == {"town"}


def test_lost_results_are_made_again(project: Project) -> None:
    shutil.rmtree(project.work / "student_raw")
    before = json.loads((project.work / "results.json").read_text())["student_raw"]
    assert project.run() == {"student-raw", "evaluate-student_raw", "report"}
    assert project.results["student_raw"] == before


def test_labels_go_on_where_they_were_stopped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the second image of six, each of which is written three times: constrained, confidence, and raw."""
    cfg = config(project.root)
    cfg.unify.views.flips = (True,)
    write, written = unify.write_atomic, []

    def stop_at_seventh(path: Path, *args: Any) -> None:
        if len(written) == 6:
            raise KeyboardInterrupt
        write(path, *args)
        if path.suffix == ".png":
            written.append(str(path))

    with monkeypatch.context() as patch:
        patch.setattr("lsu_seg.pseudo.output.write_atomic", stop_at_seventh)
        with pytest.raises(KeyboardInterrupt):
            project.run(cfg)
    kept = {Path(f): Path(f).stat().st_mtime_ns for f in written}
    assert len(kept) == 6
    assert project.run(cfg) == {*LABELS, *AFTER_LABELS}
    assert {f: f.stat().st_mtime_ns for f in kept} == kept


def test_a_training_goes_on_where_it_was_stopped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student that begins with the teacher's weights: it goes on from its own checkpoint, not from the teacher's."""
    cfg = config(project.root, iterations=5)
    cfg.unify.update(student_init="teacher", students=("set",))
    cfg.default_hooks.checkpoint.interval = 2
    taken = []

    def stop_at_fourth(self: Any, runner: Any, **_: Any) -> None:
        if Path(runner.work_dir).name == "student_set":
            taken.append(runner.iter)
            if len(taken) == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr("lsu_seg.training.progress.TrainProgressHook.after_train_iter", stop_at_fourth)
    with pytest.raises(KeyboardInterrupt):
        project.run(cfg)
    assert taken == [0, 1, 2, 3]
    assert "teacher" not in project.run(cfg)
    assert taken[4:] == [2, 3, 4]
    assert (project.work / "student_set/iter_5.pth").is_file()


# --- mistakes ----------------------------------------------------------------------------------------------


def test_names_with_their_scope_mean_the_same(finished: Project, tmp_path: Path) -> None:
    plain, cfg = config(finished.root), config(finished.root)
    cfg.train_dataloader.dataset.type = "lsu_seg.CompoundDataset"
    sets = [*cfg.train_dataloader.dataset.datasets, *cfg.unify.evaluate.values()]
    for dataset in [*sets, *(extra.dataset for extra in cfg.unify.extra.values())]:
        dataset.type = "lsu_seg.TaxDataset"
    a, b = (unify.Method(c, tmp_path, 0) for c in (plain, cfg))
    assert b._trained_on == a._trained_on
    assert b._judged_by[0] == a._judged_by[0]
    assert all(sha and files and images for sha, files, images in b._judged_by[0])
    both = dict(type="lsu_seg.CompoundDataset", datasets=list(cfg.unify.evaluate.values()))
    assert unify.inputs(both, None)[:-1] == b._judged_by[0]
    assert unify.inputs(both, None)[-1] == sum(images for *_, images in b._judged_by[0])
    checks.check(cfg)
    cfg.unify.extra.town.dataset.data_root = str(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"extra set `town`: .*nowhere"):
        checks.check(cfg)


def test_mistakes_come_to_light_before_any_training(finished: Project, tmp_path: Path) -> None:
    def refused(change: Any, error: type[Exception], message: str) -> None:
        cfg = config(finished.root)
        change(cfg)
        with pytest.raises(error, match=message):
            unify.unify(cfg, tmp_path / "work", say=print)
        assert not (tmp_path / "work").exists()

    refused(lambda c: c.pop("unify"), ConfigError, "no `unify` section")
    refused(lambda c: c.unify.pop("extra"), ConfigError, "no `extra`")
    refused(lambda c: c.unify.pop("evaluate"), ConfigError, "no `evaluate`")
    refused(
        lambda c: c.unify.update(students=("best",)),
        ConfigError,
        "expected some of raw, constrained, set",
    )
    for refresh, message in ((dict(every=0), "`every` .* is 0"), (dict(), "every"), (dict(often=1), "often")):
        refused(
            lambda c, r=refresh: c.unify.update(refresh=r),
            ConfigError,
            f"`unify.refresh`.*{message}",
        )
    refused(lambda c: c.unify.pop("unsure"), ConfigError, "neither `unify.unsure` nor `unify.threshold`")
    refused(lambda c: c.unify.update(unsure=6), ConfigError, "`unify.unsure` is 6; .* share, 0 to 1")
    refused(
        lambda c: c.unify.update(threshold=0.7),
        ConfigError,
        r"`unify.unsure` is 0\.1 and `unify.threshold` is 0\.7; .* one of the two",
    )
    refused(
        lambda c: c.model.decode_head.update(loss_decode=dict(type="DiceLoss")),
        ConfigError,
        "model.decode_head.loss_decode is .*DiceLoss.* cannot be trained on sets",
    )

    def weighted_masks(cfg: Config) -> None:
        cfg.unify.extra.town.dataset.loss_weight = 0.5
        cfg.model.decode_head = dict(type="Mask2FormerHead")

    refused(weighted_masks, ConfigError, "the `loss_weight` of .*demo_town.* has no effect on a model")
    one = config(finished.root).train_dataloader.dataset.datasets[0]
    refused(lambda c: c.train_dataloader.update(dataset=one), ConfigError, "must be a CompoundDataset")
    repeated = dict(type="RepeatDataset", dataset=one, times=2)
    union = dict(type="CompoundDataset", datasets=[repeated])
    refused(lambda c: c.train_dataloader.update(dataset=dict(repeated, dataset=union)), ConfigError, "without wrappers")
    refused(lambda c: c.train_dataloader.update(dataset=union), DatasetError, "a member .* is a RepeatDataset")
    refused(lambda c: c.train_dataloader.dataset.update(datasets=[]), ConfigError, "without `datasets`")
    refused(
        lambda c: c.unify.extra.town.update(dataset=repeated),
        ConfigError,
        "the dataset of extra set `town` is a RepeatDataset; expected `dict",
    )
    refused(
        lambda c: c.unify.evaluate.update(zero_shot=repeated), ConfigError, "evaluation set `zero_shot` is a RepeatDa"
    )
    for name in ("extra.town.dataset", "evaluate.zero_shot"):
        refused(
            lambda c, n=name: c.merge_from_dict({f"unify.{n}.data_root": "gone"}),
            ConfigError,
            "no such folder",
        )
        refused(
            lambda c, n=name: c.merge_from_dict({f"unify.{n}.taxonomy": "atlantis"}),
            ConfigError,
            "atlantis",
        )
    masks = finished.root / "masks.tax"
    masks.write_text("tax 1\ndataset masks v1 -> demo v1\nencoding: rle\nsegments: v1\n0 way = road\n")
    for change, message in (
        (
            {"taxonomy": str(masks)},
            "the truth of extra set `town`: .* are `encoding: rle`; expected a folder of",
        ),
        ({"taxonomy": "atlantis"}, "the truth of extra set `town`: .*atlantis"),
        ({"folder": "gone"}, "the truth of extra set `town`: gone: no such folder"),
    ):
        refused(lambda c, change=change: c.unify.extra.town.truth.update(change), ConfigError, message)
    refused(lambda c: c.unify.extra.town.truth.pop("folder"), ConfigError, "set `town` has no `folder`")


# --- shipped configs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [CONFIGS / "demo/demo.py", CONFIGS / "camvid/camvid.py"], ids=lambda f: f.stem)
def test_a_shipped_config_loads_and_its_model_fits_its_source(file: Path) -> None:
    cfg = load_config(file)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    source = lsu_onto.load(cfg.train_dataloader.dataset.source)
    assert model.decode_head.num_classes == source.num_classes
    for dataset in (*cfg.train_dataloader.dataset.datasets, *(e.dataset for e in cfg.unify.extra.values())):
        constraint = lsu_onto.load(dataset.taxonomy, dataset.get("source"))
        assert constraint.source_classes == source.source_classes
        assert dataset.split in constraint.layout.splits
