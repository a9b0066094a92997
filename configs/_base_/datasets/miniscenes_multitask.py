# Data of stage 2 on MiniScenes: seven training sets, one task per batch; validation is detection of the 8 shapes.
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

from visionllm_mm.config_files import from_environment  # noqa: E402

data_root = from_environment('MINISCENES_ROOT', 'data/miniscenes') + '/'
vocabulary = dict(num_classes=64, coord_range=64, max_points=24)
image_scale = (128, 128)
max_classes = 16
colors = ('red', 'green', 'blue', 'yellow', 'purple', 'orange', 'cyan', 'white')
shapes = ('circle', 'square', 'triangle', 'star', 'ring', 'cross', 'crescent', 'heart')
# These occur neither in the images nor in the texts of the training set, and no training instruction names them.
unseen_pairs = (
    'red star',
    'green heart',
    'blue triangle',
    'yellow ring',
    'purple square',
    'orange crescent',
    'cyan circle',
    'white cross',
)
pairs = tuple(f'{color} {shape}' for color in colors for shape in shapes)
seen_pairs = tuple(pair for pair in pairs if pair not in unseen_pairs)
classes = shapes

# Instructions are random in their templates, class sets, order of classes and numbers of points. An ablation can fix
# each of them by templates=[one template], subset_prob=0.0, shuffle=False and num_points=24.
load = [dict(type='SeedBySample'), dict(type='LoadImageFromFile')]
resize = [dict(type='Resize', scale=image_scale, keep_ratio=True)]
boxes = [dict(type='LoadAnnotations', with_bbox=True)]
masks = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
keypoints = masks + [dict(type='LoadKeypoints', num_points=5)]
# Images are not flipped where points have names, and where captions state an order from left to right.
flip = [dict(type='RandomFlip', prob=0.5)]
flip_words = [
    dict(
        type='RandomFlipWithWords',
        prob=0.75,
        direction=['horizontal', 'vertical', 'diagonal'],
        words=dict(
            horizontal=(('left', 'right'), ('leftmost', 'rightmost')),
            vertical=(('above', 'below'), ('topmost', 'bottommost')),
        ),
    )
]
pack = [dict(type='ScrambleInstruction', max_points=24, prob=0.5), dict(type='PackInstructionInputs')]
# All objects have polygons, whatever the instruction asks for.
learn = [dict(type='AddPolygons', num_points=(8, 24))] + pack
detect = dict(type='DetectionInstruction', vocabulary=vocabulary, max_classes=max_classes)
segment = dict(type='SegmentationInstruction', vocabulary=vocabulary)
ground = dict(type='GroundingInstruction', vocabulary=vocabulary)
locate = dict(
    type='KeypointInstruction', vocabulary=vocabulary, point_names=('center', 'top', 'right', 'bottom', 'left')
)

# Words that are exchanged for each other, and random questions about the annotated objects.
exchanged = (
    ('red', 'star', 'stars'),
    ('green', 'heart', 'hearts'),
    ('blue', 'triangle', 'triangles'),
    ('yellow', 'ring', 'rings'),
    ('purple', 'square', 'squares'),
    ('orange', 'crescent', 'crescents'),
    ('cyan', 'circle', 'circles'),
    ('white', 'cross', 'crosses'),
)
random_questions = dict(
    type='RandomQuestions',
    plurals={one: many for _, one, many in exchanged},
    parts=('color', 'shape'),
    kinds=('place', 'size', 'more', 'count', 'exists', 'part', 'part'),
)

train_coco = dict(
    type='CocoDataset',
    data_root=data_root,
    metainfo=dict(classes=classes),
    ann_file='annotations/instances_train.json',
    data_prefix=dict(img='train/'),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
)
# The objects in the images of texts are annotated; they are targets of the image tokens.
train_texts = dict(
    data_root=data_root,
    data_prefix=dict(img='train/'),
    objects=dict(metainfo=dict(classes=seen_pairs), ann_file='annotations/instances_pairs_train.json'),
)
train_sets = [
    dict(train_coco, pipeline=load + masks + flip + resize + [dict(detect, training=True)] + learn),
    dict(
        train_coco,
        metainfo=dict(classes=seen_pairs),
        ann_file='annotations/instances_pairs_train.json',
        pipeline=load + masks + flip + resize + [dict(detect, training=True)] + learn,
    ),
    dict(
        train_coco, pipeline=load + masks + flip + resize + [dict(segment, num_points=(8, 24), training=True)] + learn
    ),
    dict(
        train_texts,
        type='ReferringExpressionDataset',
        ann_file='annotations/refexp_train.json',
        pipeline=load
        + masks
        + [dict(type='RandomRelation', prob=0.3)]
        + flip_words
        + resize
        + [dict(ground, training=True)]
        + learn,
    ),
    dict(
        train_coco,
        type='KeypointCocoDataset',
        pipeline=load + keypoints + resize + [dict(locate, training=True)] + learn,
    ),
    dict(
        train_texts,
        type='CaptionDataset',
        ann_file='annotations/captions_train.json',
        pipeline=load + masks + resize + [dict(type='CaptionInstruction', training=True)] + learn,
    ),
    dict(
        train_texts,
        type='ConversationDataset',
        ann_file='annotations/conversations_train.json',
        pipeline=load
        + masks
        + [dict(random_questions, prob=0.4)]
        + flip_words
        + resize
        + [dict(type='QuestionInstruction', training=True, shuffle_turns=True)]
        + learn,
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    # Shapes, pairs, segmentation, grounding, keypoints, captions, questions.
    sampler=dict(type='OneTaskSampler', batch_size=8, ratios=(0.5, 1.5, 3.2, 3, 0.7, 0.8, 1.7), num_batches=420),
    dataset=dict(type='ConcatDataset', datasets=train_sets),
)

test_pipeline = load[1:] + resize + boxes + [dict(detect, classes=classes)] + pack[1:]
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        return_classes=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json', metric='bbox')
test_evaluator = val_evaluator

val_coco = dict(
    type='CocoDataset',
    data_root=data_root,
    metainfo=dict(classes=classes),
    ann_file='annotations/instances_val.json',
    data_prefix=dict(img='val/'),
    test_mode=True,
)
val_texts = dict(data_root=data_root, data_prefix=dict(img='val/'), test_mode=True)
loader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_load = load[1:] + resize
pack_test = pack[1:]
segmentation = {
    f'segmentation-{n}': dict(
        dataloader=dict(
            loader,
            dataset=dict(
                val_coco, pipeline=test_load + masks + [dict(segment, num_points=n, classes=classes)] + pack_test
            ),
        ),
        evaluator=dict(
            type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json', metric=['bbox', 'segm']
        ),
    )
    for n in (8, 14, 16, 24)
}
pairs_pipeline = test_load + boxes + [dict(detect, classes=pairs)] + pack_test
test_cfg = dict(
    type='MultiTaskTestLoop',
    tasks=dict(
        **segmentation,
        grounding=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_texts,
                    type='MDETRStyleRefCocoDataset',
                    ann_file='annotations/refexp_val.json',
                    pipeline=test_load + boxes + [ground] + pack_test,
                ),
            ),
            evaluator=dict(
                type='GroundingMetric', ann_file=data_root + 'annotations/refexp_val.json', group_key='expression_type'
            ),
        ),
        caption=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_texts,
                    type='CaptionDataset',
                    ann_file='annotations/captions_val.json',
                    pipeline=test_load + [dict(type='CaptionInstruction')] + pack_test,
                ),
            ),
            evaluator=[
                dict(type='CaptionMetric'),
                dict(type='NamedObjectsMetric', ann_file=data_root + 'annotations/instances_pairs_val.json'),
            ],
        ),
        vqa=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_texts,
                    type='ConversationDataset',
                    ann_file='annotations/conversations_val.json',
                    pipeline=test_load + [dict(type='QuestionInstruction')] + pack_test,
                ),
            ),
            evaluator=dict(type='AnswerMetric'),
        ),
        keypoints=dict(
            dataloader=dict(
                loader,
                dataset=dict(val_coco, pipeline=test_load + boxes + [dict(locate, classes=classes)] + pack_test),
            ),
            evaluator=dict(type='KeypointMetric', ann_file=data_root + 'annotations/instances_val.json'),
        ),
        pairs=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_coco,
                    metainfo=dict(classes=pairs),
                    ann_file='annotations/instances_pairs_val.json',
                    pipeline=pairs_pipeline,
                ),
            ),
            evaluator=dict(
                type='ClassGroupsMetric',
                ann_file=data_root + 'annotations/instances_pairs_val.json',
                metric='bbox',
                groups=dict(seen=seen_pairs, unseen=unseen_pairs),
            ),
        ),
    ),
    # paper: results of VisionLLM-R50 on COCO and RefCOCO. trivial: the baselines of dataset.json (also per type of
    # question and expression), random boxes, and "a picture of a red circle and a blue square" as every caption.
    # bound: the true masks as polygons of so many points (docs/results.md#upper-bound-of-polygons).
    references={
        'detection/coco/bbox_mAP': dict(paper=0.446, trivial=0.0),
        'segmentation-8/coco/segm_mAP': dict(paper=0.185, trivial=0.0, bound=0.569),
        'segmentation-14/coco/segm_mAP': dict(paper=0.229, trivial=0.0, bound=0.797),
        'segmentation-16/coco/segm_mAP': dict(paper=0.242, trivial=0.0, bound=0.824),
        'segmentation-24/coco/segm_mAP': dict(paper=0.251, trivial=0.0, bound=0.883),
        'grounding/grounding/P@0.5': dict(paper=0.806, trivial=0.308),
        'grounding/grounding/attribute_P@0.5': dict(trivial=0.399),
        'grounding/grounding/comparison_P@0.5': dict(trivial=0.277),
        'grounding/grounding/position_P@0.5': dict(trivial=0.290),
        'grounding/grounding/relation_P@0.5': dict(trivial=0.235),
        'caption/caption/BLEU-4': dict(paper=0.310, trivial=0.236),
        'caption/caption/CIDEr': dict(paper=1.125, trivial=0.550),
        'caption/caption/all_objects_named': dict(trivial=0.0),
        'vqa/vqa/accuracy': dict(trivial=0.346),
        'vqa/vqa/color_accuracy': dict(trivial=0.159),
        'vqa/vqa/comparison_accuracy': dict(trivial=0.495),
        'vqa/vqa/count_accuracy': dict(trivial=0.428),
        'vqa/vqa/existence_accuracy': dict(trivial=0.495),
        'vqa/vqa/relation_accuracy': dict(trivial=0.483),
        'vqa/vqa/shape_accuracy': dict(trivial=0.103),
        'vqa/vqa/first_turn_accuracy': dict(),
        'keypoints/keypoints/AP': dict(trivial=0.0),
        'pairs/coco/bbox_mAP_seen': dict(trivial=0.0),
        'pairs/coco/bbox_mAP_unseen': dict(trivial=0.0),
    },
)
