# The urban datasets of the paper, each once. `weight`: how often an image is drawn, against 1 of the others; ours, not
# tuned. Most of COCO is no street at all: the paper took a subset of it, which is not published.
_base_ = "pipelines.py"
datasets = dict(
    cityscapes=dict(taxonomy="cityscapes", split="train"),
    vistas=dict(taxonomy="vistas v1.2", split="training"),
    a2d2=dict(taxonomy="a2d2", split="all"),
    apolloscape_road01=dict(taxonomy="apolloscape", split="road01_ins_train", folder="apolloscape"),
    apolloscape_road02=dict(taxonomy="apolloscape", split="road02_ins_train", folder="apolloscape"),
    apolloscape_road03=dict(taxonomy="apolloscape", split="road03_ins_train", folder="apolloscape"),
    bdd100k=dict(taxonomy="bdd100k", split="train"),
    camvid=dict(taxonomy="camvid", split="all"),
    coco=dict(taxonomy="coco_panoptic", split="train", weight=0.1),
    goose=dict(taxonomy="goose", split="train"),
    idd1=dict(taxonomy="idd", split="train", folder="idd/IDD_Segmentation"),
    idd2=dict(taxonomy="idd", split="train", folder="idd/idd20kII"),
    kitti=dict(taxonomy="kitti", split="training"),
    lanes=dict(taxonomy="lanes", split="train"),
    nuimages=dict(taxonomy="nuimages", split="train"),
    waymo=dict(taxonomy="waymo", split="training"),
)
# Nobody trains on it.
zero_shot = dict(wilddash2=dict(taxonomy="wilddash2", split="all"))
