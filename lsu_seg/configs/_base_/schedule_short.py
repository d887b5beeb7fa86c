# AdamW over one cycle of the learning rate: the shortest way from scratch to a useful small model.
max_iters = 1500

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.01),
    # Decay shrinks weights; norms and biases have nothing to shrink for.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='OneCycleLR', eta_max=1e-2, total_steps=max_iters, pct_start=0.15, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
