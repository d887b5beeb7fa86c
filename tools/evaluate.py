"""`python tools/evaluate.py …` is `lsu-seg evaluate …`, for mmengine's launchers; `evaluate.py compare …`, `lsu-seg compare …`."""

import sys

from lsu_seg.commands.compare import compare
from lsu_seg.commands.evaluate import evaluate

if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2:])
    else:
        evaluate()
