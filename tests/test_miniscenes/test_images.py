"""Images, masks, boxes and class sets of MiniScenes agree with each other, and mmdet reads them."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_ops
from pycocotools.coco import COCO

from tests.helpers.miniscenes import objects_by_image, read
from visionllm_mm.miniscenes import COLORS, HELD_OUT_PAIRS, KEYPOINTS, PAIRS, SHAPES
from visionllm_mm.miniscenes.render import _sample_background_colors, _to_lab
from visionllm_mm.miniscenes.scenes import (
    MAX_DIAMETER,
    MIN_DIAMETER,
    MIN_VISIBLE,
    sample_layout,
)
from visionllm_mm.miniscenes.shapes import OUTLINES, SUPERSAMPLE
from visionllm_mm.miniscenes.vocabulary import PALETTE


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_and_areas_are_those_of_the_masks(miniscenes, split):
    coco = COCO(str(miniscenes / f'annotations/instances_{split}.json'))
    assert len(coco.anns) > 50
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        x, y, w, h = annotation['bbox']
        assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (x, x + w, y, y + h)
        assert annotation['area'] == mask.sum()
        points = np.reshape(annotation['keypoints'], (len(KEYPOINTS), 3))
        assert [points[1, 1], points[3, 1]] == [y + 0.5, y + h - 0.5]  # top, bottom
        assert [points[4, 0], points[2, 0]] == [x + 0.5, x + w - 0.5]  # left, right
        on_mask = mask[points[:, 1].astype(int), points[:, 0].astype(int)]
        assert (points[:, 2] == np.where(on_mask, 2, 1)).all()


def test_masks_do_not_overlap_and_cover_the_objects_color(miniscenes):
    coco = COCO(str(miniscenes / 'annotations/instances_val.json'))
    for image in coco.dataset['images']:
        pixels = cv2.imread(str(miniscenes / 'val' / image['file_name']))[..., ::-1]
        annotations = coco.imgToAnns[image['id']]
        masks = [coco.annToMask(a) for a in annotations]
        # Neighboring polygons are rounded apart from each other, by single pixels on the border.
        overlap = (np.sum(masks, axis=0) > 1).sum() if masks else 0
        assert overlap <= 0.05 * sum(a['area'] for a in annotations)
        for annotation, mask in zip(annotations, masks, strict=True):
            color = np.median(pixels[mask > 0], axis=0)
            nearest = min(PALETTE, key=lambda name: np.linalg.norm(color - PALETTE[name]))
            assert nearest == annotation['attributes']['color']


def test_masks_with_a_hole_are_rle(miniscenes):
    rings = [a for a in read(miniscenes, 'instances_train')['annotations'] if a['attributes']['shape'] == 'ring']
    holed = [a for a in rings if isinstance(a['segmentation'], dict)]
    assert len(holed) > len(rings) / 2
    for annotation in holed:
        mask = rle_ops.decode(annotation['segmentation'])
        assert len(cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]) > 1


def test_objects_stay_visible_and_inside_the_size_range():
    for index in range(60):
        for obj in sample_layout(np.random.default_rng(index), 'val', 128):
            assert MIN_DIAMETER <= obj.diameter / 128 <= MAX_DIAMETER
            visible = cv2.countNonZero(obj.visible) / SUPERSAMPLE**2
            assert visible >= MIN_VISIBLE * obj.full_area


def test_outlines_fill_the_unit_circle():
    for outlines in OUTLINES.values():
        radius = max(np.linalg.norm(outline, axis=1).max() for outline in outlines)
        assert radius == pytest.approx(1, abs=1e-6)


def test_backgrounds_contrast_with_all_objects():
    rng = np.random.default_rng(0)
    for _ in range(300):
        colors = rng.choice(COLORS, rng.integers(1, 7)).tolist()
        first, second = _sample_background_colors(rng, colors)
        mixtures = np.linspace(first, second, 9, dtype=np.float32)[:, None]
        objects = np.float32([PALETTE[c] for c in colors])
        assert np.linalg.norm(_to_lab(mixtures) - _to_lab(objects), axis=-1).min() > 20


def test_class_sets_describe_the_same_objects(miniscenes):
    shapes, colors, pairs = (read(miniscenes, f'instances{name}_val') for name in ('', '_colors', '_pairs'))
    assert [c['name'] for c in shapes['categories']] == list(SHAPES)
    assert [c['name'] for c in colors['categories']] == list(COLORS)
    assert [c['name'] for c in pairs['categories']] == [' '.join(pair) for pair in PAIRS]
    for by_shape, by_color, by_pair in zip(
        shapes['annotations'], colors['annotations'], pairs['annotations'], strict=True
    ):
        color, shape = (by_shape['attributes'][key] for key in ('color', 'shape'))
        assert shapes['categories'][by_shape['category_id'] - 1]['name'] == shape
        assert colors['categories'][by_color['category_id'] - 1]['name'] == color
        assert pairs['categories'][by_pair['category_id'] - 1]['name'] == f'{color} {shape}'
        assert by_shape['bbox'] == by_color['bbox'] == by_pair['bbox']


def test_held_out_pairs_never_occur_in_training(miniscenes):
    assert sorted(c for c, _ in HELD_OUT_PAIRS) == sorted(COLORS)
    assert sorted(s for _, s in HELD_OUT_PAIRS) == sorted(SHAPES)
    for index in range(100):
        layout = sample_layout(np.random.default_rng(index), 'train', 64)
        assert not {(obj.color, obj.shape) for obj in layout} & set(HELD_OUT_PAIRS)
    for name in ('instances_train', 'refexp_train', 'captions_train', 'conversations_train'):
        text = (miniscenes / f'annotations/{name}.json').read_text()
        assert not [pair for pair in HELD_OUT_PAIRS if ' '.join(pair) in text]
    for annotation in read(miniscenes, 'instances_train')['annotations']:
        attributes = annotation['attributes']
        assert (attributes['color'], attributes['shape']) not in HELD_OUT_PAIRS

    unseen = read(miniscenes, 'instances_unseen-pairs_val')
    found = {(a['attributes']['color'], a['attributes']['shape']) for a in unseen['annotations']}
    assert found and found <= set(HELD_OUT_PAIRS)
    assert {a['image_id'] for a in unseen['annotations']} == {i['id'] for i in unseen['images']}
    everything = read(miniscenes, 'instances_pairs_val')['annotations']
    assert unseen['annotations'] == [
        a for a in everything if (a['attributes']['color'], a['attributes']['shape']) in HELD_OUT_PAIRS
    ]


def test_images_without_objects_are_consistent(miniscenes):
    objects = objects_by_image(miniscenes, 'val')
    empty = {i['id'] for i in read(miniscenes, 'instances_val')['images']} - set(objects)
    assert empty
    assert not empty & {i['original_id'] for i in read(miniscenes, 'refexp_val')['images']}
    for caption in read(miniscenes, 'captions_val')['annotations']:
        if caption['image_id'] in empty:
            assert not any(word in caption['caption'] for word in (*COLORS, *SHAPES))
    for entry in read(miniscenes, 'conversations_val'):
        if int(entry['id'].split('_')[1]) in empty:
            answers = [turn['value'] for turn in entry['conversations'][1::2]]
            assert set(answers) <= {'0', 'no'} and len(answers) >= 2


def test_mmdet_reads_instances_with_masks(miniscenes):
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    dataset = CocoDataset(
        data_root=str(miniscenes),
        ann_file='annotations/instances_val.json',
        metainfo={'classes': SHAPES},
        data_prefix={'img': 'val/'},
        test_mode=True,
        pipeline=[
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'PackDetInputs'},
        ],
    )
    objects = objects_by_image(miniscenes, 'val')
    assert len(dataset) == 40
    for sample in dataset:
        instances = sample['data_samples'].gt_instances
        expected = objects[sample['data_samples'].img_id]
        areas = instances.masks.areas.tolist()
        assert areas == [a['area'] for a in expected]
        assert instances.labels.tolist() == [a['category_id'] - 1 for a in expected]
