"""tools/_grading.py: answers with known mistakes about scenes whose truth is known."""

import sys

import pytest
from pycocotools import mask as rle_ops

from tests.helpers.tiny import ROOT
from visionllm_mm.miniscenes import make_example

SCENE = make_example(seed=0, split='val', index=1, size=128)  # heart, cross, triangle, two crescents
SHAPES = [(target.shape, target) for target in SCENE.instances]


@pytest.fixture(scope='module')
def grading():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'tools'))
        import _grading
    yield _grading
    sys.modules.pop('_grading')


def _truth(grading, number=None):
    return [grading.in_scene(name, target) for name, target in SHAPES[:number]]


def _answer(truth, kind='boxes', score=0.9):
    """The prediction that agrees with the truth."""
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (target.bbox_xywh for _, target in truth)]
    answer = dict(
        bboxes=boxes, scores=[score] * len(truth), label_names=[name for name, _ in truth], ori_shape=[128, 128]
    )
    if kind == 'masks':
        answer['masks'] = [_rle(target.segmentation) for _, target in truth]
    if kind == 'keypoints':
        points = [target.keypoints for _, target in truth]
        answer['keypoints'] = [[list(xy) for xy in zip(flat[::3], flat[1::3], strict=True)] for flat in points]
    return answer


def _rle(segmentation):
    if isinstance(segmentation, dict):
        return segmentation
    rle = rle_ops.merge(rle_ops.frPyObjects(segmentation, 128, 128))
    return dict(rle, counts=rle['counts'].decode())


@pytest.mark.parametrize('kind', ['boxes', 'masks', 'keypoints'])
def test_the_truth_is_right_and_each_mistake_is_named(grading, kind):
    answer = _answer(SHAPES, kind)
    everything = 'blue heart, green cross, purple triangle, purple crescent, cyan crescent'
    assert grading.grade_objects(answer, _truth(grading)) == (True, f'found: {everything}', 5, 5)

    answer['scores'][0] = 0.29
    answer['label_names'][2] = 'star'
    right, text, found, objects = grading.grade_objects(answer, _truth(grading))
    assert not right and (found, objects) == (3, 5)
    assert text == (
        'found: green cross, purple crescent, cyan crescent; missing: blue heart, purple triangle; wrong: star 0.90'
    )
    assert grading.grade_objects(answer, _truth(grading), score_thr=0.2).found == 4


@pytest.mark.parametrize('kind', ['boxes', 'masks', 'keypoints'])
def test_an_object_that_is_elsewhere_is_wrong(grading, kind):
    answer = _answer([('heart', SHAPES[1][1])], kind)
    assert grading.grade_objects(answer, _truth(grading, 1)).text == 'missing: blue heart; wrong: heart 0.90'


def test_an_object_that_is_found_twice(grading):
    assert grading.grade_objects(_answer(SHAPES[:1] * 2), _truth(grading, 1)) == (
        False,
        'found: blue heart; twice: blue heart',
        1,
        1,
    )


def test_nothing_to_find(grading):
    assert grading.grade_objects(_answer([]), []) == (True, 'nothing to find, nothing found', 0, 0)
    assert grading.grade_objects(_answer(SHAPES[:1]), []).text == 'wrong: heart 0.90'
    assert grading.grade_objects(_answer([]), _truth(grading, 1)).text == 'missing: blue heart'


def test_the_best_box_answers_an_expression(grading):
    phrase = 'the largest object'
    boxes = _answer([(phrase, target) for _, target in SHAPES[:2]])
    assert grading.grade_expression(boxes, SHAPES[0][1]).is_right
    assert grading.grade_expression(boxes, SHAPES[1][1]).text == 'missing: green cross; wrong: the largest object 0.90'
    assert grading.grade_expression(_answer([]), SHAPES[1][1]).text == 'missing: green cross'


def test_captions_by_number_color_and_shape(grading):
    full = 'a blue heart, a green cross, a purple triangle, a purple crescent and a cyan crescent'
    assert grading.grade_caption(full, SCENE).is_right
    assert grading.grade_caption('two blue hearts and a crescent', SCENE) == (
        False,
        'found: blue heart; missing: green cross, purple triangle, purple crescent, cyan crescent; wrong: blue heart',
        1,
        5,
    )
    empty = make_example(seed=0, split='val', index=13, size=128)
    assert grading.grade_caption('an empty scene', empty).is_right
    assert grading.grade_caption('a red star', empty).text == 'wrong: red star'


def test_answers_in_text(grading):
    assert grading.grade_answer(' Yes.', 'yes').is_right
    assert grading.grade_answer('5', '6') == (False, 'answer: 5; truth: 6', 0, 0)
    assert grading.grade_answer('', '0') == (False, 'answer: (no text); truth: 0', 0, 0)


def test_objects_of_one_name_are_counted(grading):
    trees = [
        grading.TrueObject('tree', 'tree', dict(bbox=[x, 10, 8, 8], area=64, iscrowd=0)) for x in (0, 20, 40, 60, 80)
    ]
    answer = dict(
        bboxes=[[0, 10, 8, 18], [21, 10, 29, 18], [100, 0, 110, 9]],
        scores=[0.9, 0.8, 0.7],
        label_names=['tree'] * 3,
        ori_shape=[128, 128],
    )
    grade = grading.grade_objects(answer, trees)
    assert grade == (False, 'found: 2 x tree; missing: 3 x tree; wrong: tree 0.70', 2, 5)
