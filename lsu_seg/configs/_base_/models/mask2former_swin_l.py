_base_ = "mask2former_swin_b.py"
model = dict(
    hf=dict(
        pretrained="weights/mask2former-swin-large",
        config=dict(backbone_config=dict(embed_dim=192, num_heads=[6, 12, 24, 48])),
    )
)
