"""`lsu-seg unify`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from lsu_onto.program import Command
from lsu_seg.commands.arguments import CONFIG, KEPT, ROOT, WORK, load, set_option


@click.command(cls=Command, interrupted=KEPT)
@CONFIG
@WORK
@ROOT
@click.option("--seed", default=0, show_default=True, help="Of every training.")
@click.option("--fresh", is_flag=True, help="Start over: remove what an earlier run left in the work folder.")
@set_option("-o")
def unify(
    config: str, work_dir: str | None, data_root: str | None, seed: int, fresh: bool, options: dict[str, Any]
) -> None:
    """Run the whole method: teacher, pseudo-labels, students, evaluation, report.

    CONFIG is an MMSeg config of the teacher with a `unify` section. Stages whose config and inputs have not
    changed are reused; what a change replaces is kept once, as FOLDER.before. Writes WORK_DIR/results.json and
    WORK_DIR/report/index.html.

    \b
    Example:
      lsu-seg relabel camvid_coarse --source camvid11 --data-root ../camvid --split train -o work/camvid_coarse
      lsu-seg unify lsu_seg/configs/camvid/camvid.py --data-root ../camvid
    """
    run_unify(load(config, data_root, work_dir, options), seed, fresh)


def run_unify(cfg: Any, seed: int, fresh: bool) -> None:
    from lsu_seg.unify import report, unify

    start = time.monotonic()
    work = Path(cfg.work_dir)
    if fresh:
        unify.clear(work)
    results = unify.unify(cfg, work, seed, click.echo)
    page = report.write(cfg, work, results)
    click.echo()
    click.echo(report.table(results))
    click.echo(f"\n{work / 'results.json'}\n{page}\n{time.monotonic() - start:.0f} s")
