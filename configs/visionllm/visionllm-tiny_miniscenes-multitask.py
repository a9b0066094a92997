# Stage 2: all tasks with one set of weights and the backbone frozen, from the weights of stage 1:
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-stage1.py
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-multitask.py
#   python tools/test.py configs/visionllm/visionllm-tiny_miniscenes-multitask.py \
#       work_dirs/visionllm-tiny_miniscenes-multitask/epoch_6.pth
_base_ = ['./visionllm-tiny_miniscenes-stage1.py']

load_from = 'work_dirs/visionllm-tiny_miniscenes-stage1/epoch_2.pth'
vocabulary = {{_base_.vocabulary}}
classes = {{_base_.classes}}
pairs = {{_base_.pairs}}
seen_pairs = {{_base_.seen_pairs}}
unseen_pairs = {{_base_.unseen_pairs}}
point_names = ('center', 'top', 'right', 'bottom', 'left')
data_root = '{{$MINISCENES_ROOT:data/miniscenes}}/'
annotations = data_root + 'annotations/'
max_classes = {{_base_.max_classes}}

model = dict(
    backbone=dict(frozen_stages=4, norm_eval=True),
    criterion=dict(
        loss_format=dict(type='FormatLoss', loss_weight=1.0),
        # Boxes are exact by now, outlines are not.
        loss_outline=dict(loss_weight=2.0, error_weight=40.0),
        loss_asked=dict(type='AskedObjectsLoss', loss_weight=5.0),
    ),
    # What a pretrained LLM would find by itself.
    task_decoder=dict(start_with_question=True, asked_phrases=3, tell_objectness=True),
    format_source='llm',
    test_cfg=dict(words=dict(max_length=60)),
)

# Randomness of the instructions: wordings, class sets, their order and numbers of points; each can be fixed for an
# ablation, by templates=[one wording], subset_prob=0.0, shuffle=False and num_points=24.
load = [dict(type='SeedBySample'), dict(type='LoadImageFromFile')]
resize = [dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True)]
boxes = [dict(type='LoadAnnotations', with_bbox=True)]
masks = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
keypoints = masks + [dict(type='LoadKeypoints', num_points=5)]
# Where points have names, and where captions say what stands from left to right, images are not flipped.
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
pack = [dict(type='ScrambleWording', max_points=24, prob=0.5), dict(type='PackInstructionInputs')]
# Outlines are known of all objects, whatever is asked for.
learn = [dict(type='AddOutlines', num_points=(8, 24))] + pack
detect = dict(type='DetectionInstruction', vocabulary=vocabulary, max_classes=max_classes)
segment = dict(type='SegmentationInstruction', vocabulary=vocabulary)
ground = dict(type='GroundingInstruction', vocabulary=vocabulary)
locate = dict(type='KeypointInstruction', vocabulary=vocabulary, point_names=point_names)

# Words of one kind, and the plural of the second; and random questions about all that was said of objects.
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
draw = dict(
    type='DrawQuestions',
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
# What the images of texts show is known, and teaches the image tokens.
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
        + [dict(type='DrawRelation', prob=0.3)]
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
        + [dict(draw, prob=0.4)]
        + flip_words
        + resize
        + [dict(type='QuestionInstruction', training=True, shuffle_turns=True)]
        + learn,
    ),
]
train_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    # Shapes, pairs, segmentation, grounding, keypoints, captions, questions.
    sampler=dict(type='OneTaskSampler', batch_size=8, ratios=(0.5, 1.5, 3.2, 3, 0.7, 0.8, 1.7), num_batches=420),
    dataset=dict(type='ConcatDataset', datasets=train_sets),
)

val_coco = dict(
    type='CocoDataset',
    data_root=data_root,
    metainfo=dict(classes=classes),
    ann_file='annotations/instances_val.json',
    data_prefix=dict(img='val/'),
    test_mode=True,
)
val_words = dict(data_root=data_root, data_prefix=dict(img='val/'), test_mode=True)
loader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
load = load[1:]
segmentation = {
    f'segmentation-{n}': dict(
        dataloader=dict(
            loader,
            dataset=dict(
                val_coco, pipeline=load + resize + masks + [dict(segment, num_points=n, classes=classes)] + pack[1:]
            ),
        ),
        evaluator=dict(type='CocoMetric', ann_file=annotations + 'instances_val.json', metric=['bbox', 'segm']),
    )
    for n in (8, 14, 16, 24)
}
pairs_pipeline = load + resize + boxes + [dict(detect, classes=pairs)] + pack[1:]
test_cfg = dict(
    type='MultiTaskTestLoop',
    tasks=dict(
        **segmentation,
        grounding=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_words,
                    type='MDETRStyleRefCocoDataset',
                    ann_file='annotations/refexp_val.json',
                    pipeline=load + resize + boxes + [ground] + pack[1:],
                ),
            ),
            evaluator=dict(
                type='GroundingMetric', ann_file=annotations + 'refexp_val.json', group_key='expression_type'
            ),
        ),
        caption=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_words,
                    type='CaptionDataset',
                    ann_file='annotations/captions_val.json',
                    pipeline=load + resize + [dict(type='CaptionInstruction')] + pack[1:],
                ),
            ),
            evaluator=[
                dict(type='CaptionMetric'),
                dict(type='NamedObjectsMetric', ann_file=annotations + 'instances_pairs_val.json'),
            ],
        ),
        vqa=dict(
            dataloader=dict(
                loader,
                dataset=dict(
                    val_words,
                    type='ConversationDataset',
                    ann_file='annotations/conversations_val.json',
                    pipeline=load + resize + [dict(type='QuestionInstruction')] + pack[1:],
                ),
            ),
            evaluator=dict(type='AnswerMetric'),
        ),
        keypoints=dict(
            dataloader=dict(
                loader,
                dataset=dict(val_coco, pipeline=load + resize + boxes + [dict(locate, classes=classes)] + pack[1:]),
            ),
            evaluator=dict(type='KeypointMetric', ann_file=annotations + 'instances_val.json'),
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
                ann_file=annotations + 'instances_pairs_val.json',
                metric='bbox',
                groups=dict(seen=seen_pairs, unseen=unseen_pairs),
            ),
        ),
    ),
    # The paper's figures are VisionLLM-R50's on COCO and RefCOCO. The trivial ones are those of dataset.json (per type
    # of question and expression, too), random boxes, and "a picture of a red circle and a blue square" as every
    # caption. The bounds are those of the true masks as so many points (docs/design.md).
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

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(optimizer=dict(lr=6e-4))
# Which parts learn depends on the task of the batch.
model_wrapper_cfg = dict(type='MMDistributedDataParallel', find_unused_parameters=True)
# Before the first image the LLM learns what expressions and questions mean, from scenes that it is told of. Colors and
# shapes take each other's places in them; the pairs that are never named in training stay what they are.
told = boxes + [dict(type='ExchangeNames', names=exchanged)]
# What is left of, larger than and more than what, of many objects at once and in many questions about one scene.
relate = told + [dict(type='DrawRelation', prob=0.5)] + flip_words
ask_anything = told + [dict(draw, prob=0.6)] + flip_words
ask_many = dict(draw, prob=1.0, num_turns=10)
find = told + [dict(ask_many, kinds=('place', 'place', 'size', 'more', 'count', 'exists', 'part', 'part'))] + flip_words
compare = told + [dict(ask_many, kinds=('place', 'size'))] + flip_words
tell = [dict(pack[0], prob=1.0), pack[1]]
told_expressions = dict(train_texts, type='ReferringExpressionDataset', ann_file='annotations/refexp_train.json')
told_questions = dict(train_texts, type='ConversationDataset', ann_file='annotations/conversations_train.json')
ask = dict(type='QuestionInstruction', training=True, shuffle_turns=True)
# First in few words and with few tokens, which takes half the time: what left, larger or how many mean.
short_expressions = dict(
    told_expressions,
    pipeline=relate + [dict(ground, training=True, templates=['<class> <format> <range> <image>']), pack[1]],
)
short_ask = [dict(ask, templates=['<question> <image>']), pack[1]]
short_questions = dict(told_questions, pipeline=told + flip_words + short_ask)
short_findings = dict(told_questions, pipeline=find + short_ask)
short_comparisons = dict(told_questions, pipeline=compare + short_ask)
told_scenes = [
    dict(told_expressions, pipeline=relate + [dict(ground, training=True)] + tell),
    dict(
        train_texts,
        type='CaptionDataset',
        ann_file='annotations/captions_train.json',
        pipeline=told + [dict(type='CaptionInstruction', training=True)] + tell,
    ),
    dict(told_questions, pipeline=ask_anything + [ask] + tell),
]
warmup = dict(type='DescriptionWarmupHook', num_tokens=8, batch_size=32, read_formats=False)
custom_hooks = [
    dict(type='SampleSeedHook'),
    dict(type='CheckClassNamesHook', priority='VERY_HIGH'),
    dict(warmup, datasets=[short_expressions], ratios=(1,), num_iters=700, asked_weight=5.0),
    dict(warmup, datasets=[short_expressions, short_questions], ratios=(0.4, 1), num_iters=1000, asked_weight=5.0),
    dict(
        warmup,
        datasets=[short_expressions, short_questions, short_findings],
        ratios=(0.1, 0.25, 1),
        num_iters=600,
        batch_size=16,
        asked_weight=5.0,
    ),
    # Which of two is further left or larger is learnt where nothing else is asked (docs/design.md).
    dict(warmup, datasets=[short_comparisons], ratios=(1,), num_iters=200, batch_size=16, asked_weight=5.0),
    # Output formats are learnt where nothing else is, and late: parts without them make the LLM forget them.
    dict(type='FormatWarmupHook', datasets=told_scenes[:1], ratios=(1,), num_iters=900),
    dict(
        type='DescriptionWarmupHook',
        datasets=told_scenes,
        ratios=(3, 0.7, 2.5),
        num_iters=1300,
        batch_size=16,
        asked_weight=5.0,
    ),
]

# What tools/evaluate_descriptions.py asks about scenes that are told, by the names of the test tasks with its metrics.
told_val = dict(val_words, objects=dict(metainfo=dict(classes=pairs), ann_file='annotations/instances_pairs_val.json'))
told_tasks = dict(
    grounding=dict(
        told_val,
        type='ReferringExpressionDataset',
        ann_file='annotations/refexp_val.json',
        pipeline=boxes + [dict(ground, training=True), pack[1]],
    ),
    vqa=dict(
        told_val,
        type='ConversationDataset',
        ann_file='annotations/conversations_val.json',
        pipeline=boxes + [dict(type='QuestionInstruction'), pack[1]],
    ),
)
