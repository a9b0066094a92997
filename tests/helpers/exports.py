"""Folders of own data as annotation programs export them in COCO format, after their documented forms."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

SIZE = (80, 60)
BOXES = [(5.0, 6.0, 20.0, 15.0), (40.5, 20.25, 30.0, 25.5), (10.0, 30.0, 25.0, 20.0)]
NAMES = ['oak tree', 'birch']


def _save(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.full((SIZE[1], SIZE[0], 3), 99, np.uint8))


def _polygon(box: tuple) -> list[float]:
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x + w / 2, y + h, x, y + h]


def _run_lengths(box: tuple) -> dict:
    """Uncompressed RLE."""
    x, y, w, h = (int(v) for v in box)
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[y : y + h, x : x + w] = 1
    flat = mask.ravel(order='F')
    changes = np.nonzero(np.diff(flat))[0] + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    counts = np.diff(edges).tolist()
    return dict(size=[SIZE[1], SIZE[0]], counts=counts if flat[0] == 0 else [0, *counts])


def labelme(folder: Path) -> dict:
    """labelme2coco: category ids from 0, no licenses, polygons as floats."""
    _save(folder, 'IMG 1.jpg')
    return dict(
        images=[dict(height=SIZE[1], width=SIZE[0], id=1, file_name='IMG 1.jpg')],
        categories=[dict(supercategory=name, id=i, name=name) for i, name in enumerate(NAMES)],
        annotations=[
            dict(
                iscrowd=0,
                image_id=1,
                bbox=list(box),
                segmentation=[_polygon(box)],
                category_id=i % 2,
                id=i + 1,
                area=box[2] * box[3],
            )
            for i, box in enumerate(BOXES)
        ],
    )


def _cvat(folder: Path, make: Callable) -> dict:
    _save(folder, 'camera/frame_000000.png')
    image = dict(
        id=1,
        width=SIZE[0],
        height=SIZE[1],
        file_name='camera/frame_000000.png',
        license=0,
        flickr_url='',
        coco_url='',
        date_captured=0,
    )
    return dict(
        licenses=[dict(name='', id=0, url='')],
        info=dict(contributor='', date_created='', description='', url='', version='', year=''),
        categories=[dict(id=i + 1, name=name, supercategory='') for i, name in enumerate(NAMES)],
        images=[image],
        annotations=[
            dict(
                id=i + 1,
                image_id=1,
                category_id=i % 2 + 1,
                bbox=list(box),
                area=box[2] * box[3],
                **make(box),
            )
            for i, box in enumerate(BOXES)
        ],
    )


def cvat_boxes(folder: Path) -> dict:
    """CVAT: boxes with an empty outline, attributes, rotation."""
    attributes = dict(occluded=False, rotation=0.0, track_id=0, keyframe=True)
    return _cvat(folder, lambda box: dict(segmentation=[], iscrowd=0, attributes=attributes))


def cvat_polygons(folder: Path) -> dict:
    """CVAT: polygons."""
    return _cvat(folder, lambda box: dict(segmentation=[_polygon(box)], iscrowd=0, attributes=dict(occluded=False)))


def cvat_masks(folder: Path) -> dict:
    """CVAT: masks that were painted with a brush, which it marks as crowds."""
    return _cvat(folder, lambda box: dict(segmentation=_run_lengths(box), iscrowd=1, attributes=dict(occluded=False)))


def label_studio(folder: Path) -> dict:
    """Label Studio: ids from 0, names with folders of its server, backslashes on Windows, ``ignore``."""
    _save(folder, 'images/1a2b3c-IMG_1.jpg')
    _save(folder, 'images/IMG_2.jpg')
    return dict(
        images=[
            dict(width=SIZE[0], height=SIZE[1], id=0, file_name='images\\1a2b3c-IMG_1.jpg'),
            dict(width=SIZE[0], height=SIZE[1], id=1, file_name='/data/upload/7/images/IMG_2.jpg'),
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(NAMES)],
        annotations=[
            dict(
                id=i,
                image_id=i % 2,
                category_id=i % 2,
                segmentation=[_polygon(box)],
                bbox=list(box),
                ignore=0,
                iscrowd=0,
                area=box[2] * box[3],
            )
            for i, box in enumerate(BOXES)
        ],
        info=dict(year=2026, version='1.0', contributor='Label Studio'),
    )


def roboflow(folder: Path) -> dict:
    """Roboflow: ids from 0, its project's name as category 0 without objects, names with a hash."""
    name = 'IMG_1_jpg.rf.0123456789abcdef0123456789abcdef.jpg'
    _save(folder, name)
    return dict(
        info=dict(year='2026', version='2', description='Exported from roboflow.com'),
        licenses=[dict(id=1, url='https://creativecommons.org/licenses/by/4.0/', name='CC BY 4.0')],
        categories=[
            dict(id=0, name='birch', supercategory='none'),
            *(dict(id=i + 1, name=text, supercategory='birch') for i, text in enumerate(NAMES)),
        ],
        images=[
            dict(
                id=0,
                license=1,
                file_name=name,
                height=SIZE[1],
                width=SIZE[0],
                date_captured='2026-01-01T00:00:00+00:00',
                extra=dict(name='IMG_1.jpg'),
            )
        ],
        annotations=[
            dict(
                id=i,
                image_id=0,
                category_id=i % 2 + 1,
                bbox=list(box),
                area=box[2] * box[3],
                segmentation=[_polygon(box)],
                iscrowd=0,
            )
            for i, box in enumerate(BOXES)
        ],
    )


def via(folder: Path) -> dict:
    """VIA: ids as texts, outlines as flat lists, whole numbers, no ``iscrowd`` in some versions."""
    _save(folder, 'IMG_1.png')
    return dict(
        info=dict(year=2026, version='1.0', description='VIA project exported to COCO format'),
        images=[dict(id='0', width=SIZE[0], height=SIZE[1], file_name='IMG_1.png', license=0, date_captured='')],
        licenses=[dict(id=0, name='Unknown License', url='')],
        categories=[dict(supercategory='tree', id=i + 1, name=name) for i, name in enumerate(NAMES)],
        annotations=[
            dict(
                id=str(i),
                image_id='0',
                category_id=i % 2 + 1,
                segmentation=[int(v) for v in _polygon(box)],
                area=int(box[2] * box[3]),
                bbox=[int(v) for v in box],
                iscrowd=0,
            )
            for i, box in enumerate(BOXES)
        ],
    )


def compressed_masks(folder: Path) -> dict:
    """COCO's own compressed RLE, as pycocotools writes it."""
    content = labelme(folder)
    for annotation in content['annotations']:
        rle = coco_mask.frPyObjects(_run_lengths(annotation['bbox']), SIZE[1], SIZE[0])
        annotation['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
    return content


EXPORTS = [labelme, cvat_boxes, cvat_polygons, cvat_masks, label_studio, roboflow, via, compressed_masks]


def make_export(export: Callable, root: Path) -> Path:
    """A folder of one of ``EXPORTS``, with equal training and validation data of 3 objects."""
    for split in ('train', 'val'):
        content = export(root / split)
        (root / f'{split}.json').write_text(json.dumps(content))
    return root
