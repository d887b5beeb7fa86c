"""`lsu-seg`: gathers the commands, which are imported when they are asked for."""

from __future__ import annotations

import os

import click

from lsu_onto import __version__
from lsu_onto.program import CONTEXT, Program
from lsu_seg import prepare

# Before torch starts its threads: one that waits gives its core away after some 10 µs instead of spinning for
# milliseconds. On a machine that does anything else at the same time the spinning costs 3 to 20 times the run
# time (measured on 2 cores); on an idle one this costs nothing.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# mmengine asks for a GPU when it is imported, which must not start the driver: `--jobs` forks, and a process that was
# forked from one with a started driver cannot use the GPU.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
# Nothing here shows a window, and matplotlib cannot be imported where its backend is one that is not there.
os.environ["MPLBACKEND"] = "agg"
if os.path.expanduser("~") == "~":  # noqa: PTH111 - which does not raise
    # A user without a name, in a container: libraries ask for a home when they are imported. Docker sets the same.
    os.environ["HOME"] = "/"

prepare()

SECTIONS = {
    "First": {"demo": "demo:demo"},
    "Step by step": {
        "scan": "scan:scan",
        "relabel": "relabel:relabel",
        "train": "train:train",
        "calibrate": "calibrate:calibrate",
        "pseudo-label": "pseudo_label:pseudo_label",
        "review": "review:review",
        "export-dataset": "export_dataset:export_dataset",
        "audit": "audit:audit",
        "suggest": "suggest:suggest",
        "average": "average:average",
        "evaluate": "evaluate:evaluate",
        "compare": "compare:compare",
    },
    "All steps from one config": {"unify": "unify:unify"},
    "With a model of any other framework": {"decode": "decode:decode"},
}
"""In the order of work."""


@click.group(cls=Program, package="lsu_seg.commands", sections=SECTIONS, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lsu-seg")
def main() -> None:
    """Train teachers, pseudo-label datasets inside their constraints, train and judge students.

    \b
    Examples:
      lsu-seg demo                             the whole method on drawn scenes
      lsu-seg scan TAXONOMY --data-root DIR    is the dataset what its taxonomy says?
      lsu-seg train CONFIG                     one model
      lsu-seg calibrate NAME --teacher …       fit a teacher's confidence to how often it is right
      lsu-seg pseudo-label CONFIG CHECKPOINT   labels alone
      lsu-seg pseudo-label TAXONOMY --teacher CONFIG --checkpoint FILE --data-root DIR -o OUT
      lsu-seg review export OUT --to cvat …    people correct what the teacher was least sure of
      lsu-seg audit OUT                        does the teacher contradict the map?
      lsu-seg average TEACHER STUDENT -o FILE  the mean of two models' weights
      lsu-seg evaluate CONFIG CHECKPOINT       figures alone
      lsu-seg compare A.json B.json            what differs between two of them
      lsu-seg unify CONFIG                     the whole method on your data
      lsu-seg decode TAXONOMY LABEL LOGITS     pseudo-labels from your own model's logits

    Shell completion: docs/cli.md.
    """


if __name__ == "__main__":
    main()
