# SegFormer-B5, MMSegmentation's own; needs no compiled operators. The encoder's weights, converted for MMSegmentation,
# are a file that you download; `--set model.backbone.init_cfg=None` begins with random ones.
_base_ = "images.py"
model = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="MixVisionTransformer",
        in_channels=3,
        embed_dims=64,
        num_stages=4,
        num_layers=[3, 6, 40, 3],
        num_heads=[1, 2, 5, 8],
        patch_sizes=[7, 3, 3, 3],
        sr_ratios=[8, 4, 2, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint="weights/mit_b5.pth"),
    ),
    decode_head=dict(
        type="SegformerHead",
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,  # the recipe says how many
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
sync_bn = "torch"  # BN over all GPUs, where there are several
