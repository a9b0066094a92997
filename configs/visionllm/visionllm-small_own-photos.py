# Boxes on your own photographs, 50 to 5,000 with COCO annotations:
#   DATA_ROOT=dir python tools/check_dataset.py dir
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-small_own-photos.py
# reads dir/train.json + dir/train/ and dir/val.json + dir/val/. Class names come from dir/train.json.
_base_ = [
    '../_base_/models/visionllm_small.py',
    '../_base_/datasets/own_photos_detection.py',
    '../_base_/schedules/schedule_own_photos.py',
]

load_from = {{_base_.own_weights}}
model = dict(vocabulary={{_base_.vocabulary}})
default_hooks = dict(warmup={{_base_.own_warmup}})
