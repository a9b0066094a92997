# Boxes on your own photographs, from a Deformable DETR of mmdet that knows COCO (ResNet-50, box refinement, two stages;
# docs/weights.md has its address). For a GPU.
#   python tools/convert_weights.py configs/visionllm/visionllm_r50_own-photos.py --detector DEFORMABLE_DETR.pth \
#       --out work_dirs/start/visionllm_r50_own-photos.pth
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm_r50_own-photos.py
# $LLM and $BERT name a pretrained LLM and text encoder; without them both are small and start from random weights.
_base_ = [
    '../_base_/models/visionllm_r50_two-stage.py',
    '../_base_/datasets/own_photos_detection.py',
    '../_base_/schedules/schedule_own_photos.py',
]

from visionllm_mm.config_files import from_environment  # noqa: E402

load_from = from_environment('START', 'work_dirs/start/visionllm_r50_own-photos.pth')
image_scale = (640, 640)
model = dict(vocabulary={{_base_.vocabulary}}, image_tokenizer=dict(num_tokens=100), token_projector=dict(octaves=6))
# The detector's parts at the rates that it was trained with.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=0.02), neck=dict(lr_mult=0.2), image_tokenizer=dict(lr_mult=0.2))
    )
)
default_hooks = dict(warmup={{_base_.own_warmup}})
