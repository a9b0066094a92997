# Data of stage 2: detection, segmentation, grounding, captions and conversations on COCO's images (docs/data.md).
# The command
#   python tools/remove_refcoco_images.py
# comes first: it removes the test images of RefCOCO, RefCOCO+ and RefCOCOg from the training annotations.
_base_ = ['./coco_detection.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

data_root = from_environment('COCO_ROOT', 'data/coco') + '/'
vocabulary = {{_base_.vocabulary}}
annotations = 'annotations/'
expressions = 'annotations/mdetr_annotations/finetune_'

load = [dict(type='SeedBySample'), dict(type='LoadImageFromFile')]
boxes = [dict(type='LoadAnnotations', with_bbox=True)]
masks = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
# Images are not flipped where texts mention left and right, and not cropped where texts describe the whole image.
change_all = [{{_base_.flip}}, {{_base_.resize_or_crop}}]
change_size = [{{_base_.resize}}]
# Half of the instructions come with a scrambled copy, which trains the LLM to read formats (FormatLoss).
pack = [dict(type='ScrambleInstruction', max_points=24, prob=0.5), dict(type='PackInstructionInputs')]
detect = dict(type='DetectionInstruction', vocabulary=vocabulary)
segment = dict(type='SegmentationInstruction', vocabulary=vocabulary)
ground = dict(type='GroundingInstruction', vocabulary=vocabulary)

train_coco = dict(
    type='CocoDataset',
    data_root=data_root,
    ann_file=annotations + 'instances_train2017_norefcoco.json',
    data_prefix=dict(img='train2017/'),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
)
train_expressions = dict(
    type='MDETRStyleRefCocoDataset',
    data_root=data_root,
    data_prefix=dict(img='train2014/'),
    pipeline=load + boxes + change_size + [dict(ground, training=True)] + pack,
)
# Karpathy's file names its folders; they are listed here so that missing ones are found before the training.
captions = dict(
    type='CaptionDataset',
    data_root=data_root,
    ann_file=annotations + 'dataset_coco.json',
    data_prefix=dict(img='', train='train2014/', val='val2014/'),
)
train_sets = [
    dict(train_coco, pipeline=load + boxes + change_all + [dict(detect, training=True)] + pack),
    dict(train_coco, pipeline=load + masks + change_all + [dict(segment, num_points=(8, 24), training=True)] + pack),
    dict(
        type='ConcatDataset',
        datasets=[
            dict(train_expressions, ann_file=expressions + 'refcoco_train_norefcoco.json'),
            dict(train_expressions, ann_file=expressions + 'refcoco+_train_norefcoco.json'),
            dict(train_expressions, ann_file=expressions + 'refcocog_train_norefcoco.json'),
        ],
    ),
    dict(
        captions,
        splits=('train', 'restval'),
        pipeline=load + change_size + [dict(type='CaptionInstruction', training=True)] + pack,
    ),
    dict(
        type='ConversationDataset',
        data_root=data_root,
        ann_file='llava/llava_instruct_150k.json',
        data_prefix=dict(img='train2017/'),
        # The original file was never read with this code: a few invalid entries must not stop a run.
        max_bad=100,
        pipeline=load + change_size + [dict(type='QuestionInstruction', training=True)] + pack,
    ),
]
# The paper does not state how often each task is sampled. Without num_batches, an epoch has as many images as the five
# data sets together.
train_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    # Detection, segmentation, grounding, captions, conversations.
    sampler=dict(type='OneTaskSampler', batch_size=1, ratios=(1, 1, 1, 1, 1)),
    # One of them is itself a ConcatDataset: without the key, mmdet's ConcatDataset fails in some processes.
    dataset=dict(type='ConcatDataset', datasets=train_sets, ignore_keys=['cumulative_sizes']),
)

load = load[1:] + [dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True)]
pack = pack[1:]
loader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_coco = dict(
    type='CocoDataset',
    data_root=data_root,
    ann_file=annotations + 'instances_val2017.json',
    data_prefix=dict(img='val2017/'),
    test_mode=True,
    return_classes=True,
)
test_cfg = dict(
    type='MultiTaskTestLoop',
    tasks=dict(
        segmentation=dict(
            dataloader=dict(
                loader, dataset=dict(test_coco, pipeline=load + boxes + [dict(segment, num_points=24)] + pack)
            ),
            evaluator=dict(
                type='CocoMetric', ann_file=data_root + annotations + 'instances_val2017.json', metric=['bbox', 'segm']
            ),
        ),
        grounding=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    type='MDETRStyleRefCocoDataset',
                    data_root=data_root,
                    ann_file=expressions + 'refcoco_val.json',
                    data_prefix=dict(img='train2014/'),
                    test_mode=True,
                    pipeline=load + boxes + [ground] + pack,
                ),
            ),
            evaluator=dict(type='GroundingMetric', ann_file=data_root + expressions + 'refcoco_val.json'),
        ),
        caption=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    captions, splits=('test',), test_mode=True, pipeline=load + [dict(type='CaptionInstruction')] + pack
                ),
            ),
            evaluator=dict(type='CaptionMetric'),
        ),
    ),
    # VisionLLM-R50 with one set of weights for all tasks (paper, table 2).
    references={
        'detection/coco/bbox_mAP': dict(paper=0.446),
        'detection/coco/bbox_mAP_50': dict(paper=0.640),
        'detection/coco/bbox_mAP_75': dict(paper=0.481),
        'segmentation/coco/segm_mAP': dict(paper=0.251),
        'segmentation/coco/segm_mAP_50': dict(paper=0.500),
        'segmentation/coco/segm_mAP_75': dict(paper=0.224),
        'grounding/grounding/P@0.5': dict(paper=0.806),
        'caption/caption/BLEU-4': dict(paper=0.310),
        'caption/caption/CIDEr': dict(paper=1.125),
    },
)
# Helper variables are deleted: every dumped config would repeat them.
del load, boxes, masks, change_all, change_size, pack, detect, segment, ground, annotations, expressions
del train_coco, train_expressions, captions, train_sets, loader, test_coco
