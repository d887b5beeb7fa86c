# The off-road datasets of the paper, each once; see `urban.py`. WildDash has no map to the off-road classes: RUGD, for
# which the paper has no map either, is the one that nobody trains on.
_base_ = "pipelines.py"
datasets = dict(
    goose=dict(taxonomy="goose", split="train"),
    freiburg_forest=dict(taxonomy="freiburg_forest", split="train"),
    great_outdoors=dict(taxonomy="great_outdoors", split="all"),
    rellis3d=dict(taxonomy="rellis3d", split="train"),
    tas500=dict(taxonomy="tas500", split="train"),
    wildscenes=dict(taxonomy="wildscenes", split="train"),
    ycor=dict(taxonomy="ycor", split="train"),
    cityscapes=dict(taxonomy="cityscapes", split="train"),
    coco=dict(taxonomy="coco_panoptic", split="train", weight=0.1),
    vistas=dict(taxonomy="vistas v1.2", split="training"),
)
zero_shot = dict(rugd=dict(taxonomy="rugd", split="test"))
