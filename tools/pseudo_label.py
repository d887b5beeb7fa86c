"""`python tools/pseudo_label.py …` is `lsu-seg pseudo-label …`, for mmengine's launchers (torchrun, Slurm)."""

from lsu_seg.commands.pseudo_label import pseudo_label

if __name__ == "__main__":
    pseudo_label()
