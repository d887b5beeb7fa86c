"""`python tools/evaluate.py …`, for mmengine's launchers: `lsu-seg evaluate …`, or `lsu-seg compare …`."""

import sys

from lsu_seg.commands.compare import compare
from lsu_seg.commands.evaluate import evaluate

if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2:])
    else:
        evaluate()
