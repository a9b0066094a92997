# visionllm-tiny on any COCO-format folder:
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_custom-coco.py
# reads dir/train.json + dir/train/ and dir/val.json + dir/val/. Class names come from dir/train.json.
_base_ = [
    '../_base_/models/visionllm_tiny.py',
    '../_base_/datasets/custom_coco_detection.py',
    '../_base_/schedules/schedule_60e.py',
    '../_base_/default_runtime.py',
]

model = dict(vocabulary={{_base_.vocabulary}}, image_tokenizer=dict(num_tokens=50), token_projector=dict(octaves=6))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10), warmup=dict(type='TextWarmupHook'))
