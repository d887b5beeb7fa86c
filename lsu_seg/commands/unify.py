"""`lsu-seg unify`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lsu_onto.program import Command, search_path
from lsu_seg.commands.arguments import CONFIG, JOBS, KEPT, ROOT, WORK, load, set_option


@click.command(cls=Command, interrupted=KEPT)
@CONFIG
@WORK
@ROOT
@click.option("--seed", default=0, type=click.IntRange(0, 2**31 - 1), show_default=True, help="Seed of every training.")
@click.option("--fresh", is_flag=True, help="Start over: remove what an earlier run left in the work folder.")
@JOBS
@search_path
@set_option("-o")
def unify(
    config: str,
    work_dir: str | None,
    data_root: str | None,
    seed: int,
    fresh: bool,
    jobs: int | None,
    search: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """Run the whole method: teacher, pseudo-labels, students, evaluation, report.

    CONFIG is an MMSeg config of the teacher with a `unify` section. Stages whose config and inputs have not
    changed are reused; what a change replaces is kept once, in WORK_DIR/before. Writes WORK_DIR/results.json and
    WORK_DIR/report/index.html.

    \b
    Example:
      lsu-seg relabel camvid_coarse --source camvid11 --data-root ../camvid --split train -o work/camvid_coarse
      lsu-seg unify lsu_seg/configs/camvid/camvid.py --data-root ../camvid
    """
    start = time.monotonic()
    run_unify(load(config, data_root, work_dir, options, search), seed, fresh, jobs, start)


def run_unify(
    cfg: Any, seed: int, fresh: bool, jobs: int | None, start: float, make_data: Callable[[], None] = lambda: None
) -> None:
    """Run the method and show what came out. start: of the command, by `time.monotonic`."""
    from lsu_seg.runtime import processes
    from lsu_seg.unify import report, unify

    work = Path(cfg.work_dir)

    def prepare() -> None:
        if fresh:
            unify.remove(work)
        make_data()

    if jobs is None:
        jobs = processes.default_jobs()
    if jobs > 1:
        unify.import_all()
    results = unify.unify(cfg, work, seed, click.echo, jobs, prepare)
    click.echo()
    click.echo(report.table(results))
    click.echo(f"\n{work / 'results.json'}\n{work / 'report/index.html'}\n{time.monotonic() - start:.0f} s")
