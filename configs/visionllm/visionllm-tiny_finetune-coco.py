# Detection on any COCO-format folder, from the released weights of the small multi-task model (or $WEIGHTS):
#   DATA_ROOT=dir python tools/browse_dataset.py configs/visionllm/visionllm-tiny_finetune-coco.py
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_finetune-coco.py
_base_ = [
    '../_base_/models/visionllm_tiny_multitask.py',
    '../_base_/datasets/custom_coco_detection.py',
    '../_base_/schedules/schedule_60e.py',
    '../_base_/default_runtime.py',
]

from visionllm_mm.config_files import from_environment  # noqa: E402

load_from = from_environment('WEIGHTS', 'checkpoints/visionllm-tiny_miniscenes-multitask.pth')
model = dict(
    vocabulary={{_base_.vocabulary}},
    image_tokenizer=dict(num_tokens=50),
    auxiliary=dict(polygons=None, phrases=None, formats=None),
    format_source='rule',
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10), warmup=dict(type='TextWarmupHook'))

train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]
