"""The program `lsu-onto`, which is `python -m lsu_onto` as well.

Next to nothing is imported before `main` runs, so that only Ctrl-C while Python itself starts is a traceback.
"""

# Of `signal`, the part that is in Python itself: its import is over before Ctrl-C comes.
import _signal  # type: ignore[import-not-found]


def main() -> None:
    try:
        from lsu_onto.cli import main as program

        program(prog_name="lsu-onto")
    except KeyboardInterrupt:  # later ones end in `Program.invoke`
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # a second one, at once
        import sys

        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except (ImportError, MemoryError) as error:  # of click, or before it is there; of others, see `lsu_onto.program`
        import sys

        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "click":
            raise
        without = f"`click` cannot be imported ({error}): pip install . at the root of the repository"
        sys.exit(f"error: {without if isinstance(error, ImportError) else 'out of memory'}")
    finally:  # nothing of the work is left to be stopped, and Python would report its own end with a traceback
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


if __name__ == "__main__":
    main()
