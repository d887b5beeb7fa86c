"""The whole method from one config: teacher → pseudo-labels → students → evaluation.

The config is an ordinary MMSeg config of the teacher with one more section:

    unify = dict(
        extra=dict(town=dict(dataset=dict(type='TaxDataset', taxonomy='demo_town', …),   # to pseudo-label
                             truth=dict(taxonomy='demo', folder='…'))),                  # only to score labels
        views=dict(scales=(1.0, 1.5), flips=(False, True)),
        students=('raw', 'constrained', 'set'),   # by default without 'set', see `students.py`
        unsure=0.25,                              # of 'set': the share of each class's labels that are sets instead
        student_init='teacher',   # optional: students start from the teacher's weights
        average_with_teacher=0.5,  # optional: judges the mean of both weights, too; the teacher's share of it
        refresh=dict(every=5),    # optional: their average labels anew, see `TeacherRefreshHook`; not for 'raw'
        evaluate=dict(source_val=dict(type='TaxDataset', …), zero_shot=dict(…)),
    )

The work is a list of stages (`stages.py`). Those that use a model have a config derived from this one (`configs.py`),
saved beside the stage's results as a file that `tools/*.py` can run. A stage whose config and inputs have not changed
is reused; stages that do not wait for each other may run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import lsu_onto
from lsu_onto import write_atomic
from lsu_seg.evaluation.counts import confusion, iou_summary
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.files import as_json, write_figures
from lsu_seg.evaluation.metrics import VIEWS
from lsu_seg.evaluation.run import measure
from lsu_seg.label_files import void_index
from lsu_seg.label_files.annotation import Annotation, channel_constraint
from lsu_seg.models.hf_models import weight_files
from lsu_seg.models.hub import pin
from lsu_seg.models.weights import weights_path
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.rehearsal import rehearse
from lsu_seg.pseudo.corrections import corrections_state, has_corrections
from lsu_seg.pseudo.inputs import modules_sha256
from lsu_seg.pseudo.output import file_sha256, is_labelled
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.run import compile_decoder, pseudo_label
from lsu_seg.runtime.home import at_home
from lsu_seg.runtime.processes import ProcessError, Processes
from lsu_seg.runtime.progress import track
from lsu_seg.teachers.calibration import calibration_file, calibration_of
from lsu_seg.training.average import average_checkpoints
from lsu_seg.training.run import train
from lsu_seg.unify import report
from lsu_seg.unify.checks import check_config, check_files, dataset_of
from lsu_seg.unify.configs import by_content, pseudo_config, student_config, teacher_config, text
from lsu_seg.unify.pictures import Shown
from lsu_seg.unify.stages import Done, Stage, clear, is_finished, run_stages
from lsu_seg.unify.students import STUDENTS, label_kinds, labels_of, models, students, take_doubt


def unify(
    cfg: Config,
    work: Path,
    seed: int = 0,
    say: Callable[[str], None] = print,
    jobs: int = 1,
    prepare: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Run the whole method and write its report; returns what `results.json` holds.

    Args:
        cfg: a config with a `unify` section.
        work: folder of all results.
        seed: of every training.
        say: gets a line per stage that is reused or replaced.
        jobs: so many stages at a time, where they do not wait for each other. With more than one, this process must
            not have computed with torch before, because forked processes lack torch's threads and cannot use CUDA.
        prepare: is called once the config is known to be right, before the datasets' folders are looked at.

    Raises:
        ConfigError: the config cannot be run. ProcessError: several jobs, and this process has used CUDA.
        LockedError: another run is using the work folder.
    """
    if jobs > 1 and torch.cuda.is_initialized():
        raise ProcessError("this process has used CUDA, so processes forked from it cannot; pass `jobs=1`")
    check_config(cfg)
    pin(cfg.model)
    _rehearse(cfg, work, seed, jobs)
    prepare()
    check_files(cfg)
    method = Method(cfg, work, seed)
    stages = method.stages()
    if jobs > 1 and not torch.cuda.device_count():
        stages.insert(1, _decoder())  # beside the teacher
    done = run_stages(stages, work, say, jobs, failed=partial(method.unfinished_report, stages))
    results = method.results(done)
    write_atomic(work / "results.json", as_json(results).encode())
    return results


def _rehearse(cfg: Config, work: Path, seed: int, jobs: int) -> None:
    """Build what is trained: the last student may have other losses than the teacher, and learns hours later."""
    configs = [teacher_config(cfg, work, seed)]
    if "set" in students(cfg):
        configs.append(student_config(cfg, work, seed, "set", work))

    def build() -> None:
        for config in configs:
            rehearse(config)

    if jobs == 1:
        build()
        return
    with Processes() as processes:  # torch starts its threads, which are not forked
        processes.start("rehearsal", build)
        ended = processes.wait()
    if ended.error:
        raise ended.error


def remove(work: Path) -> None:
    """Remove what `unify` left in a work folder, and nothing else."""
    students = [work / f"student_{kind}{mean}" for kind in STUDENTS for mean in ("", "_averaged")]
    folders = [work / "teacher", *students, work / "report"]
    clear(work, [*folders, *work.glob("pseudo/*"), *work.glob("evaluation/*")], [work / "results.json"])


# --- stages ------------------------------------------------------------------------------------------------


def inputs(config: Any, source: str | None) -> list[Any]:
    """What a dataset's stages depend on: its ontology and files, or its parts'; and how many images it has."""
    if is_type(config, "CompoundDataset", "ConcatDataset"):
        parts = [inputs(part, config.get("source", source)) for part in config.get("datasets", ())]
        return [*parts, sum(part[-1] for part in parts)]
    if not is_type(config, "TaxDataset"):
        return ["", "", 0]
    dataset = dataset_of({"source": source, **config})
    return [dataset.constraint.content_sha256(), dataset.fingerprint(), len(dataset)]


def weights(config: Any, name: str = "") -> list[Any]:
    """The files that a config's models begin with, wherever it names one, with their content."""
    if isinstance(config, Mapping):
        return [found for key, value in config.items() for found in weights(value, key)]
    if isinstance(config, (list, tuple)):
        return [found for value in config for found in weights(value, name)]
    if name not in ("load_from", "checkpoint", "pretrained") or not isinstance(config, str):
        return []
    path = at_home(config)
    return [[config, [file_sha256(f) for f in weight_files(path) if f.is_file()]]] if path.exists() else []


@dataclass
class Method:
    """The stages of one config."""

    cfg: Config
    work: Path
    seed: int

    def stages(self) -> list[Stage]:
        """Each after what it uses, and the long ones first."""
        extra = self.cfg.unify.extra
        labels = [self.labels(name) for name in extra]
        trained = [self.student(kind) for kind in students(self.cfg)]
        scores = [self.scores(name) for name in extra if "truth" in extra[name]]
        own = models(self.cfg)
        means = [self.mean(kind) for model, kind in own.items() if model.endswith("_averaged")]
        figures = [self.figures(model, kind) for model, kind in own.items()]
        shown = [*labels, *scores, *figures]
        return [self.teacher(), *labels, *trained, *scores, *means, *figures, self.report(shown)]

    def results(self, done: Mapping[str, Done]) -> dict[str, Any]:
        """What the stages that are done have measured."""
        scored = [name for name in self.cfg.unify.extra if f"score-{name}" in done]
        labels = {kind: {n: done[f"score-{n}"].result[kind] for n in scored} for kind in label_kinds(self.cfg)}
        config = Path(str(self.cfg.filename)).name
        settings: dict[str, Any] = {"seed": self.seed, "version": lsu_onto.__version__, "config": config}
        corrected = {name: len(self._corrections(name)) for name in self.cfg.unify.extra}
        if any(corrected.values()):
            settings["corrected_labels"] = ", ".join(f"{name} {count}" for name, count in corrected.items() if count)
        judged = [model for model in models(self.cfg) if f"evaluate-{model}" in done]
        figures = {model: done[f"evaluate-{model}"].result for model in judged}
        return {**figures, "pseudo_labels": labels, "settings": settings}

    def teacher(self) -> Stage:
        own = teacher_config(self.cfg, self.work, self.seed)
        return Stage(
            "teacher",
            self.work / "teacher",
            key=lambda _: [*self._trained_on, text(own)],
            action=lambda _: str(train(own, quiet=True, resume=True)),
            complete=_is_file,
            resumes=True,
        )

    def labels(self, name: str) -> Stage:
        """Pseudo-labels of an extra dataset."""
        own = pseudo_config(self.cfg, self.work, self.seed, name)
        dataset = inputs(self.cfg.unify.extra[name].dataset, self._source)
        folders = [Path(labels_of(kind, self.work, name)) for kind in label_kinds(self.cfg)]
        return Stage(
            f"pseudo-{name}",
            self.work / "pseudo" / name,
            inputs=("teacher",),
            key=lambda done: [*self._taught(done), dataset, text(own), *self._temperature(own, done)],
            action=lambda done: pseudo_label(own, done["teacher"].result, quiet=True),
            complete=lambda _: (
                all(is_labelled(f) and len(finished(f)) == dataset[-1] for f in folders)
                and has_corrections(Path(labels_of("constrained", self.work, name)))
            ),
            resumes=True,
        )

    def scores(self, name: str) -> Stage:
        """How good pseudo-labels are, where a fine truth is at hand that no training sees."""
        extra, labels = self.cfg.unify.extra[name], f"pseudo-{name}"
        truth = by_content(extra.truth, dataset_of(extra.dataset, lazy_init=True).constraint.source)
        return Stage(
            f"score-{name}",
            self.work / "evaluation" / f"pseudo_{name}",
            inputs=(labels,),
            key=lambda done: [self._labelled(done, name), truth, _stamp(Path(extra.truth.folder))],
            action=lambda _: score_labels(self.cfg, self.work, name),
        )

    def student(self, kind: str) -> Stage:
        extra = self.cfg.unify.extra
        labels = tuple(f"pseudo-{name}" for name in extra)
        return Stage(
            f"student-{kind}",
            self.work / f"student_{kind}",
            inputs=("teacher", *labels),
            key=lambda done: [
                *self._taught(done),
                [done[n].key for n in labels] if kind == "raw" else [self._labelled(done, n) for n in extra],
                text(self._config(kind, done)),
            ],
            action=lambda done: str(train(self._config(kind, done), quiet=True, resume=True)),
            complete=_is_file,
            resumes=True,
        )

    def mean(self, kind: str) -> Stage:
        """The mean of the weights of a student and its teacher."""
        student, share = f"student-{kind}", self.cfg.unify.average_with_teacher
        folder = self.work / f"student_{kind}_averaged"

        def action(done: Mapping[str, Done]) -> str:
            path = folder / "averaged.pth"
            average_checkpoints(done["teacher"].result, done[student].result, path, share)
            return str(path)

        return Stage(
            f"{student}-averaged",
            folder,
            inputs=("teacher", student),
            key=lambda done: [share, *(file_sha256(done[name].result) for name in ("teacher", student))],
            action=action,
            complete=_is_file,
        )

    def figures(self, model: str, kind: str) -> Stage:
        """A model judged on all evaluation sets. kind: of its config."""
        folder, stage = self.work / "evaluation" / model, model.replace("_", "-")

        def action(done: Mapping[str, Done]) -> dict[str, Any]:
            own = self._config(kind, done)
            own.work_dir = str(folder)
            return evaluate(own, Path(done[stage].result), f"evaluating {model}", folder)

        return Stage(
            f"evaluate-{model}",
            folder,
            inputs=tuple(dict.fromkeys(("teacher", stage))),
            # The training's config decides nothing here, so a changed schedule without new weights costs no evaluation.
            key=lambda done: [
                *(lsu_onto.__version__, file_sha256(done[stage].result)),
                *self._judged_by,
                *_temperature(calibration_file(done[stage].result)),
            ],
            action=action,
            complete=lambda result: isinstance(result, dict) and (folder / "evaluation.json").is_file(),
        )

    def report(self, shown: list[Stage]) -> Stage:
        settings = [lsu_onto.__version__, self._title, by_content(self.cfg.unify, self._source), self.seed]

        def corrected() -> list[Any]:
            states = [self._corrections(name) for name in self.cfg.unify.extra]
            return [states] if any(states) else []

        return Stage(
            "report",
            self.work / "report",
            inputs=tuple(stage.name for stage in shown),
            key=lambda done: [*settings, [done[s.name].key for s in shown], *corrected()],
            action=lambda done: self._write_report(done, list(self._trainings)),
            complete=_is_file,
        )

    def _labelled(self, done: Mapping[str, Done], name: str) -> Any:
        """What the labels of an extra dataset depend on: those of their stage, and what people corrected since."""
        key, corrections = done[f"pseudo-{name}"].key, self._corrections(name)
        return [key, corrections] if corrections else key

    def _corrections(self, name: str) -> list[str]:
        return corrections_state(Path(labels_of("constrained", self.work, name)))

    def unfinished_report(self, stages: list[Stage], done: Mapping[str, Done], failed: str, error: Exception) -> Stage:
        """The report of a run that has failed: an earlier one would be of other models than those in the folder."""
        missing = [s.name for s in stages if s.name not in {*done, failed, "report"} and s.folder is not None]
        lines = [f"{failed} failed: {error}"]
        if missing:
            lines.append(f"Not done: {', '.join(missing)}. What is done is shown; the same command goes on from there.")
        # Not the log of an earlier run, where this one has failed before the training began.
        began = [failed] if not any(s.name == failed and s.folder and is_finished(s.folder) for s in stages) else []
        trained = [model for model, stage in self._trainings.items() if stage in [*done, *began]]
        return Stage(
            "report",
            self.work / "report",
            key=lambda done: [lines, {name: d.key for name, d in done.items()}],
            action=lambda done: self._write_report(done, trained, lines),
        )

    def _write_report(self, done: Mapping[str, Done], trained: list[str], unfinished: Sequence[str] = ()) -> str:
        shown = shown_datasets(self.cfg, self.work, [name for name in self.cfg.unify.extra if f"pseudo-{name}" in done])
        folder = self.work / "report"
        return str(report.write(folder, self._title, self.results(done), shown, self.work, trained, unfinished))

    @property
    def _trainings(self) -> dict[str, str]:
        """The models that are trained, and their stages."""
        return {"teacher": "teacher"} | {f"student_{kind}": f"student-{kind}" for kind in students(self.cfg)}

    @property
    def _title(self) -> str:
        return Path(str(self.cfg.filename)).stem

    def _config(self, model: str, done: Mapping[str, Done]) -> Config:
        if model == "teacher":
            return teacher_config(self.cfg, self.work, self.seed)
        return student_config(self.cfg, self.work, self.seed, model, Path(done["teacher"].result))

    @property
    def _source(self) -> str | None:
        source: str | None = self.cfg.train_dataloader.dataset.get("source")
        return source

    @cached_property
    def _trained_on(self) -> list[Any]:
        datasets = self.cfg.train_dataloader.dataset.datasets
        files = [weights(self.cfg.to_dict()), modules_sha256(self.cfg)]
        return [lsu_onto.__version__, [inputs(d, self._source) for d in datasets], *files]

    def _taught(self, done: Mapping[str, Done]) -> list[Any]:
        return [*self._trained_on, file_sha256(done["teacher"].result)]

    def _temperature(self, own: Config, done: Mapping[str, Done]) -> list[str]:
        weights = weights_path(own.model, done["teacher"].result)
        return _temperature(calibration_file(weights, own.test_cfg.get("calibration")))

    @cached_property
    def _judged_by(self) -> list[Any]:
        sets = self.cfg.unify.evaluate
        settings = [by_content(self.cfg[k], self._source) for k in ("model", *_JUDGES) if k in self.cfg]
        return [[inputs(d, self._source) for d in sets.values()], settings, by_content(sets, self._source), VIEWS]


_JUDGES = ("data_preprocessor", "val_dataloader", "val_evaluator", "test_dataloader", "test_evaluator")


def _decoder() -> Stage:
    """The first time that takes ten seconds, which labelling then saves."""
    return Stage("decoder", None, key=lambda _: None, action=lambda _: compile_decoder())


def _temperature(file: Path | None) -> list[str]:
    """A hash of the file with the temperature of a model, if there is one."""
    return [file_sha256(file)] if file and file.is_file() else []


def _stamp(folder: Path) -> list[Any]:
    return sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())


def _is_file(path: Any) -> bool:
    """path: of a record, which may be damaged."""
    return isinstance(path, str) and Path(path).is_file()


# --- actions -----------------------------------------------------------------------------------------------


def evaluate(cfg: Config, checkpoint: Path, title: str, folder: Path) -> dict[str, Any]:
    """Judge a model on all evaluation sets: the folder is one of `lsu-seg evaluate`, which `compare` reads."""
    sha256 = file_sha256(checkpoint)
    calibration = calibration_of(calibration_file(checkpoint), sha256)
    temperature = None if calibration is None else calibration.temperature
    measured = measure(cfg, checkpoint, quiet=True, title=title, temperature=temperature)
    model = {"config": Path(str(cfg.filename)).name, "checkpoint": str(checkpoint), "sha256": sha256}
    judged = document(measured) | {"model": model | {"precision": "fp32", "compile": False}}
    write_figures(folder, judged, measured)
    sets = judged["sets"]
    out = {}
    for name, m in measured.items():
        figures = m.figures()
        source = sets[name]["views"]["source"]
        interval = [float(x) for x in source["interval"]]
        groups = [
            {"name": g["name"], "iou": float(g["iou"]), "interval": [float(x) for x in g["interval"]]}
            for g in source.get("groups", [])
            if g["truth"]
        ]
        out[name] = {"miou": figures["source/mIoU"], "interval": interval, "groups": groups, **figures}
    return out


def score_labels(cfg: Config, work: Path, name: str) -> dict[str, Any]:
    """mIoU of the pseudo-labels of an extra dataset, by their kinds."""
    extra, kinds = cfg.unify.extra[name], label_kinds(cfg)
    dataset = dataset_of(extra.dataset)
    c = dataset.constraint
    truth = Annotation(lsu_onto.load(extra.truth.taxonomy, c.source, extra.truth.get("paths", ())))
    labels = Annotation(channel_constraint(c))
    k, void = c.num_classes, void_index(c.num_classes)
    matrices = {kind: torch.zeros(k + 1, k + 1, dtype=torch.int64) for kind in kinds}
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    for info in track(infos, f"scoring labels of {name}", len(infos)):
        true = _tensor(truth, Path(extra.truth.folder) / f"{Path(info['img_path']).stem}.png")
        for kind in kinds:
            found = _tensor(labels, Path(labels_of(kind, work, name)) / f"{info['key']}.png")
            matrices[kind] += confusion(found, true, k, ignore=void)
    return {kind: {"miou": iou_summary(matrices[kind])["miou"], "images": len(infos)} for kind in kinds}


def _tensor(annotation: Annotation, path: Path) -> torch.Tensor:
    return torch.from_numpy(annotation.load(str(path))[0].astype("int64"))


def shown_datasets(cfg: Config, work: Path, names: Iterable[str] | None = None) -> list[Shown]:
    """The extra datasets with what the report shows of them. names: of those that are labelled; by default all."""
    out = []
    for name in cfg.unify.extra if names is None else names:
        extra = cfg.unify.extra[name]
        dataset = dataset_of(extra.dataset)
        folders = {kind: Path(labels_of(kind, work, name)) for kind in label_kinds(cfg)}
        learned = None
        if "set" in students(cfg):
            options = {**extra.dataset, "labels": labels_of("set", work, name)}
            take_doubt(options, cfg)
            learned = dataset_of(options)
        out.append(Shown(name, dataset, folders, learned))
    return out


def import_all() -> None:
    """Import what stages import late, so that processes forked from this one need not."""
    import matplotlib.pyplot  # noqa: F401
    import mmseg.models  # noqa: F401
    import torch._dynamo  # noqa: F401 - optimizers do
