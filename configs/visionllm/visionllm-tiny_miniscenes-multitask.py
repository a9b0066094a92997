# Stage 2: all tasks with one set of weights and the backbone frozen, from the weights of stage 1:
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-det-long.py
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-multitask.py
_base_ = ['./visionllm-tiny_miniscenes-det.py']

load_from = 'work_dirs/visionllm-tiny_miniscenes-det-long/epoch_12.pth'
vocabulary = {{_base_.vocabulary}}
classes = {{_base_.classes}}
data_root = '{{$MINISCENES_ROOT:data/miniscenes}}/'
metainfo = dict(classes=classes)
num_points = 24
point_names = ('center', 'top', 'right', 'bottom', 'left')
model = dict(
    backbone=dict(frozen_stages=4, norm_eval=True),
    test_cfg=dict(words=dict(max_length=60)))

load = [dict(type='SeedBySample'), dict(type='LoadImageFromFile')]
resize = [dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True)]
boxes = [dict(type='LoadAnnotations', with_bbox=True)]
keypoints = boxes + [dict(type='LoadKeypoints', num_points=5)]
masks = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
# Where words or points say left and right, images are not flipped.
flip = [dict(type='RandomFlip', prob=0.5)]
pack = [dict(type='PackInstructionInputs')]

train_sets = [
    dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=False),
        return_classes=True,
        pipeline=load + boxes + flip + resize +
        [dict(type='DetectionInstruction', vocabulary=vocabulary, training=True)] + pack),
    dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=False),
        return_classes=True,
        pipeline=load + masks + flip + resize +
        [dict(type='SegmentationInstruction', vocabulary=vocabulary, num_points=(8, 24), training=True)] + pack),
    dict(
        type='MDETRStyleRefCocoDataset',
        data_root=data_root,
        ann_file='annotations/refexp_train.json',
        data_prefix=dict(img='train/'),
        pipeline=load + boxes + resize +
        [dict(type='GroundingInstruction', vocabulary=vocabulary, training=True)] + pack),
    dict(
        type='KeypointCocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=False),
        return_classes=True,
        pipeline=load + keypoints + resize +
        [dict(type='KeypointInstruction', vocabulary=vocabulary, point_names=point_names, training=True)] + pack),
    dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file='annotations/captions_train.json',
        data_prefix=dict(img='train/'),
        pipeline=load + resize + [dict(type='CaptionInstruction', training=True)] + pack),
    dict(
        type='ConversationDataset',
        data_root=data_root,
        ann_file='annotations/conversations_train.json',
        data_prefix=dict(img='train/'),
        pipeline=load + resize + [dict(type='QuestionInstruction', training=True)] + pack)
]
train_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='OneTaskSampler', batch_size=8, ratios=(1, 1, 1, 1, 1, 1), num_batches=500),
    dataset=dict(type='ConcatDataset', datasets=train_sets))

test_loader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_cfg = dict(
    type='MultiTaskTestLoop',
    tasks=dict(
        segmentation=dict(
            dataloader=dict(
                dataset=dict(
                    type='CocoDataset',
                    data_root=data_root,
                    metainfo=metainfo,
                    ann_file='annotations/instances_val.json',
                    data_prefix=dict(img='val/'),
                    test_mode=True,
                    pipeline=load[1:] + resize + masks + [
                        dict(
                            type='SegmentationInstruction',
                            vocabulary=vocabulary,
                            num_points=num_points,
                            classes=classes)
                    ] + pack),
                **test_loader),
            evaluator=dict(
                type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json', metric=['bbox', 'segm'])),
        grounding=dict(
            dataloader=dict(
                dataset=dict(
                    type='MDETRStyleRefCocoDataset',
                    data_root=data_root,
                    ann_file='annotations/refexp_val.json',
                    data_prefix=dict(img='val/'),
                    test_mode=True,
                    pipeline=load[1:] + resize + boxes +
                    [dict(type='GroundingInstruction', vocabulary=vocabulary)] + pack),
                **test_loader),
            evaluator=dict(
                type='GroundingMetric',
                ann_file=data_root + 'annotations/refexp_val.json',
                group_key='expression_type')),
        keypoints=dict(
            dataloader=dict(
                dataset=dict(
                    type='CocoDataset',
                    data_root=data_root,
                    metainfo=metainfo,
                    ann_file='annotations/instances_val.json',
                    data_prefix=dict(img='val/'),
                    test_mode=True,
                    pipeline=load[1:] + resize + boxes + [
                        dict(
                            type='KeypointInstruction',
                            vocabulary=vocabulary,
                            point_names=point_names,
                            classes=classes)
                    ] + pack),
                **test_loader),
            evaluator=dict(type='KeypointMetric', ann_file=data_root + 'annotations/instances_val.json')),
        caption=dict(
            dataloader=dict(
                dataset=dict(
                    type='CaptionDataset',
                    data_root=data_root,
                    ann_file='annotations/captions_val.json',
                    data_prefix=dict(img='val/'),
                    test_mode=True,
                    pipeline=load[1:] + resize + [dict(type='CaptionInstruction')] + pack),
                **test_loader),
            evaluator=dict(type='CaptionMetric')),
        vqa=dict(
            dataloader=dict(
                dataset=dict(
                    type='ConversationDataset',
                    data_root=data_root,
                    ann_file='annotations/conversations_val.json',
                    data_prefix=dict(img='val/'),
                    test_mode=True,
                    pipeline=load[1:] + resize + [dict(type='QuestionInstruction')] + pack),
                **test_loader),
            evaluator=dict(type='AnswerMetric'))))

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True,
         convert_to_iter_based=True)
]
# Which parts learn depends on the task of the batch.
model_wrapper_cfg = dict(type='MMDistributedDataParallel', find_unused_parameters=True)
# The LLM comes with stage 1's weights; no text-only warm-up.
custom_hooks = [dict(type='SampleSeedHook'), dict(type='CheckClassNamesHook', priority='VERY_HIGH')]
