"""The instruction transform inside a pipeline: targets, packing, degenerate samples."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope

from tests.helpers.scenes import NAMES, make_coco_folder, small_config
from tests.helpers.tiny import batch, build_model
from visionllm_mm.datasets import (
    AddPolygons,
    DetectionInstruction,
    GroundingInstruction,
    PackInstructionInputs,
    SegmentationInstruction,
)
from visionllm_mm.instructions import DETECTION_TEMPLATES, Vocabulary, parse_instruction
from visionllm_mm.models.targets import set_targets

VOCABULARY = dict(num_classes=8, coord_range=64, max_points=24)


def _sample(labels=(2, 0, 2), ignore=(False, False, True), names=('circle', 'square', 'star')):
    boxes = torch.tensor([[1.0, 2.0, 11.0, 22.0], [5.0, 5.0, 9.0, 9.0], [0.0, 0.0, 3.0, 4.0]])[: len(labels)]
    return dict(
        text=tuple(names),
        img_id=3,
        gt_bboxes=HorizontalBoxes(boxes.reshape(-1, 4)),
        gt_bboxes_labels=np.array(labels, dtype=np.int64),
        gt_ignore_flags=np.array(ignore, dtype=bool),
        img=np.zeros((30, 40, 3), np.uint8),
        img_shape=(30, 40),
    )


def test_templates_vary_while_training_and_not_while_evaluating():
    np.random.seed(0)
    training = DetectionInstruction(VOCABULARY, training=True)
    templates = {training(_sample())['instruction'].replace('\n', '') for _ in range(60)}
    starts = {text[:8] for text in templates}
    assert len(starts) >= 8
    evaluation = DetectionInstruction(VOCABULARY)
    assert len({evaluation(_sample())['instruction'] for _ in range(5)}) == 1


def test_template_index_chooses_the_template():
    texts = [
        DetectionInstruction(VOCABULARY, template_index=i)(_sample())['instruction']
        for i in range(len(DETECTION_TEMPLATES))
    ]
    assert len(set(texts)) == len(texts)
    assert texts[2].startswith(DETECTION_TEMPLATES[2].split('<')[0])
    with pytest.raises(ValueError, match=r'template_index must be 0 .. 1, got 2'):
        DetectionInstruction(VOCABULARY, templates=DETECTION_TEMPLATES[:2], template_index=2)


def test_sets_have_at_most_max_classes_and_favour_what_is_shown():
    np.random.seed(0)
    transform = DetectionInstruction(VOCABULARY, training=True, subset_prob=0.0, max_classes=2)
    names = [f'name {i}' for i in range(30)]
    for _ in range(30):
        result = transform(_sample(names=names))
        assert sorted(result['class_labels']) == [0, 2] and len(result['gt_bboxes_labels']) == 3


def test_randomness_can_be_switched_off():
    np.random.seed(0)
    fixed = DetectionInstruction(
        VOCABULARY, training=True, templates=DETECTION_TEMPLATES[:1], subset_prob=0.0, shuffle=False
    )
    assert len({fixed(_sample())['instruction'] for _ in range(20)}) == 1
    subsets = DetectionInstruction(VOCABULARY, training=True, subset_prob=1.0, shuffle=False)
    sampled = [subsets(_sample())['class_labels'] for _ in range(30)]
    assert all(labels == sorted(labels) for labels in sampled) and len({tuple(labels) for labels in sampled}) > 3


def test_max_classes_asks_for_a_large_set_in_groups():
    names = [f'name {i}' for i in range(7)]
    result = DetectionInstruction(VOCABULARY, max_classes=3)(_sample(names=names))
    texts, labels = zip(*result['class_groups'], strict=True)
    assert list(labels) == [[0, 1, 2], [3, 4, 5], [6]] and result['class_labels'] == [0, 1, 2]
    read = [parse_instruction(text, Vocabulary(**VOCABULARY)).class_names for text in texts]
    assert [name for group in read for name in group] == names and result['instruction'] == texts[0]
    fits, plain = (DetectionInstruction(VOCABULARY, max_classes=limit)(_sample(names=names)) for limit in (7, None))
    assert 'class_groups' not in fits and fits['instruction'] == plain['instruction']
    with pytest.raises(ValueError, match="'name 0'.* more than once"):
        DetectionInstruction(VOCABULARY, max_classes=3)(_sample(names=[*names, 'name 0']))


def test_longest_instructions_are_all_groups_of_a_test_and_the_worst_of_a_training():
    names = ['a', 'bbbb', 'cc', 'ddd', 'e']
    asked = DetectionInstruction(VOCABULARY, max_classes=2).longest_instructions(names)
    sets = [parse_instruction(text, Vocabulary(**VOCABULARY)).class_names for text in asked]
    assert sets == [('a', 'bbbb'), ('cc', 'ddd'), ('e',)]
    sampled = DetectionInstruction(VOCABULARY, max_classes=2, training=True).longest_instructions(names)
    assert len(sampled) == len(DETECTION_TEMPLATES)
    assert {parse_instruction(text, Vocabulary(**VOCABULARY)).class_names for text in sampled} == {('bbbb', 'ddd')}


def test_plain_names_have_no_underscores_and_brackets():
    names = ['bow_(weapon)', 'flip-flop_(sandal)', 'Band_Aid']
    for training in (False, True):
        transform = DetectionInstruction(VOCABULARY, training=training, plain_names=True, subset_prob=0.0)
        result = transform(_sample(names=names))
        assert sorted(result['class_names']) == ['Band Aid', 'bow weapon', 'flip-flop sandal']
        assert [names[k].replace('_', ' ').replace('(', '').replace(')', '') for k in result['class_labels']] == result[
            'class_names'
        ]
        assert '"bow weapon": <c' in result['instruction'] and 'bow_' not in result['instruction']
        assert all('"bow weapon"' in text for text in transform.longest_instructions(names))
    assert '"bow_(weapon)"' in DetectionInstruction(VOCABULARY)(_sample(names=names))['instruction']
    with pytest.raises(ValueError, match="'a b'.* more than once"):
        DetectionInstruction(VOCABULARY, plain_names=True)(_sample(names=['a_b', 'a b']))


def test_more_classes_than_tokens_are_an_error_for_evaluation_and_subsets_while_training():
    names = [f'name {i}' for i in range(9)]
    with pytest.raises(ValueError, match='9 classes, but the vocabulary has only 8'):
        DetectionInstruction(VOCABULARY)(_sample(names=names))
    with pytest.raises(ValueError, match='9 classes'):
        DetectionInstruction(VOCABULARY, classes=names)
    assert (
        len(DetectionInstruction(VOCABULARY, training=True, subset_prob=0.0)(_sample(names=names))['class_names']) == 8
    )


@pytest.mark.parametrize('subset_prob', [0.0, 1.0])
def test_image_without_objects_gives_empty_targets(subset_prob):
    result = DetectionInstruction(VOCABULARY, training=True, subset_prob=subset_prob)(_sample(labels=(), ignore=()))
    assert result['gt_points'].shape == (0, 2, 2) and result['gt_points'].dtype == np.float32
    assert result['gt_bboxes_labels'].shape == (0,) and len(result['gt_bboxes']) == 0
    packed = PackInstructionInputs()(result)['data_samples']
    assert len(packed.gt_instances) == 0 and packed.gt_instances.points.shape == (0, 2, 2)


def test_objects_of_classes_left_out_are_marked():
    np.random.seed(1)
    transform = DetectionInstruction(VOCABULARY, training=True, subset_prob=1.0)
    sizes = set()
    for _ in range(40):
        result = transform(_sample())
        names = result['class_names']
        assert [names[k] if k >= 0 else None for k in result['gt_bboxes_labels']] == [
            n if n in names else None for n in ('star', 'circle', 'star')
        ]
        sizes.add(int((result['gt_bboxes_labels'] >= 0).sum()))
    assert sizes == {0, 1, 2, 3}


def test_packed_sample_has_the_instruction_and_separates_ignored_objects():
    np.random.seed(0)
    result = DetectionInstruction(VOCABULARY, training=True, subset_prob=0.0)(_sample())
    packed = PackInstructionInputs()(result)
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 30, 40)
    assert sample.instruction == result['instruction'] and sample.class_labels == result['class_labels']
    assert sample.gt_instances.points.tolist() == [[[1, 2], [11, 22]], [[5, 5], [9, 9]]]
    assert sample.gt_instances.labels.tolist() == result['gt_bboxes_labels'][:2].tolist()
    assert len(sample.ignored_instances) == 1
    for key in ('img_id', 'img_shape', 'text', 'class_names'):
        assert key in sample


@pytest.mark.parametrize(
    'text, names',
    [
        ('a . b', ['a', 'b']),
        ('a . b .', ['a', 'b']),
        (' red star . St. Bernard ', ['red star', 'St. Bernard']),
        ('one', ['one']),
    ],
)
def test_prompt_is_split_as_mmdet_writes_it(text, names):
    result = DetectionInstruction(VOCABULARY)(dict(text=text, custom_entities=True))
    assert result['class_names'] == names and result['class_labels'] == list(range(len(names)))
    assert list(parse_instruction(result['instruction'], Vocabulary(**VOCABULARY)).class_names) == names


@pytest.mark.parametrize(
    'results, error, message',
    [
        (dict(text='a . a', custom_entities=True), ValueError, r"\['a'\] are listed more than once"),
        (dict(text='', custom_entities=True), ValueError, 'empty'),
        (dict(text=('a', 3)), TypeError, '3 of type int'),
        (dict(text=()), ValueError, 'empty'),
        (dict(text='a . <image>', custom_entities=True), ValueError, 'must not hold'),
        (dict(), ValueError, 'no class set: give classes='),
    ],
)
def test_bad_class_sets_are_errors(results, error, message):
    with pytest.raises(error, match=message):
        DetectionInstruction(VOCABULARY)(results)


def test_grounding_asks_for_the_expression_alone():
    sample = _sample() | dict(text='the red "star" ', custom_entities=False)
    result = GroundingInstruction(VOCABULARY, training=True)(sample)
    asked = parse_instruction(result['instruction'], Vocabulary(**VOCABULARY))
    assert asked.class_names == ('the red "star"',) and asked.class_indices == (0,)
    assert result['gt_bboxes_labels'].tolist() == [0, 0, 0]  # whatever the categories of the file
    assert result['gt_points'].shape == (3, 2, 2)
    nothing = _sample(labels=(), ignore=()) | dict(text='the ring', custom_entities=False)
    assert GroundingInstruction(VOCABULARY, training=True)(nothing)['gt_points'].shape == (0, 2, 2)


def test_an_expression_of_1000_words_is_asked_as_it_is_and_refused_by_a_model_that_can_not_read_it():
    expression = ' '.join(['the red star'] * 333 + ['there'])
    text = GroundingInstruction(VOCABULARY)(_sample() | dict(text=expression))['instruction']
    assert parse_instruction(text, Vocabulary(**VOCABULARY)).class_names == (expression,)
    model = build_model()
    with pytest.raises(ValueError, match='but the text encoder takes 512: shorten it'):
        model.check_instructions([text])
    images, samples = batch([1, 1])
    samples[0].set_metainfo(dict(instruction=text))
    with pytest.raises(ValueError, match='but the text encoder takes 512: shorten it'):
        model.eval().predict(images, samples)
    assert len(model.predict(images[1:], samples[1:])[0].pred_instances) > 0


def test_crowds_are_neither_targets_nor_distractors(tmp_path):
    init_default_scope('mmdet')
    crowd = dict(segmentation=dict(size=[30, 40], counts=[0, 300, 900]), bbox=[0, 0, 10, 30], area=300, iscrowd=1)
    single = dict(segmentation=[[20, 5, 30, 5, 30, 15, 20, 15]], bbox=[20, 5, 10, 10], area=100, iscrowd=0)
    (tmp_path / 'ann.json').write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='a.png', width=40, height=30)],
                categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
                annotations=[
                    dict(id=1, image_id=1, category_id=1, **crowd),
                    dict(id=2, image_id=1, category_id=1, **single),
                ],
            )
        )
    )
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((30, 40, 3), np.uint8))
    segment = dict(type='SegmentationInstruction', vocabulary=VOCABULARY, num_points=8, training=True, subset_prob=0.0)
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file='ann.json',
            data_root=str(tmp_path),
            data_prefix=dict(img=''),
            return_classes=True,
            metainfo=dict(classes=('cat', 'dog')),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
                segment,
                dict(type='PackInstructionInputs'),
            ],
        )
    )
    sample = dataset[0]['data_samples']
    assert len(sample.gt_instances) == len(sample.ignored_instances) == 1
    assert sample.gt_instances.points.shape == (1, 8, 2) and sample.gt_instances.points[..., 0].min() >= 19
    sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor  # as the data preprocessor does
    target = set_targets([sample])[0]
    assert len(target) == 1 and len(target.distractors_norm) == 0


@pytest.mark.parametrize('text', [None, '', '  ', ('circle', 'star')])
def test_grounding_without_an_expression_is_an_error(text):
    with pytest.raises(ValueError, match='grounding needs an expression'):
        GroundingInstruction(VOCABULARY)(_sample() | dict(text=text))


def _outlined(masks):
    sample = _sample()
    sample['gt_masks'] = BitmapMasks(np.array(masks, dtype=np.uint8), 30, 40)
    return sample


def _boxes_as_masks():
    masks = np.zeros((3, 30, 40))
    masks[0, 2:22, 1:11], masks[1, 5:9, 5:9], masks[2, 0:4, 0:3] = 1, 1, 1
    return masks


def test_polygons_follow_the_masks():
    np.random.seed(0)
    transform = SegmentationInstruction(VOCABULARY, num_points=(8, 24), training=True)
    counts = set()
    for _ in range(20):
        result = transform(_outlined(_boxes_as_masks()))
        asked = parse_instruction(result['instruction'], Vocabulary(**VOCABULARY))
        points = result['gt_points']
        counts.add(asked.num_points)
        assert points.shape == (3, asked.num_points, 2) and points.dtype == np.float32
        boxes = result['gt_bboxes'].tensor.numpy()
        assert (points >= boxes[:, None, :2]).all() and (points <= boxes[:, None, 2:]).all()
        np.testing.assert_allclose(points[:, 0, 0], boxes[:, 2], atol=1e-4)  # they start on the right
    assert len(counts) > 5 and counts <= set(range(8, 25))


def test_vanished_masks_are_no_objects():
    masks = _boxes_as_masks()
    masks[1] = 0
    result = SegmentationInstruction(VOCABULARY, training=True, subset_prob=0.0)(_outlined(masks))
    assert result['gt_points'].shape == (2, 24, 2) and len(result['gt_masks']) == len(result['gt_bboxes']) == 2
    assert [result['class_names'][k] for k in result['gt_bboxes_labels']] == ['star', 'star']
    assert result['gt_ignore_flags'].tolist() == [False, True]
    nothing = SegmentationInstruction(VOCABULARY, training=True)(_outlined(np.zeros((3, 30, 40))))
    assert nothing['gt_points'].shape == (0, 24, 2)
    assert len(PackInstructionInputs()(nothing)['data_samples'].gt_instances) == 0


def test_polygons_are_known_whatever_is_asked_for():
    np.random.seed(0)
    masks = _boxes_as_masks()
    masks[1] = 0
    asked = DetectionInstruction(VOCABULARY, training=True, subset_prob=0.0)(_outlined(masks))
    result = AddPolygons((8, 24))(asked)
    polygons = result['gt_polygons']
    assert polygons.shape[0] == 3 and 8 <= polygons.shape[1] <= 24 and polygons.dtype == np.float32
    assert np.isnan(polygons[1]).all() and not np.isnan(polygons[[0, 2]]).any()
    np.testing.assert_allclose(polygons[0].min(axis=0), [1, 2], atol=2.1)
    packed = PackInstructionInputs()(result)['data_samples']
    assert packed.gt_instances.points.shape == (2, 2, 2) and len(packed.ignored_instances) == 1
    packed.gt_instances.bboxes = packed.gt_instances.bboxes.tensor  # as the data preprocessor does
    (target,) = set_targets([packed])
    torch.testing.assert_close(
        target.polygons_norm, torch.from_numpy(polygons[:2]) / torch.tensor([40.0, 30.0]), equal_nan=True
    )
    assert len({AddPolygons((8, 24))(dict(asked))['gt_polygons'].shape[1] for _ in range(20)}) > 5


def test_polygons_of_objects_without_a_name_come_last():
    result = AddPolygons((8, 8))(DetectionInstruction(VOCABULARY, training=True)(_outlined(_boxes_as_masks())))
    result['gt_bboxes_labels'] = np.array([-1, 0, 0])
    result['gt_ignore_flags'][:] = False
    packed = PackInstructionInputs()(result)['data_samples']
    packed.gt_instances.bboxes = packed.gt_instances.bboxes.tensor
    (target,) = set_targets([packed])
    torch.testing.assert_close(
        target.polygons_norm * target.image_size, torch.from_numpy(result['gt_polygons'][[1, 2, 0]])
    )
    low, high = target.all_boxes_norm.unbind(dim=1)
    assert ((target.polygons_norm >= low[:, None] - 1e-5) & (target.polygons_norm <= high[:, None] + 1e-5)).all()


def test_polygons_without_masks_or_points_are_errors():
    with pytest.raises(ValueError, match='AddPolygons needs masks: set with_mask=True'):
        AddPolygons((8, 24))(_sample())
    with pytest.raises(ValueError, match=r'num_points must be \(fewest, most\) .* got \(2, 24\)'):
        AddPolygons((2, 24))


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(num_points=2), 'within 3 .. 24'),
        (dict(num_points=25), 'within 3 .. 24'),
        (dict(num_points=(8, 25)), 'within 3 .. 24'),
        (dict(num_points=(24, 8), training=True), 'within 3 .. 24'),
        (dict(num_points=(8, 24)), 'evaluation needs one number of points'),
    ],
)
def test_bad_numbers_of_points_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        SegmentationInstruction(VOCABULARY, **settings)


def test_training_pipeline_keeps_points_on_the_boxes(tmp_path, monkeypatch):
    """After flip, resize and crop the points are still the corners of the boxes, in pixels of the input."""
    init_default_scope('mmdet')
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco'), tmp_path / 'work')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seen = 0
    for i in range(len(dataset)):
        item = dataset[i]
        sample, (height, width) = item['data_samples'], item['inputs'].shape[1:]
        points = sample.gt_instances.points.view(-1, 4)
        torch.testing.assert_close(points, sample.gt_instances.bboxes.tensor)
        limits = torch.tensor([width, height, width, height])
        assert (points >= 0).all() and (points <= limits).all() and sample.img_shape == (height, width)
        assert set(sample.class_names) <= set(NAMES)
        seen += len(points)
    assert seen > 0 and len(dataset) == 8
