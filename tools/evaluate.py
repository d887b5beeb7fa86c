"""`python tools/evaluate.py …` is `lsu-seg evaluate …`, for mmengine's launchers (torchrun, Slurm)."""

from lsu_seg.cli import evaluate

if __name__ == "__main__":
    evaluate()
