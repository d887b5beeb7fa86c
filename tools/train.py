"""`python tools/train.py …` is `lsu-seg train …`, for mmengine's launchers (torchrun, Slurm)."""

from lsu_seg.commands.train import train

if __name__ == "__main__":
    train()
