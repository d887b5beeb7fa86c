# From scratch to a useful small model in a minute or two: AdamW over one cycle of the learning rate.
# A child config that changes the length sets `train_cfg.max_iters` (and `val_interval`); the cycle follows.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-2, weight_decay=0.01),
    # Decay shrinks weights; in norms and biases there is nothing to shrink.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [dict(type="OneCycleLR", eta_max=1e-2, pct_start=0.15, by_epoch=False)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=1500, val_interval=1500)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=100, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # Only the last one, and without the optimizer's state: three times smaller.
    checkpoint=dict(
        type="CheckpointHook",
        by_epoch=False,
        interval=-1,
        save_last=True,
        save_optimizer=False,
        save_param_scheduler=False,
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
log_processor = dict(by_epoch=False)
default_scope = "mmseg"
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
