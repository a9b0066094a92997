# visionllm-tiny on MiniScenes detection, short schedule: 1000 iterations, under 10 minutes on 2 CPU cores.
_base_ = [
    '../_base_/models/visionllm_tiny.py',
    '../_base_/datasets/miniscenes_detection.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

# Class names require no comparison of boxes, so position wavelengths can be shorter: boxes are more precise.
model = dict(vocabulary={{_base_.vocabulary}}, token_projector=dict(octaves=6))
default_hooks = dict(warmup=dict(type='TextWarmupHook'))
