# Warm-ups of an LLM with random weights, before stage 2: the LLM learns expressions and questions from image tokens
# simulated from annotations. Colors and shapes are exchanged for each other; the pairs that are never named in training
# stay unnamed.
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

from visionllm_mm.config_files import from_environment  # noqa: E402

data_root = from_environment('MINISCENES_ROOT', 'data/miniscenes') + '/'
vocabulary = dict(num_classes=64, coord_range=64, max_points=24)
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

boxes = [dict(type='LoadAnnotations', with_bbox=True)]
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
scramble = dict(type='ScrambleInstruction', max_points=24, prob=1.0)
pack = dict(type='PackInstructionInputs')
ground = dict(type='GroundingInstruction', vocabulary=vocabulary)
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

# The objects in the images of texts are annotated; they are targets of the image tokens.
train_texts = dict(
    data_root=data_root,
    data_prefix=dict(img='train/'),
    objects=dict(metainfo=dict(classes=seen_pairs), ann_file='annotations/instances_pairs_train.json'),
)
annotate = boxes + [dict(type='ExchangeNames', names=exchanged)]
# Relations of position, size and number, about many objects at once and in many questions about one scene.
relate = annotate + [dict(type='RandomRelation', prob=0.5)] + flip_words
mix = annotate + [dict(random_questions, prob=0.6)] + flip_words
many = dict(random_questions, prob=1.0, num_turns=10)
find = annotate + [dict(many, kinds=('place', 'place', 'size', 'more', 'count', 'exists', 'part', 'part'))] + flip_words
compare = annotate + [dict(many, kinds=('place', 'size'))] + flip_words
pack_all = [scramble, pack]
expressions = dict(train_texts, type='ReferringExpressionDataset', ann_file='annotations/refexp_train.json')
questions = dict(train_texts, type='ConversationDataset', ann_file='annotations/conversations_train.json')
ask = dict(type='QuestionInstruction', training=True, shuffle_turns=True)
# The first warm-ups have short templates and few image tokens: they take half the time.
short_expressions = dict(
    expressions,
    pipeline=relate + [dict(ground, training=True, templates=['<class> <format> <range> <image>']), pack],
)
short_ask = [dict(ask, templates=['<question> <image>']), pack]
short_questions = dict(questions, pipeline=annotate + flip_words + short_ask)
short_findings = dict(questions, pipeline=find + short_ask)
short_comparisons = dict(questions, pipeline=compare + short_ask)
all_texts = [
    dict(expressions, pipeline=relate + [dict(ground, training=True)] + pack_all),
    dict(
        train_texts,
        type='CaptionDataset',
        ann_file='annotations/captions_train.json',
        pipeline=annotate + [dict(type='CaptionInstruction', training=True)] + pack_all,
    ),
    dict(questions, pipeline=mix + [ask] + pack_all),
]
short = dict(type='SimulatedTokensWarmupHook', num_tokens=8, batch_size=32, read_formats=False, phrase_weight=5.0)
# They run in this order.
warmups = dict(
    warmup_expressions=dict(short, datasets=[short_expressions], ratios=(1,), num_iters=700),
    warmup_questions=dict(short, datasets=[short_expressions, short_questions], ratios=(0.4, 1), num_iters=1000),
    warmup_findings=dict(
        short,
        datasets=[short_expressions, short_questions, short_findings],
        ratios=(0.1, 0.25, 1),
        num_iters=600,
        batch_size=16,
    ),
    # Comparisons of two objects are learned where nothing else is asked (docs/decisions.md#warm-ups).
    warmup_comparisons=dict(short, datasets=[short_comparisons], ratios=(1,), num_iters=200, batch_size=16),
    # Output formats are learned where nothing else is, and late: the LLM forgets them in warm-ups without them.
    warmup_formats=dict(type='FormatWarmupHook', datasets=all_texts[:1], ratios=(1,), num_iters=900),
    warmup_all=dict(
        type='SimulatedTokensWarmupHook',
        datasets=all_texts,
        ratios=(3, 0.7, 2.5),
        num_iters=1300,
        batch_size=16,
        phrase_weight=5.0,
    ),
)

# The tasks of tools/evaluate_simulated_tokens.py, by the names of the test tasks that have their metrics.
val_texts = dict(
    data_root=data_root,
    data_prefix=dict(img='val/'),
    test_mode=True,
    objects=dict(metainfo=dict(classes=pairs), ann_file='annotations/instances_pairs_val.json'),
)
simulated_tasks = dict(
    grounding=dict(
        val_texts,
        type='ReferringExpressionDataset',
        ann_file='annotations/refexp_val.json',
        pipeline=boxes + [dict(ground, training=True), pack],
    ),
    vqa=dict(
        val_texts,
        type='ConversationDataset',
        ann_file='annotations/conversations_val.json',
        pipeline=boxes + [dict(type='QuestionInstruction'), pack],
    ),
)
# Helper variables are deleted: the configs of the data define some of these names, too.
del data_root, vocabulary, colors, shapes, unseen_pairs, pairs, seen_pairs, boxes, flip_words, scramble, pack, ground
del exchanged, random_questions, train_texts, annotate, relate, mix, many, find, compare, pack_all, expressions
del questions, ask, short_expressions, short_ask, short_questions, short_findings, short_comparisons, all_texts, short
del val_texts
