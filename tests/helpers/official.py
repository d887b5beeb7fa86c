"""The official folders of the shipped datasets, stated without their taxonomies. For tests.

Folders, file names, lists, the form of label files and a few raw values are facts of the datasets' own pages and tools.
Where the names of files are not documented, they are of a likely form.
"""

from __future__ import annotations

from helpers.miniatures import Official, colours, grey8, masks, palette8, panoptic, polygons, waymo


def same(splits: str, image: str, label: str, *stems: str) -> dict[str, list[tuple[str, str]]]:
    """Paths in which `*` is one of `stems`, and `$` the split."""

    def fill(pattern: str, split: str, stem: str) -> str:
        return pattern.replace("*", stem).replace("$", split)

    return {s: [(fill(image, s, stem), fill(label, s, stem)) for stem in stems] for s in splits.split()}


_KITTI360 = "2013_05_28_drive_0000_sync/image_00"
_NUIMAGES = {
    "train": "CAM_FRONT/n013-2018-08-01-16-55-37+0800__CAM_FRONT__1533114138899480",
    "val": "CAM_BACK_LEFT/n003-2018-01-02-11-48-43+0800__CAM_BACK_LEFT__1514864923129475",
    "mini": "CAM_BACK/n008-2018-06-06-16-49-21-0400__CAM_BACK__1528318170187558",
}
_RUGD = {
    "train": "park-2 trail trail-3 trail-4 trail-6 trail-9 trail-10 trail-11 trail-12 trail-14 trail-15 village",
    "val": "park-8 trail-5",
    "test": "creek park-1 trail-7 trail-13",
}
_WAYMO = [
    "10017090168044687777_6380_000_6400_000.parquet/1550083467346370_1",
    "10017090168044687777_6380_000_6400_000.parquet/1550083467346370_5",
    "1005081002024129653_5313_150_5333_150.parquet/1510593602040053_2",
]


def _apolloscape(road: str, day: str) -> dict[str, list[tuple[str, str]]]:
    image, label = f"{road}/ColorImage/*_Camera_5.jpg", f"{road}/Label/*_Camera_5"
    return same(f"{road}_train", image, f"{label}_bin.png", f"Record001/Camera 5/1709{day}_061502408") | same(
        f"{road}_val", image, f"{label}_bin.png", f"Record025/Camera 5/1709{day}_084519226"
    )


OFFICIAL: dict[str, Official] = {
    "a2d2": Official(
        colours,
        same(
            "all",
            "20180807_145028/camera/cam_front_center/20180807145028_camera_frontcenter_*.png",
            "20180807_145028/label/cam_front_center/20180807145028_label_frontcenter_*.png",
            "000000091",
            "000000135",
        ),
        {0xFF0000: "car", 0x800000: "car", 0x1E1C9E: "traffic_signal"},
        [
            "20180807_145028/camera/cam_front_center/20180807145028_camera_frontcenter_000000091.json",
            "20180807_145028/lidar/cam_front_center/20180807145028_lidar_frontcenter_000000091.npz",
            "class_list.json",
        ],
    ),
    "acdc": Official(
        grey8,
        same(
            "train val",
            "rgb_anon/*_rgb_anon.png",
            "gt/*_gt_labelIds.png",
            "fog/$/GOPR0475/GOPR0475_frame_000041",
            "night/$/GP010376/GP010376_frame_000054",
        ),
        {11: "building", 19: "traffic_light"},
        [
            "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png",
            "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelColor.png",
            "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_invIds.png",
            "rgb_anon/fog/train_ref/GOPR0475/GOPR0475_frame_000041_rgb_ref_anon.png",
            "rgb_anon/fog/test/GOPR0477/GOPR0477_frame_000794_rgb_anon.png",
        ],
    ),
    "ade20k": Official(
        grey8,
        same("training", "images/$/*.jpg", "annotations/$/*.png", "ADE_train_00000001", "ADE_train_00000002")
        | same("validation", "images/$/*.jpg", "annotations/$/*.png", "ADE_val_00000001"),
        {0: "other_objects", 1: "wall", 6: "ceiling", 19: "curtain"},
        ["objectInfo150.txt", "sceneCategories.txt"],
    ),
    # The lists of road01 leave `_bin` out of the labels' names.
    "apolloscape": Official(
        grey8,
        _apolloscape("road01_ins", "08") | _apolloscape("road02_ins", "27") | _apolloscape("road03_ins", "16"),
        {1: "rover", 37: "rider", 49: "road", 255: "unlabeled"},
        [
            "road01_ins/Label/Record001/Camera 5/170908_061502408_Camera_5_instanceIds.png",
            "road01_ins/Label/Record001/Camera 5/170908_061502408_Camera_5.json",
            "road01_ins/ColorImage/Record001/Camera 6/170908_061502408_Camera_6.jpg",
        ],
        {
            f"{road}_ins_{s}": (f"{road}_ins_{s}.lst", "{image}\t{bare}" if road == "road01" else "{image}\t{label}")
            for road in ("road01", "road02", "road03")
            for s in ("train", "val")
        },
    ),
    "bdd100k": Official(
        grey8,
        same(
            "train val", "images/10k/$/*.jpg", "labels/sem_seg/masks/$/*.png", "0a0a0b1a-7c39d841", "0a0b16e4-a8156a0d"
        ),
        {1: "sidewalk", 11: "person", 18: "bicycle"},
        [
            "images/10k/test/ac6d4f42-00000000.jpg",
            "labels/sem_seg/colormaps/train/0a0a0b1a-7c39d841.png",
            "labels/sem_seg/polygons/sem_seg_train.json",
            "images/100k/train/0000f77c-6257be58.jpg",
        ],
    ),
    "camvid": Official(
        colours,
        same("all", "701_StillsRaw_full/*.png", "LabeledApproved_full/*_L.png", "0001TP_006690", "Seq05VD_f05100"),
        {0xC00080: "archway", 0x0000C0: "sidewalk"},
        ["label_colors.txt"],
    ),
    "camvid11": Official(
        grey8,
        same("train val test", "$/*.png", "$annot/*.png", "0001TP_006690", "Seq05VD_f00000"),
        {0: "sky", 4: "pavement", 10: "bicyclist"},
        ["train.txt"],
    ),
    "camvid_coarse": Official(  # our own, in the folders of the tutorial
        grey8, same("train val test", "$/*.png", "$annot/*.png", "0001TP_006690", "Seq05VD_f00000"), {5: "nature"}
    ),
    "camvid_segnet": Official(
        grey8,
        same("train val test", "$/*.png", "$annot/*.png", "0001TP_006690", "Seq05VD_f00000"),
        {0: "sky", 4: "pavement", 10: "bicyclist", 11: "unlabelled"},
        ["train.txt"],
    ),
    "cityscapes": Official(
        grey8,
        same(
            "train",
            "leftImg8bit/$/*_leftImg8bit.png",
            "gtFine/$/*_gtFine_labelIds.png",
            "aachen/aachen_000000_000019",
            "bochum/bochum_000000_000313",
        )
        | same(
            "val",
            "leftImg8bit/$/*_leftImg8bit.png",
            "gtFine/$/*_gtFine_labelIds.png",
            "frankfurt/frankfurt_000000_000294",
        )
        | same(
            "test", "leftImg8bit/$/*_leftImg8bit.png", "gtFine/$/*_gtFine_labelIds.png", "berlin/berlin_000000_000019"
        ),
        {1: "ego_vehicle", 7: "road", 11: "building", 26: "car", 33: "bicycle"},
        [
            f"gtFine/train/aachen/aachen_000000_000019_gtFine_{kind}"
            for kind in ("color.png", "instanceIds.png", "labelTrainIds.png", "polygons.json")
        ]
        + ["README"],
    ),
    "coco_panoptic": Official(
        panoptic("annotations/panoptic_$2017.json"),
        same("train", "$2017/*.jpg", "panoptic_$2017/*.png", "000000000009", "000000000025")
        | same("val", "$2017/*.jpg", "panoptic_$2017/*.png", "000000000139"),
        {1: "person", 13: "stop_sign", 21: "cow"},
        ["annotations/instances_train2017.json", "test2017/000000000001.jpg"],
    ),
    "freiburg_forest": Official(
        colours,
        same("train test", "$/rgb/*_Clipped.jpg", "$/GT_color/*_mask.png", "b1-09517", "b170-2"),
        {0x000000: "obstacle", 0xAAAAAA: "road"},
        ["train/nir_color/b1-09517.png", "train/depth_gray/b1-09517.png"],
    ),
    "goose": Official(
        grey8,
        same(
            "train val",
            "images/$/*_windshield_vis.png",
            "labels/$/*_labelids.png",
            "2022-07-22_flight/2022-07-22_flight__0071_1658494234334310308",
            "2022-09-14_garching_uebungsplatz_2/2022-09-14_garching_uebungsplatz_2__0000_1663161256534219816",
        ),
        {1: "traffic_cone", 18: "moss", 8: "ego_vehicle"},
        ["goose_label_mapping.csv"]
        + [
            f"{kind}/train/2022-07-22_flight/2022-07-22_flight__0071_1658494234334310308_{s}.png"
            for kind, s in (("labels", "color"), ("labels", "instanceids"), ("images", "windshield_nir"))
        ],
    ),
    "goose_ex": Official(
        grey8,
        {
            s: [
                (f"images/{s}/{run}_{camera}.png", f"labels/{s}/{run}_labelids.png")
                for run, camera in (
                    ("alice_scenario03/alice_scenario03__0000_1686569374158210437", "front"),
                    ("spot_scenario09/spot_scenario09__0012_1686569391058210437", "camera_left"),
                    ("spot_scenario09/spot_scenario09__0013_1686569391358210437", "realsense"),
                )
            ]
            for s in ("train", "val")
        },
        {1: "traffic_cone", 18: "moss"},
        [
            f"labels/train/alice_scenario03/alice_scenario03__0000_1686569374158210437_{s}.png"
            for s in ("color", "instanceids")
        ],
    ),
    "great_outdoors": Official(
        grey8,
        same(
            "all",
            "*/pylon_camera_node/1710000000_100.png",
            "*/pylon_camera_node_label_id/1710000000_100.png",
            "2024-03-09-lake",
            "2024-04-20-park",
        ),
        {1: "dirt", 15: "log", 34: "rubble"},
        [
            "2024-03-09-lake/pylon_camera_node_label_color/1710000000_100.png",
            "2024-03-09-lake/lwir_camera_node/1710000000_100.png",
        ],
    ),
    "idd": Official(
        polygons,
        same("train", "leftImg8bit/$/*_leftImg8bit.png", "gtFine/$/*_gtFine_polygons.json", "0/005506")
        | same("val", "leftImg8bit/$/*_leftImg8bit.jpg", "gtFine/$/*_gtFine_polygons.json", "119/frame0029"),
        {
            "road": "road",
            "drivable fallback": "drivable_fallback",
            "obs-str-bar-fallback": "obs_str_bar_fallback",
            "vehicle fallback": "vehicle_fallback",
            "non-drivable fallback": "non_drivable_fallback",
            "fallback background": "fallback_background",
            "guard rail": "guard_rail",
            "out of roi": "out_of_roi",
        },
        ["gtFine/train/0/005506_gtFine_labellevel3Ids.png", "leftImg8bit/test/1/000002_leftImg8bit.png"],
        spelling="[a-z -]+",
    ),
    "idd_lite": Official(
        grey8,
        same("train val", "leftImg8bit/$/*_image.jpg", "gtFine/$/*_label.png", "0/024541", "1/092468", "201/frame2519"),
        {0: "drivable", 3: "vehicles", 6: "sky", 255: "unlabelled"},
        [f"gtFine/{s}/{f}_inst_label.png" for s in ("train", "val") for f in ("0/024541", "1/092468", "201/frame2519")]
        + ["leftImg8bit/test/101/092094_image.jpg"],
    ),
    "kitti": Official(
        grey8,
        same("training", "$/image_2/*.png", "$/semantic/*.png", "000000_10", "000001_10"),
        {7: "road", 11: "building", 26: "car"},
        ["testing/image_2/000000_10.png", "training/semantic_rgb/000000_10.png", "training/instance/000000_10.png"],
    ),
    "kitti360": Official(
        grey8,
        same(
            "train",
            f"data_2d_raw/{_KITTI360}/data_rect/*.png",
            f"data_2d_semantics/train/{_KITTI360}/semantic/*.png",
            "0000000250",
            "0000000251",
        )
        | same(
            "val",
            f"data_2d_raw/{_KITTI360}/data_rect/*.png",
            f"data_2d_semantics/train/{_KITTI360}/semantic/*.png",
            "0000004000",
        ),
        {11: "building", 34: "garage", 35: "gate"},
        [
            f"data_2d_raw/{_KITTI360}/data_rect/0000000001.png",  # not annotated
            f"data_2d_semantics/train/{_KITTI360}/semantic_rgb/0000000250.png",
            f"data_2d_semantics/train/{_KITTI360}/instance/0000000250.png",
            f"data_2d_semantics/train/{_KITTI360}/confidence/0000000250.png",
        ],
        {s: (f"data_2d_semantics/train/2013_05_28_drive_{s}_frames.txt", "{image} {label}") for s in ("train", "val")},
    ),
    "lanes": Official(
        colours, same("train val", "$/images/*.jpg", "$/masks/*.png", "frame_0001", "frame_0002"), {0x800000: "road"}
    ),
    "nuimages": Official(
        masks,
        {s: [(f"samples/{n}.jpg", f"samples/{n}.jpg")] for s, n in _NUIMAGES.items()},
        {
            "animal": "animal",
            "vehicle.construction": "construction_vehicle",
            "flat.driveable_surface": "driveable_surface",
        },
        ["samples/CAM_FRONT/n999-2018-01-01-00-00-00+0800__CAM_FRONT__1514764800000000.jpg"],  # of the test set
        spelling=r"animal|\w+\.[\w.]+",
    ),
    "rellis3d": Official(
        grey8,
        {
            s: [(f"{p}.jpg", f"{p.replace('node', 'node_label_id')}.png")]
            for s, p in (
                ("train", "00000/pylon_camera_node/frame000104-1581624663_149"),
                ("val", "00000/pylon_camera_node/frame000110-1581624663_749"),
                ("test", "00004/pylon_camera_node/frame000000-1581791678_408"),
            )
        },
        {1: "dirt", 7: "sky", 29: "grass", 30: "grass", 32: "water", 34: "rubble"},
        [
            "00000/pylon_camera_node/frame000000-1581624652_750.jpg",  # not in the lists
            "00000/pylon_camera_node_label_color/frame000104-1581624663_149.png",
        ],
        {s: (f"{s}.lst", "{image} {label}") for s in ("train", "val", "test")},
    ),
    "rugd": Official(
        colours,
        {
            split: [
                (f"RUGD_frames-with-annotations/{seq}/{seq}_00001.png", f"RUGD_annotations/{seq}/{seq}_00001.png")
                for seq in seqs.split()
            ]
            for split, seqs in _RUGD.items()
        },
        {0x006666: "sign", 0x99CCFF: "rock", 0x0080FF: "water"},
        ["RUGD_annotations/RUGD_annotation-colormap.txt"],
    ),
    "tas500": Official(
        colours,
        same("train val", "$/*.png", "$_labels/*.png", "1537953254", "1537953270"),
        {0x9ACD32: "low_grass", 0x013349: "building"},
        ["train_labels_ids/1537953254.png", "test/1537953300.png"],
    ),
    "vistas v1.2": Official(
        palette8,
        same(
            "training validation", "$/images/*.jpg", "$/labels/*.png", "-0B5KqvLmp5bVcTXmHxqPA", "_XTDaBk8zr3oCQBr6Zk"
        ),
        {0: "bird", 6: "wall", 19: "person"},
        [
            "training/instances/-0B5KqvLmp5bVcTXmHxqPA.png",
            "training/panoptic/panoptic_2018.json",
            "config.json",
            "testing/images/0000000000000000000000.jpg",
        ],
    ),
    "vistas v2": Official(
        palette8,
        same(
            "training validation",
            "$/images/*.jpg",
            "$/v2.0/labels/*.png",
            "-0B5KqvLmp5bVcTXmHxqPA",
            "_XTDaBk8zr3oCQBr6Zk",
        ),
        {0: "bird", 6: "guard_rail", 19: "pedestrian_area"},
        [
            "training/v2.0/instances/-0B5KqvLmp5bVcTXmHxqPA.png",
            "training/v1.2/labels/-0B5KqvLmp5bVcTXmHxqPA.png",
            "training/v2.0/polygons/-0B5KqvLmp5bVcTXmHxqPA.json",
            "testing/images/0000000000000000000000.jpg",
        ],
    ),
    "waymo": Official(
        waymo,
        {
            s: [(f"{s}/camera_image/{p}", f"{s}/camera_segmentation/{p}") for p in _WAYMO]
            for s in ("training", "validation")
        },
        {0: "undefined", 6: "bicycle", 19: "building"},
        ["training/lidar/10017090168044687777_6380_000_6400_000.parquet"],
    ),
    "wilddash2": Official(
        panoptic("panoptic.json", trafficsign="trafficsignfront"),
        same("all", "images/*.jpg", "panoptic/*.png", "aa0000_100000", "zz0001_100000"),
        {1: "egovehicle", 19: "trafficlight", 20: "trafficsign"},
        ["instances.json", "wd2_unified_label_policy.json"],
    ),
    "wildscenes": Official(
        grey8,
        same("train", "WildScenes2d/V-01/image/*.png", "WildScenes2d/V-01/indexLabel/*.png", "1623370408-092005506")
        | same("val", "WildScenes2d/K-01/image/*.png", "WildScenes2d/K-01/indexLabel/*.png", "1624326169-277052847")
        | same("test", "WildScenes2d/K-01/image/*.png", "WildScenes2d/K-01/indexLabel/*.png", "1624326170-014007910"),
        {1: "asphalt", 18: "grass"},
        [
            "WildScenes2d/K-01/label/1624326169-277052847.png",
            "WildScenes2d/K-01/camera_calibration.yaml",
            "WildScenes2d/K-03/image/1624330000-000000000.png",
        ],
        {s: (f"{s}.csv", "0,/{image},/{label}") for s in ("train", "val", "test")},
        header="id,im_path,label_path",
    ),
    "ycor": Official(
        palette8,
        same("train valid", "$/*/rgb.jpg", "$/*/labels.png", "iid000008", "iid000010"),
        {0: "background", 1: "smooth_trail", 6: "non_traversable_low_vegetation"},
    ),
}
"""By the name that a user writes, NAME, or NAME VERSION."""

_VISTAS = OFFICIAL["vistas v2"]
OTHER_FORMS: dict[str, Official] = {
    # The old release, a zip of its own.
    "bdd100k": Official(
        grey8,
        same(
            "train val", "seg/images/$/*.jpg", "seg/labels/$/*_train_id.png", "0a0a0b1a-7c39d841", "0a0b16e4-a8156a0d"
        ),
        OFFICIAL["bdd100k"].knows,
        ["seg/images/test/ac6d4f42-00000000.jpg", "seg/color_labels/train/0a0a0b1a-7c39d841_train_color.png"],
    ),
    # The zips with the label images lie inside the zip of annotations.
    "coco_panoptic": OFFICIAL["coco_panoptic"]._replace(
        splits=same("train", "$2017/*.jpg", "annotations/panoptic_$2017/*.png", "000000000009", "000000000025")
        | same("val", "$2017/*.jpg", "annotations/panoptic_$2017/*.png", "000000000139")
    ),
    # The zip of v2.0 holds the labels of both versions.
    "vistas v1.2": OFFICIAL["vistas v1.2"]._replace(
        splits={
            s: [(image, label.replace("v2.0", "v1.2")) for image, label in pairs] for s, pairs in _VISTAS.splits.items()
        },
        beside=[path.replace("v1.2", "v2.0") for path in _VISTAS.beside]
        + ["training/v1.2/instances/-0B5KqvLmp5bVcTXmHxqPA.png"],
    ),
}
"""Datasets of which there are downloads with other folders. The label files are the same."""
