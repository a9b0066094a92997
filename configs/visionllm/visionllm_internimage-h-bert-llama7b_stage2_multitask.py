# VisionLLM-H, stage 2: all tasks, the visual backbone frozen, from the weights of stage 1.
_base_ = [
    '../_base_/models/visionllm_internimage-h.py',
    '../_base_/datasets/coco_multitask.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/visionllm_internimage-h-bert-llama7b_stage1_coco/epoch_25.pth'
model = dict(
    vocabulary={{_base_.vocabulary}},
    backbone=dict(frozen_stages=4, with_cp=False, init_cfg=None),
    auxiliary=dict(formats=dict(type='FormatLoss', loss_weight=0.5)),
    format_source='llm',
    test_cfg=dict(text=dict(max_length=50, num_beams=3)),
)
# Which parameters get gradients depends on the task of the batch.
model_wrapper_cfg = dict(type='MMDistributedDataParallel', find_unused_parameters=True)
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
# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(optimizer_file=dict(type='OptimizerFileHook'))
