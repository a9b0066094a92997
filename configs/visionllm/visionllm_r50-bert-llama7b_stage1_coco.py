# VisionLLM-R50, stage 1: detection alone on COCO 2017; the LLM is frozen but for LoRA (docs/data.md has the data). As
# in the paper, it starts from a pretrained Deformable DETR (docs/weights.md):
#   python tools/convert_weights.py configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py \
#       --detector DEFORMABLE_DETR.pth --out work_dirs/start/visionllm_r50.pth
#   torchrun --nproc-per-node 8 --nnodes 4 ... tools/train.py \
#       configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py --launcher pytorch
_base_ = [
    '../_base_/models/visionllm_r50.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/default_runtime.py',
]

from visionllm_mm.config_files import from_environment  # noqa: E402

load_from = from_environment('START', 'work_dirs/start/visionllm_r50.pth')
model = dict(vocabulary={{_base_.vocabulary}})
# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(optimizer_file=dict(type='OptimizerFileHook'))
