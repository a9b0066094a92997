"""Folders of own data in COCO format with one fault each."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.helpers.scenes import add_polygons, make_coco_folder


@dataclass
class Fault:
    """A fault, and what the check says of it.

    Attributes:
        name: of the fault.
        change: changes the parsed annotation file and the folder of its pictures in place; may return other content.
        level: ``error``, ``left out`` or ``note``.
        text: part of the line that names it.
        polygons: whether outlines are wanted.
    """

    name: str
    change: Callable
    level: str
    text: str
    polygons: bool = False

    def make(self, root: Path, split: str = 'train') -> Path:
        """A folder with the fault in the files of one split."""
        data = make_folder(root)
        file = data / f'{split}.json'
        content = json.loads(file.read_text())
        changed = self.change(content, data / split)
        file.write_text(json.dumps(content if changed is None else changed))
        return data


def make_folder(root: Path, num_train: int = 4, num_val: int = 3) -> Path:
    """A sound folder of pictures of 64 x 64 px, with boxes and polygons."""
    data = make_coco_folder(root, num_train, num_val)
    for split in ('train', 'val'):
        add_polygons(data / f'{split}.json')
    return data


def _all(key: str, value: Callable) -> Callable:
    """Changes a key of all annotations."""

    def change(content, folder):
        for annotation in content['annotations']:
            annotation[key] = value(annotation)

    return change


def _first(key: str, value: object, name: str = 'annotations') -> Callable:
    """Sets a key of the first entry of a list."""

    def change(content, folder):
        content[name][0][key] = value

    return change


def _without(key: str, name: str = 'annotations') -> Callable:
    """Deletes a key of all entries of a list."""

    def change(content, folder):
        for entry in content[name]:
            del entry[key]

    return change


def _same_id(name: str) -> Callable:
    def change(content, folder):
        content[name][1]['id'] = content[name][0]['id']

    return change


def _corners(annotation: dict) -> list[float]:
    x, y, w, h = annotation['bbox']
    return [x, y, x + w, y + h]


def _elsewhere(content, folder):
    first = content['annotations'][0]
    first['bbox'] = [3, 3, 20, 20]
    first['segmentation'] = [[30, 30, 50, 30, 50, 50]]


def _count_from_0(content, folder):
    for annotation in content['annotations']:
        annotation['category_id'] -= 1


def _repeat(content, folder):
    content['annotations'] += [annotation | dict(id=100 + i) for i, annotation in enumerate(content['annotations'])]


def _half_a_size(content, folder):
    content['images'][0].update(width=128, height=None)


def _pipe(content, folder):
    os.mkfifo(folder / 'pipe.png')
    content['images'][0]['file_name'] = 'pipe.png'


def _turn(content, folder):
    """Stores the first picture, of 64 x 32 px, on its side with an EXIF orientation that turns it back."""
    image = content['images'][0]
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (64, 32)).save(folder / 'turned.jpg', exif=exif)
    image.update(file_name='turned.jpg', width=64, height=32)


def _write(name: str, data: bytes) -> Callable:
    def change(content, folder):
        (folder / name).write_bytes(data)
        content['images'][0]['file_name'] = name

    return change


def _narrow(content, folder):
    cv2.imwrite(str(folder / 'narrow.png'), np.zeros((4, 800, 3), np.uint8))
    content['images'][0].update(file_name='narrow.png', width=800, height=4)


def _truncate(content, folder):
    path = folder / content['images'][0]['file_name']
    path.write_bytes(path.read_bytes()[:-1000])


def _no_objects(content, folder):
    content['annotations'] = []


def _entry(name: str, value: object) -> Callable:
    def change(content, folder):
        content[name][1] = value

    return change


def _set(name: str, value: object) -> Callable:
    def change(content, folder):
        content[name] = value

    return change


def _drop(name: str) -> Callable:
    def change(content, folder):
        del content[name]

    return change


def _replace(content: object) -> Callable:
    return lambda _, folder: content


def _rle(size: list[int], counts: object) -> dict:
    return dict(size=size, counts=counts)


_LEFT, _NOTE, _ERROR = 'left out', 'note', 'error'
BOX_FAULTS = [
    Fault('relative boxes', _all('bbox', lambda a: [v / 64 for v in a['bbox']]), _ERROR, 'relative coordinates'),
    Fault('corners', _all('bbox', _corners), _ERROR, 'read like x1, y1, x2, y2'),
    Fault(
        'boxes of larger pictures',
        _all('bbox', lambda a: [4 * v for v in a['bbox']]),
        _ERROR,
        'boxes lie outside of their images: they seem to be of larger pictures (annotation ',
    ),
    Fault('turned boxes', _all('attributes', lambda a: dict(rotation=30.0)), _NOTE, '6 annotations with a rotation'),
    Fault('repeated boxes', _repeat, _NOTE, '6 annotations with image, category and box of another (first: annotation'),
    Fault('mode of boxes', _first('bbox_mode', 0), _LEFT, '1 annotation with another bbox_mode than 1'),
    Fault('zero box', _first('bbox', [5, 5, 0, 9]), _LEFT, '1 annotation with a box of zero size (annotation 1'),
    Fault('thin box', _first('bbox', [5, 5, 0.4, 9]), _LEFT, '1 annotation with a box below 1 px'),
    Fault('negative box', _first('bbox', [20, 20, -9, 9]), _LEFT, 'box of negative width or height'),
    Fault('outside', _first('bbox', [80, 5, 9, 9]), _LEFT, '1 annotation with a box outside of its image'),
    Fault('beyond', _first('bbox', [5, 5, 70, 9]), _NOTE, '1 annotation whose box reaches beyond the image'),
    Fault('three numbers', _first('bbox', [5, 5, 9]), _LEFT, '1 annotation whose bbox is no list of 4 numbers'),
    Fault('box of words', _first('bbox', ['a', 5, 9, 9]), _LEFT, 'bbox holds something else than finite numbers'),
    Fault('NaN box', _first('bbox', [float('nan'), 5, 9, 9]), _LEFT, 'something else than finite numbers'),
    Fault('infinite box', _first('bbox', [5, 5, float('inf'), 9]), _LEFT, 'something else than finite numbers'),
    Fault('box as an object', _first('bbox', dict(x=5, y=5)), _LEFT, 'no list of 4 numbers'),
    Fault('box of texts', _all('bbox', lambda a: [str(v) for v in a['bbox']]), _NOTE, '6 annotations with a bbox of'),
    Fault('no boxes', _without('bbox'), _NOTE, '6 annotations without a bbox: made of the outline'),
    Fault('area 0', _first('area', 0), _NOTE, '1 annotation with a bad area: computed (annotation 1: area 0)'),
    Fault('area as text', _first('area', 'big'), _NOTE, 'with a bad area: computed'),
    Fault(
        'area of another unit', _first('area', 0.01), _NOTE, '1 annotation with a bad area: computed (annotation 1: '
    ),
    Fault(
        'categories from 0', _count_from_0, _ERROR, 'seem to be 1 too low (category_id 0 is unknown; ids are [1, 2])'
    ),
    Fault('category as text', _all('category_id', lambda a: str(a['category_id'])), _NOTE, 'category_id as text'),
    Fault('image as text', _all('image_id', lambda a: str(a['image_id'])), _NOTE, 'image_id as text'),
    Fault('unknown category', _first('category_id', 77), _LEFT, '1 annotation of an unknown category (annotation 1'),
    Fault(
        'unknown image', _first('image_id', 77), _LEFT, '1 annotation of an unknown image (annotation 1: image_id 77)'
    ),
    Fault('null category', _first('category_id', None), _LEFT, '1 annotation without a category'),
    Fault('null image', _first('image_id', None), _LEFT, '1 annotation without an image'),
    Fault('ignored', _first('ignore', 1), _LEFT, '1 annotation marked with "ignore"'),
    Fault('crowd', _first('iscrowd', 1), _NOTE, '1 annotation marked as crowd: not trained on'),
    Fault('all crowds', _all('iscrowd', lambda a: 1), _NOTE, 'marked as crowd, as all others'),
    Fault('odd crowd', _first('iscrowd', 'perhaps'), _NOTE, 'another iscrowd than 0 or 1'),
    Fault('annotation twice', _same_id('annotations'), _ERROR, '1 annotation with an id that another has'),
    Fault('no annotation ids', _without('id'), _NOTE, '6 annotations without a usable id: numbered'),
    Fault('image twice', _same_id('images'), _ERROR, '1 image with an id that another has (image 1: '),
    Fault('category twice', _same_id('categories'), _ERROR, '1 category with an id that another has'),
    Fault('name twice', _first('name', 'blue disk', 'categories'), _ERROR, 'listed twice, each with objects'),
    Fault('no name', _first('name', None, 'categories'), _ERROR, '1 category without a usable name (category 1: name'),
    Fault('blank name', _first('name', ' ', 'categories'), _ERROR, 'without a usable name'),
    Fault('token as name', _first('name', '<c0>', 'categories'), _ERROR, "category 1: name '<c0>'"),
    Fault('list as name', _first('name', ['box'], 'categories'), _ERROR, 'without a usable name'),
    Fault('other size', _first('width', 128, 'images'), _LEFT, '1 image of another size than the file (image 1 ('),
    Fault('half a size', _half_a_size, _LEFT, "1 image of another size than the file (image 1 ('1.png'): 128 x ? in"),
    Fault('turned', _turn, _LEFT, "exchanged (image 1 ('turned.jpg'): 64 x 32 in the annotations, 32 x 64 px"),
    Fault('no width', _without('width', 'images'), _NOTE, '4 images without a usable width or height: taken from'),
    Fault('missing file', _first('file_name', 'none.png', 'images'), _LEFT, "(image 1: no file 'none.png' in "),
    Fault(
        'all missing',
        _set('images', [dict(id=1, file_name='a.png')]),
        _ERROR,
        'none of its 1 image can be used: 1 image whose file is missing',
    ),
    Fault(
        'no file name',
        _without('file_name', 'images'),
        _ERROR,
        'none of its 4 images can be used: 4 images without a file name',
    ),
    Fault('address', _first('file_name', 'http://a.b/c.png', 'images'), _LEFT, '1 image named by a web address'),
    Fault('backslash', _first('file_name', 'train\\1.png', 'images'), _NOTE, "image 1: 'train\\\\1.png' is 1.png"),
    Fault(
        'file twice', _first('file_name', '2.png', 'images'), _NOTE, '1 file listed as several images (images 1 and 2'
    ),
    Fault('like name', _first('file_name', 'a/2.png', 'images'), _LEFT, 'one of like name belongs to another image'),
    Fault('no picture', _write('text.png', b'hello'), _LEFT, '1 image whose file is no picture'),
    Fault('pipe', _pipe, _LEFT, '1 image whose file is missing'),
    Fault('HEIC', _write('a.heic', b'\0\0\0\x18ftypheic'), _LEFT, '1 image whose file is of a format of telephones'),
    Fault('empty picture', _write('empty.png', b''), _LEFT, '1 image whose file is empty (0 bytes)'),
    Fault('narrow', _narrow, _LEFT, "1 image too narrow: the short side would vanish when resized (image 1 ('narrow"),
    Fault('no objects', _no_objects, _ERROR, 'it has no annotations'),
    Fault(
        'entry is null', _entry('annotations', None), _ERROR, '1 entry of "annotations" is no object (number 1: None)'
    ),
    Fault('no list', _set('images', dict()), _ERROR, '"images" is no list'),
    Fault('no categories', _drop('categories'), _ERROR, 'it lacks "categories"'),
    Fault('LabelMe', _replace(dict(shapes=[], imagePath='a.png')), _ERROR, 'a file of LabelMe'),
    Fault('VIA', _replace(dict(a=dict(filename='a.png', regions=[]))), _ERROR, 'a file of VIA'),
    Fault('predictions', _replace([dict(image_id=1, score=0.5)]), _ERROR, 'a file of predictions'),
]
POLYGON_FAULTS = [
    Fault(name, _first('segmentation', value), _NOTE, text, polygons=True)
    for name, value, text in [
        ('no outline', [], '1 annotation without an outline: box kept'),
        ('null outline', None, '1 annotation without an outline: box kept'),
        ('two points', [[10, 10, 20, 20]], 'a part of less than 3 points: box kept'),
        ('odd count', [[10, 10, 20, 10, 20, 20, 10]], 'an odd number of coordinates: box kept'),
        ('outline of NaN', [[10, 10, float('nan'), 10, 20, 20]], 'something else than finite numbers: box kept'),
        ('outline outside', [[90, 10, 99, 10, 99, 20]], 'a part outside of the image: box kept'),
        ('outline far away', [[10, 10, 1e9, 10, 20, 20]], 'points far outside of the image: box kept'),
        ('outline without area', [[10, 10, 20, 20, 10, 10]], 'a part without area: box kept'),
        ('outline as text', 'box', 'neither polygons nor RLE: box kept'),
        ('RLE of another size', _rle([32, 32], [0, 1024]), '(RLE) has another size than the image: box kept'),
        ('RLE of bad counts', _rle([64, 64], [5, 5]), '(RLE) has bad counts: box kept'),
        ('RLE of a bad text', _rle([64, 64], 'a~b'), '(RLE) has bad counts: box kept'),
        ('RLE of nothing', _rle([64, 64], [4096]), '(RLE) has no pixel: box kept'),
    ]
] + [
    Fault(
        'one bad part',
        _all('segmentation', lambda a: [*a['segmentation'], [1, 1]]),
        _NOTE,
        'a part of less than 3 points: this part is left out',
        polygons=True,
    ),
    Fault('outline elsewhere', _elsewhere, _NOTE, '1 annotation whose outline lies elsewhere than', polygons=True),
    Fault(
        'outlines of larger pictures',
        _all('segmentation', lambda a: [[4 * v for v in part] for part in a['segmentation']]),
        _ERROR,
        'none of its 6 objects has an outline',
        polygons=True,
    ),
    Fault('no outlines', _without('segmentation'), _ERROR, 'none of its 6 objects has an outline', polygons=True),
]
DAMAGED = Fault('truncated picture', _truncate, _ERROR, '1 image that can not be decoded')
"""Only found where pictures are decoded."""
FAULTS = BOX_FAULTS + POLYGON_FAULTS
