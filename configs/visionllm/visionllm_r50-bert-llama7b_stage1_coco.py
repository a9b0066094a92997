# VisionLLM-R50, stage 1: detection alone on COCO 2017; the LLM is frozen but for LoRA (docs/data.md has the data). As
# the paper's, it starts from a pretrained Deformable DETR (docs/weights.md):
#   python tools/convert_weights.py configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py \
#       --detector DEFORMABLE_DETR.pth --out work_dirs/start/visionllm_r50.pth
#   torchrun --nproc-per-node 8 --nnodes 4 ... tools/train.py \
#       configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py --launcher pytorch
_base_ = [
    '../_base_/models/visionllm_r50.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/paper_runtime.py',
]

load_from = '{{$START:work_dirs/start/visionllm_r50.pth}}'
model = dict(vocabulary={{_base_.vocabulary}})
