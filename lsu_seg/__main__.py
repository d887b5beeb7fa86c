"""The program `lsu-seg`, which is `python -m lsu_seg` as well, and so `torchrun -m lsu_seg`.

Next to nothing is imported before `main` runs, so that only Ctrl-C while Python itself starts is a traceback.
"""


def main() -> None:
    try:
        import signal  # before there is anything to interrupt

        from lsu_seg.cli import main as program

        program(prog_name="lsu-seg")
    except KeyboardInterrupt:  # later ones end in `Program.invoke`
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one, at once
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
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
