"""Ten-image copies of the paper's data sets in their real layouts (docs/data.md), with pictures drawn by MiniScenes.

File names, nesting, field names, category ids and the relations between the data sets are those of the real files:
RefCOCO's images are COCO train2014 images, which train2017 holds under another name; LVIS's validation images come from
both folders of 2017; RefCOCOg trains on an image that RefCOCO tests on, and the other way round.
From the shell: ``python -m tests.helpers.real_layouts FOLDER``.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset, LVISV1Dataset
from pycocotools import mask as rle_ops

from visionllm_mm.miniscenes import SHAPES, Example, make_example

CATEGORY_IDS = (
    *range(1, 12),
    *range(13, 26),
    27,
    28,
    *range(31, 45),
    *range(46, 66),
    67,
    70,
    *range(72, 83),
    *range(84, 91),
)
"""COCO's ids of its 80 classes."""
SUPERCATEGORIES = (
    (1, 'person'),
    (9, 'vehicle'),
    (15, 'outdoor'),
    (25, 'animal'),
    (33, 'accessory'),
    (43, 'sports'),
    (51, 'kitchen'),
    (61, 'food'),
    (70, 'furniture'),
    (77, 'electronic'),
    (82, 'appliance'),
    (90, 'indoor'),
)
"""By the highest id of each."""
COCO_NAMES = dict(
    zip(SHAPES, ('sports ball', 'tv', 'pizza', 'kite', 'donut', 'teddy bear', 'banana', 'cake'), strict=True)
)
LVIS_NAMES = dict(
    zip(SHAPES, ('ball', 'television_set', 'pizza', 'kite', 'doughnut', 'teddy_bear', 'banana', 'cake'), strict=True)
)
EMPTY = 4
"""The picture of each folder that shows nothing."""
_FIRST = dict(train=(0, 1, 2, 3, 5), val=(6, 7), testA=(8,), testB=(9,))
EXPRESSIONS = {'refcoco': _FIRST, 'refcoco+': _FIRST, 'refcocog': dict(train=(0, 1, 2, 3, 6), val=(5,), test=(9,))}
"""Pictures of train2014 in the splits of each set."""
LEAKS = (5, 6, 7, 8, 9)
"""Those of a validation or test split."""
KARPATHY = dict(train=('train',) * 10, val=('restval',) * 4 + ('val',) * 2 + ('test',) * 4)
_INFO = dict(
    description='COCO 2017 Dataset',
    url='http://cocodataset.org',
    version='1.0',
    year=2017,
    contributor='COCO Consortium',
    date_created='2017/09/01',
)
_LICENSES = [dict(url='http://creativecommons.org/licenses/by-nc-sa/2.0/', id=1, name='Attribution-NonCommercial')]


@dataclass
class Picture:
    """A picture of ``folder`` (train or val), (H, W, 3) uint8 BGR, what is drawn in it and said about it."""

    folder: str
    number: int
    image: np.ndarray
    example: Example

    @property
    def size(self) -> dict[str, int]:
        return dict(height=self.image.shape[0], width=self.image.shape[1])

    @property
    def name_2014(self) -> str:
        return f'COCO_{self.folder}2014_{self.number:012d}.jpg'

    @property
    def name_2017(self) -> str:
        return f'{self.number:012d}.jpg'

    @property
    def url(self) -> str:
        return f'http://images.cocodataset.org/{self.folder}2017/{self.name_2017}'


def make_real_layouts(root: Path, seed: int = 0, size: int = 96) -> Path:
    """Writes the copies below ``root``, the folder that COCO_ROOT names, and returns it.

    Args:
        root: a new folder.
        seed: the same one gives the same files.
        size: length of the shorter sides of the pictures, px.
    """
    numbers = np.random.default_rng(seed).choice(np.arange(9, 581930), 20, replace=False).tolist()
    pictures = {
        folder: [draw_picture(folder, numbers.pop(), seed, i, size) for i in range(10)] for folder in ('train', 'val')
    }
    for folder, drawn in pictures.items():
        for picture in drawn:
            for year, name in ((2014, picture.name_2014), (2017, picture.name_2017)):
                path = root / f'{folder}{year}' / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture.image)
    annotations, train, val = root / 'annotations', pictures['train'], pictures['val']
    write_json(annotations / 'instances_train2017.json', coco_instances(train))
    write_json(annotations / 'instances_val2017.json', coco_instances(val))
    write_expressions(annotations / 'mdetr_annotations', train)
    write_json(annotations / 'dataset_coco.json', karpathy_captions(val + train))
    write_json(root / 'llava/llava_instruct_150k.json', llava_conversations(train))
    write_json(root / 'lvis_v1/annotations/lvis_v1_train.json', lvis_instances(train[:9]))
    write_json(root / 'lvis_v1/annotations/lvis_v1_val.json', lvis_instances(train[9:] + val[:9]))
    return root


def write_json(path: Path, content: dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def draw_picture(folder: str, number: int, seed: int, index: int, size: int) -> Picture:
    """A scene, square, wide or high by turns; with objects, but for number EMPTY."""
    scene = index
    while bool((example := make_example(seed, folder, scene, size)).instances) == (index == EMPTY):
        scene += 100
    below, right = ((0, 0), (0, size // 3), (size // 3, 0))[index % 3]
    image = cv2.copyMakeBorder(example.image[..., ::-1], 0, below, 0, right, cv2.BORDER_REPLICATE)
    return Picture(folder, number, image, example)


def _mask(picture: Picture, segmentation: list | dict) -> np.ndarray:
    """(H, W) uint8."""
    height, width = picture.image.shape[:2]
    if isinstance(segmentation, list):
        return rle_ops.decode(rle_ops.merge(rle_ops.frPyObjects(segmentation, height, width)))
    mask = rle_ops.decode(segmentation)
    return np.pad(mask, ((0, height - mask.shape[0]), (0, width - mask.shape[1])))


def _polygons(picture: Picture, segmentation: list | dict) -> list[list[float]]:
    """COCO's polygons know no holes: of a mask with one, the outer polygons."""
    if isinstance(segmentation, list):
        return segmentation
    contours, _ = cv2.findContours(_mask(picture, segmentation), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour.reshape(-1).astype(float).tolist() for contour in contours if len(contour) >= 3]


def _uncompressed_rle(mask: np.ndarray) -> dict:
    """As COCO writes crowds: lengths of runs, down the columns, zeros first."""
    flat = mask.flatten(order='F')
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, len(flat)]).tolist()
    return dict(counts=[0, *counts] if flat[0] else counts, size=list(mask.shape))


def _crowd(picture: Picture) -> dict:
    """All objects of a picture as one group of people."""
    mask = np.max([_mask(picture, obj.segmentation) for obj in picture.example.instances], axis=0)
    x, y, w, h = cv2.boundingRect(mask)
    return dict(
        segmentation=_uncompressed_rle(mask),
        area=int(mask.sum()),
        iscrowd=1,
        image_id=picture.number,
        bbox=[x, y, w, h],
        category_id=1,
        id=900100000000 + picture.number,
    )


def coco_instances(pictures: list[Picture]) -> dict:
    """``instances_*2017.json``; every third picture that shows something has a crowd."""
    names = CocoDataset.METAINFO['classes']
    ids = dict(zip(names, CATEGORY_IDS, strict=True))
    images, annotations = [], []
    for i, picture in enumerate(pictures):
        images.append(
            dict(
                license=1,
                file_name=picture.name_2017,
                coco_url=picture.url,
                **picture.size,
                date_captured='2013-11-14 17:02:52',
                flickr_url=f'http://farm.staticflickr.com/{picture.number}_z.jpg',
                id=picture.number,
            )
        )
        for k, obj in enumerate(picture.example.instances):
            annotations.append(
                dict(
                    segmentation=_polygons(picture, obj.segmentation),
                    area=float(obj.area),
                    iscrowd=0,
                    image_id=picture.number,
                    bbox=list(obj.bbox_xywh),
                    category_id=ids[COCO_NAMES[obj.shape]],
                    id=_annotation_id(picture, k),
                )
            )
        if i % 3 == 0 and picture.example.instances:
            annotations.append(_crowd(picture))
    return dict(info=_INFO, licenses=_LICENSES, images=images, annotations=annotations, categories=_categories(ids))


def _annotation_id(picture: Picture, index: int) -> int:
    return 10 * picture.number + index


def _categories(ids: dict[str, int]) -> list[dict]:
    return [
        dict(supercategory=next(name for highest, name in SUPERCATEGORIES if number <= highest), id=number, name=name)
        for name, number in ids.items()
    ]


def write_expressions(folder: Path, pictures: list[Picture]) -> None:
    """``finetune_*.json`` as MDETR writes them: an entry per expression, numbered through all files."""
    ids = dict(zip(CocoDataset.METAINFO['classes'], CATEGORY_IDS, strict=True))
    number = 0
    for name, splits in EXPRESSIONS.items():
        for split, members in splits.items():
            images, annotations = [], []
            for picture in (pictures[i] for i in members):
                for said in picture.example.expressions:
                    target = picture.example.instances[said.target]
                    images.append(
                        dict(
                            file_name=picture.name_2014,
                            **picture.size,
                            id=number,
                            original_id=picture.number,
                            caption=said.text,
                            dataset_name=name,
                            tokens_negative=[[0, len(said.text)]],
                        )
                    )
                    annotations.append(
                        dict(
                            area=float(target.area),
                            iscrowd=0,
                            image_id=number,
                            category_id=ids[COCO_NAMES[target.shape]],
                            id=number,
                            bbox=list(target.bbox_xywh),
                            original_id=_annotation_id(picture, said.target),
                            tokens_positive=[[0, len(said.text)]],
                        )
                    )
                    number += 1
            write_json(
                folder / f'finetune_{name}_{split}.json',
                dict(
                    info=_INFO, licenses=_LICENSES, images=images, annotations=annotations, categories=_categories(ids)
                ),
            )


def karpathy_captions(pictures: list[Picture]) -> dict:
    """``dataset_coco.json``, all splits in one file."""
    images, sentences = [], 0
    splits = {folder: iter(names) for folder, names in KARPATHY.items()}
    for number, picture in enumerate(pictures):
        said = [
            dict(tokens=text.lower().split(), raw=f'{text.capitalize()}.', imgid=number, sentid=sentences + k)
            for k, text in enumerate(picture.example.captions)
        ]
        sentences += len(said)
        images.append(
            dict(
                filepath=f'{picture.folder}2014',
                sentids=[sentence['sentid'] for sentence in said],
                filename=picture.name_2014,
                imgid=number,
                split=next(splits[picture.folder]),
                sentences=said,
                cocoid=picture.number,
            )
        )
    return dict(images=images, dataset='coco')


def llava_conversations(pictures: list[Picture]) -> list[dict]:
    """``llava_instruct_150k.json``: by turns a conversation, a description and one question; the mark first or last."""
    entries = []
    for i, picture in enumerate(pictures):
        turns = [(question.text, question.answer) for question in picture.example.conversation]
        if i % 3 == 1:
            turns = [('What do you see happening in this image?', ' '.join(picture.example.captions))]
        said = [text for turn in (turns[:1] if i % 3 == 2 else turns) for text in turn]
        said[0] = f'<image>\n{said[0]}' if i % 2 else f'{said[0]}\n<image>'
        entries.append(
            dict(
                id=f'{picture.number:012d}',
                image=picture.name_2017,
                conversations=[{'from': ('human', 'gpt')[k % 2], 'value': text} for k, text in enumerate(said)],
            )
        )
    return entries


def lvis_instances(pictures: list[Picture]) -> dict:
    """``lvis_v1_*.json``: no file names but addresses, no crowds, and which classes were looked for in each image."""
    names = LVISV1Dataset.METAINFO['classes']
    ids = {name: i + 1 for i, name in enumerate(names)}
    images, annotations = [], []
    for picture in pictures:
        shown = sorted({ids[LVIS_NAMES[obj.shape]] for obj in picture.example.instances})
        images.append(
            dict(
                date_captured='2013-11-14 17:02:52',
                neg_category_ids=[1, 2, 3],
                id=picture.number,
                license=1,
                **picture.size,
                flickr_url=f'http://farm.staticflickr.com/{picture.number}_z.jpg',
                coco_url=picture.url,
                not_exhaustive_category_ids=shown[:1],
            )
        )
        for obj in picture.example.instances:
            annotations.append(
                dict(
                    area=float(obj.area),
                    id=len(annotations) + 1,
                    segmentation=_polygons(picture, obj.segmentation),
                    image_id=picture.number,
                    bbox=list(obj.bbox_xywh),
                    category_id=ids[LVIS_NAMES[obj.shape]],
                )
            )
    owners = [(a['category_id'], a['image_id']) for a in annotations]
    categories = [
        dict(
            frequency='fcr'[i % 3],
            synset=f'{name.split("_")[0]}.n.01',
            synonyms=[name],
            id=i,
            instance_count=sum(owner == i for owner, _ in owners),
            name=name,
            image_count=len({image for owner, image in owners if owner == i}),
            **{'def': 'a thing'},
        )
        for name, i in ids.items()
    ]
    return dict(info=_INFO, licenses=_LICENSES, images=images, annotations=annotations, categories=categories)


if __name__ == '__main__':
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit('usage: python -m tests.helpers.real_layouts FOLDER, which does not exist yet')
    print(f'ten images of each data set in {make_real_layouts(Path(sys.argv[1]))}')
