"""`lsu-seg audit`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.program import Command, FolderPath, NumberRange, put_data, search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import Output, ask_options, say_written, set_option

if TYPE_CHECKING:
    from lsu_seg.audit.findings import Report
    from lsu_seg.audit.verdicts import Settings
    from lsu_seg.pseudo.audited import Audited


@click.command(
    cls=Command, refused=2, interrupted="what the teacher was asked is kept, and the same command goes on after it"
)
@taxonomy_argument("target", metavar="OUT_DIR | NAME")
@click.option(
    "--taxonomy", metavar="FILE", help="Hold the labels of OUT_DIR against this map.  [default: the one they name]"
)
@source_option()
@click.option("--data-root", type=FolderPath(exists=True), help="Folder of the dataset, of which --html has pictures.")
@ask_options
@click.option(
    "--false-alarms",
    type=NumberRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Contradictions that a correct map may have, on average.",
)
@click.option(
    "--notes",
    type=NumberRange(0, min_open=True),
    default=0.6,
    show_default=True,
    help="Notes that a correct map may have, on average.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="How the report is printed.",
)
@click.option("--html", type=Output(".html", dir_okay=False), help="Also write an HTML page with pictures.")
@click.option(
    "--propose",
    type=Output(".patch", ".diff", dir_okay=False, allow_dash=True),
    metavar="FILE.patch | -",
    help="Also write a diff of the map there; `-` prints it, and the report to standard error.",
)
@search_path
@set_option()
def audit(
    target: str,
    taxonomy: str | None,
    source: str | None,
    data_root: str | None,
    false_alarms: float,
    notes: float,
    format_: str,
    html: str | None,
    propose: str | None,
    search: tuple[str, ...],
    **asking: Any,
) -> None:
    """Find wrong relations of a map: where the teacher keeps seeing what the map forbids.

    \b
    Of labels, finished or still being written; nothing is computed again:
      lsu-seg audit OUT_DIR

    \b
    Of a dataset that is not labelled yet; a teacher is asked about a few hundred images:
      lsu-seg audit NAME --teacher … --data-root DIR

    Exit code 0: no contradiction (notes do not count), 1: contradictions, 2: could
    not run.

    \b
    Examples:
      lsu-seg audit out/idd
      lsu-seg audit out/idd --html audit.html --data-root data/idd
      lsu-seg audit out/idd --propose idd.patch
      lsu-seg audit out/idd --taxonomy changed/idd.tax    # would another map do better?
      lsu-seg audit work/demo                             # all labels of a `unify` run
      lsu-seg audit idd --source cityscapes --data-root data/idd --teacher segformer.py --checkpoint segformer.pth
    """
    from lsu_seg.audit.verdicts import Settings
    from lsu_seg.errors import UserError
    from lsu_seg.pseudo.audited import audited_run, labelling_runs

    settings = Settings(false_alarms=false_alarms, notes=notes)
    _check_outputs(format_, html, propose)
    chosen = {key: value for key, value in asking.items() if value}
    if "teacher" in chosen:
        if taxonomy:
            raise click.UsageError("with --teacher, NAME itself is the taxonomy: leave --taxonomy out")
        audited = _ask(target, source, search, data_root, **chosen)
        sys.exit(_report(audited, settings, data_root, format_, html, propose))
    if chosen:
        option = next(iter(chosen)).replace("_", "-").replace("options", "set")
        raise click.UsageError(f"`--{option}` belongs to the form NAME --teacher …; labels in a folder are as they are")
    if not Path(target).is_dir():
        what = f"`{target}` is a file, and expected is a folder of labels" if Path(target).exists() else ""
        raise click.UsageError(
            f"{what or f'there is no folder `{target}`'}; if it is a taxonomy, say who is asked about its images:"
            " --teacher …"
        )
    runs = labelling_runs(Path(target))
    if len(runs) > 1 and (html or propose or format_ != "text"):
        raise click.UsageError(
            f"`{target}` has labels of several runs: {', '.join(map(str, runs))}; name one for"
            f" {'--html' if html else '--propose' if propose else f'--format {format_}'}"
        )
    codes = []
    for root in runs:
        try:
            if len(runs) > 1:
                click.echo(f"{root}:")
            audited = audited_run(root, taxonomy, source, search)
            codes.append(_report(audited, settings, data_root, format_, html, propose))
        except UserError as error:
            if len(runs) == 1:
                raise
            click.echo(f"error: {error}", err=True)  # and the next ones all the same
            codes.append(2)
        if root != runs[-1]:
            click.echo()
    sys.exit(max(codes))


def _ask(
    name: str,
    source: str | None,
    search: tuple[str, ...],
    data_root: str | None,
    work_dir: str = "work/audit",
    **asking: Any,
) -> Audited:
    if data_root is None:
        raise click.UsageError("--data-root is missing: the folder of the dataset")
    from lsu_seg.pseudo.sampling import drawn_sample

    return drawn_sample(Path(work_dir), name, source, search, data_root, **asking)


def _check_outputs(format_: str, html: str | None, propose: str | None) -> None:
    from lsu_seg.pseudo.errors import check_output

    if propose == "-" and format_ != "text":
        raise click.UsageError(f"--propose - and --format {format_} would both be printed; name a file for --propose")
    for file in (html, propose):
        if file and file != "-" and (Path(file).is_file() or not Path(file).exists()):
            check_output(Path(file).resolve().parent, {})  # now, and not after the audit


def _report(
    audited: Audited, settings: Settings, data_root: str | None, format_: str, html: str | None, propose: str | None
) -> int:
    """Audit, write everything, and return the exit code."""
    import lsu_onto
    from lsu_seg.audit import document, sarif, text
    from lsu_seg.audit.page import write_page
    from lsu_seg.audit.pictures import Pictures
    from lsu_seg.audit.propose import propose as make_proposal

    def look(constraint: lsu_onto.Constraint) -> Report:
        from lsu_seg.audit.judge import STEPS
        from lsu_seg.audit.judge import audit as judge
        from lsu_seg.runtime.progress import progress

        with progress("audit", STEPS) as advance:
            return judge(audited.sample, constraint, settings, advance)

    pictures = None
    if html and data_root:  # a wrong folder is refused before the audit
        pictures = Pictures.find(audited.constraint, data_root, audited.splits, audited.labels, audited.raw)
    report = look(audited.constraint)
    places = _places(audited)
    if propose:
        proposal = make_proposal(report, audited.constraint, look, audited.name, audited.source, audited.paths)
        report = proposal.report
        if propose == "-":
            put_data(proposal.text)
        else:
            lsu_onto.write_atomic(Path(propose), proposal.text.encode("utf-8", "backslashreplace"))
    if html:
        remarks = [] if pictures else ["it shows no pictures: name the dataset's folder with --data-root"]
        if pictures and audited.labels_of_another_map:
            remarks.append(
                "the pseudo-labels in the pictures are older than this map: they were made under another one"
            )
        shown = replace(report, remarks=(*report.remarks, *remarks))
        write_page(shown, audited.sample, pictures, html, places)
    if format_ == "json":
        put_data(document.as_json(report, places) + "\n")
    elif format_ == "sarif":
        put_data(sarif.as_sarif(report, places) + "\n")
    else:
        to = sys.stderr if propose == "-" else sys.stdout
        click.echo(text.as_text(report, places, to.isatty()).rstrip("\n"), file=to)
    say_written(html, err=format_ != "text" or propose == "-")
    return 1 if report.contradictions else 0 if report.judged else 2


def _places(audited: Audited) -> dict[str, Any]:
    """Where the classes are written; nothing is known of a compiled map."""
    import lsu_onto

    try:
        return lsu_onto.places(audited.name, audited.source, audited.paths)
    except lsu_onto.UserError:
        return {}
