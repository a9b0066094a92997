"""Photographs of trees from the package deepforest, as a COCO folder of own data: for trying and for measuring."""

import json
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .wheels import Wheel, find_wheel

WHEEL = Wheel('deepforest', '2.1.0', '8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54')
# Two airborne photographs of NEON (CC0 1.0), Yellowstone 2019; annotations of DeepForest (MIT). Validation has the
# smaller one, so the splits share no tree.
PHOTOGRAPHS = dict(
    train='deepforest/data/2019_YELL_2_528000_4978000_image_crop2',
    val='deepforest/data/2019_YELL_2_541000_4977000_image_crop',
)
CATEGORY = 'tree crown'
SIDE = 256  # px, of a tile
MIN_SIDE = 64  # px; narrower strips at the edge of a photograph are left out
MIN_VISIBLE = 0.3  # part of a box that lies in a tile, to be annotated there
QUALITY = 92  # of the JPEG files


@dataclass
class Tile:
    """A part of a photograph.

    Attributes:
        box: left, top, right, bottom in the photograph, px.
        bboxes: (n, 4) int, annotated boxes x, y, width, height in the tile, px.
    """

    box: tuple[int, int, int, int]
    bboxes: np.ndarray


def cut(width: int, height: int, boxes: np.ndarray) -> Iterator[Tile]:
    """Tiles of a photograph, row by row.

    Args:
        width: of the photograph, px.
        height: of the photograph, px.
        boxes: (n, 4) x1, y1, x2, y2 of the objects, px.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            right, bottom = min(left + SIDE, width), min(top + SIDE, height)
            if min(right - left, bottom - top) < MIN_SIDE:
                continue
            first = np.maximum(boxes[:, :2], (left, top))
            sizes = np.minimum(boxes[:, 2:], (right, bottom)) - first
            visible = (sizes > 0).all(axis=1) & (sizes.prod(axis=1) >= MIN_VISIBLE * areas)
            yield Tile((left, top, right, bottom), np.hstack([first - (left, top), sizes])[visible])


def _read_boxes(path: Path) -> np.ndarray:
    """(n, 4) x1, y1, x2, y2 of an annotation file in the form of Pascal VOC, px."""
    found = ElementTree.parse(path).getroot().findall('object/bndbox')
    return np.array([[int(box.find(key).text) for key in ('xmin', 'ymin', 'xmax', 'ymax')] for box in found])


def write_split(photograph: Path, name: str, out: Path) -> tuple[int, int]:
    """Writes the tiles of one photograph as ``out/name.json`` and ``out/name/``.

    Args:
        photograph: without its suffix; .png and .xml are read.
        name: of the split.
        out: the folder.

    Returns:
        Number of pictures and of boxes.
    """
    images, annotations = [], []
    (out / name).mkdir(parents=True)
    with Image.open(photograph.with_suffix('.png')) as picture:
        for tile in cut(*picture.size, _read_boxes(photograph.with_suffix('.xml'))):
            part = picture.crop(tile.box)
            image = dict(id=len(images) + 1, file_name=f'{name}_{len(images) + 1:03}.jpg')
            part.save(out / name / image['file_name'], quality=QUALITY)
            images.append(image | dict(width=part.width, height=part.height))
            for bbox in tile.bboxes.tolist():
                number, area = len(annotations) + 1, bbox[2] * bbox[3]
                annotations.append(
                    dict(id=number, image_id=image['id'], category_id=1, bbox=bbox, area=area, iscrowd=0)
                )
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name=CATEGORY)])
    (out / f'{name}.json').write_text(json.dumps(content))
    return len(images), len(annotations)


def write_tree_crowns(out: Path, own_wheel: str | None = None) -> dict[str, tuple[int, int]]:
    """Writes the folder, whole or not at all: train.json, train/, val.json, val/.

    Args:
        out: the folder, which must not exist.
        own_wheel: a wheel that is there already.

    Returns:
        Number of pictures and of boxes of each split.

    Raises:
        FileExistsError: when the folder exists.
        FileNotFoundError: see :func:`find_wheel`.
        ValueError: see :func:`find_wheel`.
    """
    if out.exists():
        raise FileExistsError(f'{out} exists: delete it, or write to another folder')
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, which a rename then reaches.
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        folder = Path(folder)
        with zipfile.ZipFile(find_wheel(WHEEL, folder, own_wheel)) as archive:
            for path in PHOTOGRAPHS.values():
                for suffix in ('.png', '.xml'):
                    archive.extract(path + suffix, folder)
        counts = {name: write_split(folder / path, name, folder / 'made') for name, path in PHOTOGRAPHS.items()}
        (folder / 'made').rename(out)
    return counts
