"""`lsu-onto render`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument

if TYPE_CHECKING:
    from lsu_onto.algebra.facts import Step
    from lsu_onto.library.library import Library
    from lsu_onto.render.looks import Triangle


@click.command()
@taxonomy_argument()
@click.argument("on", nargs=-1, metavar="[SOURCE SOURCE...]")
@click.option("-o", "--output", type=OutputPath(dir_okay=False), help="Default: NAME.svg. The suffix sets the format.")
@source_option()
@click.option(
    "--view",
    type=click.Choice(["map", "tree", "matrix", "triangle"]),
    default="map",
    show_default=True,
    help="The relations, the groups, or the matrix of S(d); an html opens with it. For triangle see above.",
)
@click.option("--watch", "watch_", is_flag=True, help="Serve the page, and draw it again as files are saved.")
@click.option("--port", type=click.IntRange(1, 65535), help="With --watch: default: any that is free.")
@click.option("--open", "open_", is_flag=True, help="With --watch: open the page in a browser.")
@search_path
def render(
    name: str,
    on: tuple[str, ...],
    output: str | None,
    source: str | None,
    view: str,
    watch_: bool,
    port: int | None,
    open_: bool,
    **options: Any,
) -> None:
    """Draw an ontology as svg, png, pdf, html or dot. Needs no `dot` program.

    An html has all three views on one page, with search; pointing at a class
    shows what it may be, and its notes. It opens from disk, without a network.

    With the names of sources after NAME, the maps in a row are drawn side by side, as `compose` follows them. With
    `--view triangle`, the dataset's own map to the last source is drawn too, on the other side, and where one way
    excludes what the other says, as `check-maps` finds it, the lines are marked.

    With --watch, the html is served to browsers of this machine until Ctrl-C, and they show it as the files are saved.
    While there are errors, the page shows them above the last picture.

    \b
    Examples:
      lsu-onto render demo_town
      lsu-onto render field.tax -o field.html
      lsu-onto render field.tax --watch --open
      lsu-onto render field.tax -o field.png --view matrix
      lsu-onto render demo --view tree -o demo.pdf
      lsu-onto render bdd100k cityscapes offroad -o chain.svg
      lsu-onto render bdd100k vistas cityscapes --view triangle -o triangle.svg
    """
    from lsu_onto.library.library import Library
    from lsu_onto.render import FORMATS, draw

    if watch_ and (output or on or view == "triangle"):
        raise click.UsageError("--watch serves the page of one map and writes no file: leave -o and further names out")
    if (port or open_) and not watch_:
        raise click.UsageError("--port and --open belong to --watch")
    if watch_:
        _watch(name, source, view, port or 0, open_, options["search"])
    library = Library(options["search"])
    target = Path(output or f"{Path(re.sub(r'[.]tax(?= |$)', '', name)).name}.svg")
    if target.suffix.lower()[1:] not in FORMATS:
        raise click.UsageError(
            f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}"
        )
    if view == "triangle" and (len(on) != 2 or source):
        raise click.UsageError("a triangle needs two sources behind the dataset: the one on the way, and the last one")
    if len(on) == 1 or (on and source):
        raise click.UsageError(
            "the one source of a map is given by --source; a chain has a source on the way and a last one"
        )
    if view == "triangle":
        steps = _steps(library, (name, *on))
        draw(steps[0].map, target, "map", [steps[-1].map], _triangle(library, name, steps))
    else:
        maps = [s.map for s in _steps(library, (name, *on)) if not s.backwards] if on else []
        first, *chain = maps or [library.ontology(name, source)]
        draw(first, target, view, chain)
    click.echo(target)


def _watch(name: str, source: str | None, view: str, port: int, open_: bool, search: tuple[str, ...]) -> NoReturn:
    """Serve the page of a map and draw it again after each change of its files or the settings, until Ctrl-C.

    Settings that are wrong end the command only where it starts with them; later, somebody is still writing them.
    """
    from lsu_onto.library.disk import Disk, stamps
    from lsu_onto.library.library import Library
    from lsu_onto.library.names import file_and_name
    from lsu_onto.render.serve import PageServer
    from lsu_onto.settings import Settings, SettingsError, candidates, find_settings

    def opened(settings: Settings) -> tuple[Library, Disk]:
        library = Library(dict.fromkeys([*given, *settings.paths_from_here()]), silenced=settings.silenced)
        disk = Disk(library, [file_and_name(name)[0] or f"{name}.tax"])  # a name may be one of the current folder
        disk.look(pyprojects)
        return library, disk

    pyprojects = candidates(Path.cwd())
    read = stamps(pyprojects)
    settings = find_settings(Path.cwd())
    given = [path for path in search if path not in settings.paths_from_here()]
    library, disk = opened(settings)
    first = _drawn(library, name, source, view, first=True)
    with PageServer(port) as server:
        server.show(*first)
        click.echo(server.url)
        click.echo("watching for changes; Ctrl-C ends", err=True)
        if open_ and not _opened(server.url):
            click.echo("there is no browser to open; open the address yourself", err=True)
        wrong = False
        while True:
            if stamps(pyprojects) == read:  # or else they were saved since they were read
                disk.wait(pyprojects)
            if wrong or stamps(pyprojects) != read:
                read = stamps(pyprojects)
                try:
                    library, disk = opened(find_settings(Path.cwd()))
                    wrong = False
                except SettingsError as error:
                    wrong = True
                    status = f"{time.strftime('%H:%M:%S')}: the settings are wrong; the picture is the last one"
                    server.show(None, "error", status, str(error))
                    continue
            server.show(*_drawn(library, name, source, view))


def _drawn(
    library: Library, name: str, source: str | None, view: str, first: bool = False
) -> tuple[str | None, str, str, str]:
    """The page if there are no errors, and how the bar above it looks. first: there must be something of this name."""
    from lsu_onto.library.errors import TaxonomyError
    from lsu_onto.library.fixing import findings
    from lsu_onto.render.page import page
    from lsu_onto.reporting.findings import full

    now = time.strftime("%H:%M:%S")
    try:
        ontology = library.ontology(name, source)
    except TaxonomyError as error:
        if first and all(d.code == "TAX001" for d in error.diagnostics):
            raise
        return None, "error", f"{now}: there are errors; the picture is the last one without any", str(error)
    warnings = [d for d in findings(library, ontology.files) if d.severity == "warning"]
    status = f"{now}: {len(warnings) or 'no'} warning{'s' * (len(warnings) != 1)}"
    return page(ontology, view), "warning" if warnings else "", status, full(warnings, library.texts)


def _steps(library: Library, names: tuple[str, ...]) -> list[Step]:
    """The maps in a row. Those that are walked backwards only say that a dataset has the classes of a source."""
    from lsu_onto.algebra.ways import WayError, is_bridge, way

    steps = way(library, names)
    if any(s.backwards and not is_bridge(s.map) for s in steps):
        raise WayError(
            "a chain through a dataset with other classes than the source cannot be drawn; `compose` writes it"
        )
    return steps


def _triangle(library: Library, name: str, steps: list[Step]) -> Triangle:
    """The map from the dataset straight to the last source, and what the maps exclude of each other."""
    from lsu_onto.algebra.agree import marked
    from lsu_onto.render.looks import Triangle

    first, bridge, last = (s.map for s in steps)
    direct = library.ontology(name, f"{last.source.name} {last.source.version}")
    of_first, of_last, of_direct, _ = marked(library, [first, last, direct, bridge])
    return Triangle(direct, [of_first, of_last, of_direct])


def _opened(url: str) -> bool:
    """Whether there is a browser, and it has opened the address."""
    import webbrowser

    try:
        return webbrowser.open(url)
    except Exception:  # of a variable BROWSER that is no command
        return False
