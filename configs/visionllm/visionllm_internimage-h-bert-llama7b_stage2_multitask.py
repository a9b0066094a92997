# VisionLLM-H, stage 2: all tasks, the visual backbone frozen, from the weights of stage 1.
_base_ = ['./visionllm_r50-bert-llama7b_stage2_multitask.py']

load_from = 'work_dirs/visionllm_internimage-h-bert-llama7b_stage1_coco/epoch_25.pth'
model = dict(
    backbone=dict(_delete_=True, type='InternImage', arch='H', out_indices=(1, 2, 3), frozen_stages=4),
    neck=dict(in_channels=[640, 1280, 2560]),
)
# VisionLLM-H's figures (paper, table 2).
test_cfg = dict(
    references={
        'detection/coco/bbox_mAP': dict(paper=0.602),
        'detection/coco/bbox_mAP_50': dict(paper=0.793),
        'detection/coco/bbox_mAP_75': dict(paper=0.658),
        'segmentation/coco/segm_mAP': dict(paper=0.306),
        'segmentation/coco/segm_mAP_50': dict(paper=0.612),
        'segmentation/coco/segm_mAP_75': dict(paper=0.276),
        'grounding/grounding/P@0.5': dict(paper=0.867),
        'caption/caption/BLEU-4': dict(paper=0.321),
        'caption/caption/CIDEr': dict(paper=1.142),
    }
)
