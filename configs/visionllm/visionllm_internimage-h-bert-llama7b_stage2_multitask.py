# VisionLLM-H, stage 2: all tasks, the visual backbone frozen, from the weights of stage 1.
_base_ = ['./visionllm_r50-bert-llama7b_stage2_multitask.py']

load_from = 'work_dirs/visionllm_internimage-h-bert-llama7b_stage1_coco/epoch_25.pth'
model = dict(
    backbone=dict(_delete_=True, type='InternImage', arch='H', out_indices=(1, 2, 3), frozen_stages=4),
    neck=dict(in_channels=[640, 1280, 2560]))
