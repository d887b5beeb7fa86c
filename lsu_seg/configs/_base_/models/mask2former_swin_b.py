# Mask2Former on Swin-B, a model of `transformers` (extra [hf]). `pretrained` is a folder that you download
# (docs/reproducing.md); `pretrained=None` begins with random weights.
_base_ = "images.py"
model = dict(
    type="HFSegmentor",
    hf=dict(
        model="Mask2FormerForUniversalSegmentation",
        pretrained="weights/mask2former-swin-base",
        config=dict(
            no_object_weight=0.005,
            backbone_config=dict(
                model_type="swin",
                embed_dim=128,
                depths=[2, 2, 18, 2],
                num_heads=[4, 8, 16, 32],
                window_size=12,
                image_size=384,
                drop_path_rate=0.3,
                out_features=["stage1", "stage2", "stage3", "stage4"],
            ),
        ),
    ),
)
find_unused_parameters = True  # over several GPUs: `transformers` keeps layers that no output depends on
