"""Bars on a terminal, of which Ctrl-C leaves nothing."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import Progress, ProgressColumn

from lsu_onto.errors import uninterrupted
from lsu_onto.streams import leave_out_tracebacks


class Bars(Progress):
    """Bars on standard error, under what is printed meanwhile, which has no tracebacks of libraries.

    rich hides the cursor, replaces the standard streams and starts a thread, and takes it all back at the end: Ctrl-C
    comes before or after either, never between.

    Args:
        columns: rich's. transient: the bars are removed at the end.

    >>> from rich.progress import TextColumn
    >>> with Bars(TextColumn("{task.description}")) as bars:
    ...     task = bars.add_task("labels", total=3)
    ...     bars.update(task, advance=1)
    """

    def __init__(self, *columns: str | ProgressColumn, transient: bool = False) -> None:
        super().__init__(*columns, console=Console(stderr=True), transient=transient)

    def start(self) -> None:
        """Show the bars from now on.

        Raises:
            KeyboardInterrupt: meanwhile; nothing is shown.
        """
        try:
            with uninterrupted():
                super().start()
                if isinstance(sys.stderr, FileProxy):  # which takes texts to pieces
                    leave_out_tracebacks(sys.stderr)
        except KeyboardInterrupt:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave the bars as they are, or remove those that are transient.

        Raises:
            KeyboardInterrupt: meanwhile; it is done.
        """
        with uninterrupted():
            super().stop()
