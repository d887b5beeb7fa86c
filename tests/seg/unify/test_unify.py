"""The whole method on a handful of drawn scenes: what is written, and what a second run does again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

import lsu_onto
from helpers.forkserver import Server
from helpers.unify import config, make_world
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.compare import compare
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.config import load_config, search_in
from lsu_seg.pseudo.corrections import Corrections, Line, corrections_of
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.records import checksum, read_records
from lsu_seg.runtime.processes import ProcessError
from lsu_seg.teachers.calibration import beside
from lsu_seg.unify import configs, report, students, unify
from lsu_seg.unify.checks import check_config
from lsu_seg.unify.stages import Done, Stage, run_stages
from lsu_seg.unify.stages import _digest as digest

MODEL_NAMES = ["teacher", "student_raw", "student_constrained", "student_set"]
EVALUATIONS = [f"evaluate-{m}" for m in MODEL_NAMES]
LABELS = ["pseudo-town", "pseudo-country"]
STUDENTS = ["student-raw", "student-constrained", "student-set"]
SCORES = ["score-town", "score-country"]
STAGES = ["teacher", *LABELS, *STUDENTS, *SCORES, *EVALUATIONS, "report"]
AFTER_LABELS = {*SCORES, *STUDENTS, *EVALUATIONS[1:], "report"}


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
    make_world(project.root)
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


def test_each_model_has_its_own_figures(finished: Project) -> None:
    for folder in [f"{kind}{model}" for kind in ("", "evaluation/") for model in MODEL_NAMES]:
        assert len(list((finished.work / folder).glob("*/vis_data/scalars.json"))) == 1, folder


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
    groups = finished.results["teacher"]["zero_shot"]["groups"]
    assert {g["name"] for g in groups} <= set(lsu_onto.load("demo").groups) and len(groups) > 2
    low, high = groups[0]["interval"]
    shown = f"{groups[0]['iou']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"
    assert f"zero_shot: {groups[0]['name']}" in text and shown in text and shown in page.read_text()


def test_the_report_shows_targets_of_datasets_with_settings_of_their_own(finished: Project, tmp_path: Path) -> None:
    def picture(**options: Any) -> bytes:
        cfg = config(finished.root)
        cfg.unify.extra.town.dataset.update(options)
        shown = unify.shown_datasets(cfg, finished.work)
        page = report.write(tmp_path, "demo", finished.results, shown, tmp_path, ["teacher"])
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


def test_a_stage_that_fails_leaves_a_report_of_the_others(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(cfg: Config, **options: Any) -> Path:
        raise ConfigError("<b>no space</b>")

    monkeypatch.setattr(unify, "train", train)
    cfg = config(project.root)
    cfg.unify.unsure = 0.2
    with pytest.raises(ConfigError, match="no space"):
        project.run(cfg)
    page = (project.work / "report/index.html").read_text()
    assert "student-set failed: &lt;b&gt;no space&lt;/b&gt;" in page
    assert "Not done: score-town, score-country, evaluate-teacher, " in page and "Nothing was evaluated" in page
    assert "student, set-valued labels: no log" in page and 'class="line student_set"' not in page
    assert 'class="line teacher"' in page and 'class="line student_raw"' in page
    assert len(Pictures(page).found) >= 2 * 3 * 4
    monkeypatch.undo()
    assert project.run(cfg) == {"student-set", "evaluate-student_set", "report"}
    assert "not finished" not in (project.work / "report/index.html").read_text()


def test_the_evaluations_can_be_compared(finished: Project) -> None:
    teacher, student = (finished.work / f"evaluation/{model}/evaluation.json" for model in MODEL_NAMES[:2])
    found = compare(teacher, student)["sets"]["zero_shot"]["views"]["source"]
    assert found["a"] == finished.results["teacher"]["zero_shot"]["miou"]
    assert found["b"] == finished.results["student_raw"]["zero_shot"]["miou"]


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


def test_a_calibrated_teacher_labels_anew_and_is_judged_again(finished: Project) -> None:
    stages = {stage.name: stage for stage in unify.Method(config(finished.root), finished.work, 0).stages()}
    weights = json.loads((finished.work / "teacher/stage.json").read_text())["result"]
    names, done = [*LABELS, "evaluate-teacher"], {"teacher": Done("", weights)}
    before = {digest(stages[name].key(done)) for name in names}
    beside(weights).write_text("{}")
    after = {digest(stages[name].key(done)) for name in names}
    beside(weights).unlink()
    assert (len(before), len(after), before & after) == (3, 3, set())


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


def test_corrected_labels_have_students_trained_anew_that_learn_from_them(project: Project) -> None:
    stages = {stage.name: stage for stage in unify.Method(config(project.root), project.work, 0).stages()}
    records = {name: json.loads((stage.folder / "stage.json").read_text()) for name, stage in stages.items()}
    done = {name: Done(record["key"], record["result"]) for name, record in records.items()}

    def changed() -> set[str]:
        return {name for name, stage in stages.items() if digest(stage.key(done)) != records[name]["key"]}

    labels = project.work / "pseudo/town/constrained"
    key = next(read_records(labels))["key"]
    corrections = Corrections(corrections_of(labels), "demo v1", ["any"])
    assert corrections.root == project.work / "corrections/town"
    assert stages["pseudo-town"].complete(None)
    for count in (0, 4):  # looked at and right, then corrected
        assert changed() == set()
        pixels = corrections.encode(np.full((2, 2), count > 0), np.zeros((2, 2), int))
        corrections.keep(Line(key, checksum(pixels), count, "", "", "", "", "", "cvat"), pixels)
    assert changed() == {"score-town", "student-constrained", "student-set", "report"}
    assert not stages["pseudo-town"].complete(None)  # until the label has them
    results = unify.Method(config(project.root), project.work, 0).results(done)
    assert results["settings"]["corrected_labels"] == "town 1"


def test_labels_that_do_not_say_what_they_depend_on_are_not_reused(project: Project) -> None:
    manifest = next(project.work.glob("pseudo/town/*/manifest.json"))
    manifest.write_bytes(manifest.read_bytes()[:40])
    with pytest.raises(OutputError, match=rf"{manifest}: not a manifest; remove the folder"):
        project.run()


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


# --- the mean of both weights --------------------------------------------------------------------------------


def test_the_mean_of_a_student_and_its_teacher_is_judged_too(project: Project) -> None:
    """The two stages of it, given both weights; what the student began with makes no difference to them."""
    cfg = config(project.root)
    cfg.unify.update(student_init="teacher", students=("set",))
    assert set(students.models(cfg)) == {"teacher", "student_set"}
    files = {
        "teacher": project.work / "teacher/iter_4.pth",
        "student-set": project.work / "student_set/iter_4.pth",
    }
    given = [Stage(name, None, lambda _: 0, lambda _, file=file: str(file)) for name, file in files.items()]
    names = ["student-set-averaged", "evaluate-student_set_averaged"]

    def run(share: float) -> tuple[dict[str, Done], list[str]]:
        cfg.unify.average_with_teacher = share
        check_config(cfg)
        said: list[str] = []
        stages = [s for s in unify.Method(cfg, project.work, 0).stages() if s.name in names]
        return run_stages([*given, *stages], project.work, said.append), said

    done, said = run(0.25)
    assert said == []
    teacher, student, mean = (
        load_checkpoint(f)["state_dict"] for f in (*files.values(), done["student-set-averaged"].result)
    )
    for name, value in mean.items():
        if value.is_floating_point():
            assert torch.equal(value, 0.25 * teacher[name] + 0.75 * student[name]), name
    figures = done["evaluate-student_set_averaged"].result
    assert figures["zero_shot"]["miou"] != project.results["student_set"]["zero_shot"]["miou"]
    _, rows = report.rows({**project.results, "student_set_averaged": figures})
    assert rows[-1][0] == "student, set-valued labels, averaged with the teacher"
    assert rows[-1][2].startswith(f"{figures['zero_shot']['miou']:.1%} (")

    assert run(0.25)[1] == [f"{name}: reused" for name in names]
    assert [line.split(":")[0] for line in run(0.5)[1]] == names
    unify.remove(project.work)
    assert [f for f in project.work.rglob("*") if f.is_file()] == []
