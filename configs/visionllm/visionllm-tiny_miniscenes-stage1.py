# Stage 1 of the multi-task model: detection alone, of shapes, colors and both together, so that the backbone, which
# stage 2 freezes, learns what the other tasks need. 3000 iterations. Image tokens learn the polygons of their objects
# here, too, without a pass of the LLM: with a frozen backbone that never learned them, polygons come out rounded.
_base_ = [
    '../_base_/models/visionllm_tiny_multitask.py',
    '../_base_/datasets/miniscenes_stage1.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

# Only the losses that detection needs.
model = dict(
    vocabulary={{_base_.vocabulary}},
    hints=dict(num_phrases=0, objectness=False),
    auxiliary=dict(polygons=dict(loss=dict(loss_weight=1.0, error_weight=20.0)), phrases=None, formats=None),
    format_source='rule',
)
train_cfg = dict(val_interval=1)
default_hooks = dict(warmup=dict(type='TextWarmupHook'))
