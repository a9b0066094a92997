"""Real handwritten digits pasted on photographs, in COCO format: own photographs for measuring.

    python -m tests.helpers.pasted_digits work_dirs/digits --train 400 --val 100

Digits are scikit-learn's (UCI, 1797 of 8 x 8 px), photographs those of scikit-learn and scikit-image. Training and
validation share neither digits nor photographs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image
from pycocotools import mask as coco_mask
from sklearn.datasets import load_digits

NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
SIZE = 256  # px
SIDES = (28, 88)  # px, side of a digit's square
PHOTOGRAPHS = dict(
    train=('china.jpg', 'coffee.png', 'astronaut.png', 'rocket.jpg', 'grass.png', 'motorcycle_left.png'),
    val=('flower.jpg', 'chelsea.png', 'brick.png', 'camera.png'),
)


def read_photographs(names: tuple[str, ...]) -> list[Image.Image]:
    folders = (Path(sklearn.__file__).parent / 'datasets/images', Path(skimage.__file__).parent / 'data')
    paths = [next(folder / name for folder in folders if (folder / name).is_file()) for name in names]
    return [Image.open(path).convert('RGB') for path in paths]


def crop_background(photograph: Image.Image, random: np.random.Generator) -> np.ndarray:
    """A random part of a photograph, (SIZE, SIZE, 3) float32 in [0, 255]."""
    side = int(random.uniform(0.5, 1.0) * min(photograph.size))
    left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
    part = photograph.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.BICUBIC)
    return np.asarray(part, dtype=np.float32)


def draw_scene(photograph, digits, labels, random) -> tuple[np.ndarray, list[dict]]:
    """A picture (SIZE, SIZE, 3) uint8, and the annotations of its digits without ids."""
    picture = crop_background(photograph, random)
    annotations, boxes = [], []
    for _ in range(int(random.integers(1, 7))):
        side = int(random.integers(*SIDES))
        left, top = random.integers(0, SIZE - side, size=2)
        if any(abs(left - x) < (side + s) * 0.5 and abs(top - y) < (side + s) * 0.5 for x, y, s in boxes):
            continue
        boxes.append((left, top, side))
        index = int(random.integers(len(digits)))
        digit = Image.fromarray((digits[index] / 16 * 255).astype(np.uint8)).resize((side, side), Image.BICUBIC)
        alpha = np.asarray(digit, dtype=np.float32) / 255
        area = picture[top : top + side, left : left + side]
        # Light on dark and dark on light, so that a person can read it.
        color = random.uniform(0, 90, 3) if area.mean() > 127 else random.uniform(165, 255, 3)
        area[:] = area * (1 - alpha[..., None]) + color.astype(np.float32) * alpha[..., None]
        mask = np.zeros((SIZE, SIZE), dtype=np.uint8, order='F')
        mask[top : top + side, left : left + side] = alpha > 0.35
        rle = coco_mask.encode(mask)
        annotations.append(
            dict(
                category_id=int(labels[index]) + 1,
                bbox=coco_mask.toBbox(rle).tolist(),
                area=int(coco_mask.area(rle)),
                segmentation=dict(size=[SIZE, SIZE], counts=rle['counts'].decode()),
                iscrowd=0,
            )
        )
    return picture.clip(0, 255).astype(np.uint8), annotations


def write_split(folder: Path, split: str, count: int, seed: int) -> None:
    data = load_digits()
    chosen = np.arange(len(data.images)) % 5 == 4
    chosen = chosen if split == 'val' else ~chosen
    photographs = read_photographs(PHOTOGRAPHS[split])
    random = np.random.default_rng([seed, split == 'val'])
    images, annotations = [], []
    (folder / split).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture, found = draw_scene(photographs[i % len(photographs)], data.images[chosen], data.target[chosen], random)
        name = f'{i:05d}.jpg'
        Image.fromarray(picture).save(folder / split / name, quality=92)
        images.append(dict(id=i + 1, file_name=name, width=SIZE, height=SIZE))
        annotations += [dict(item, image_id=i + 1) for item in found]
    for number, item in enumerate(annotations, 1):
        item['id'] = number
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(NAMES)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / f'{split}.json').write_text(json.dumps(content), encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path)
    parser.add_argument('--train', type=int, default=400)
    parser.add_argument('--val', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    write_split(args.out, 'train', args.train, args.seed)
    write_split(args.out, 'val', args.val, args.seed)
    print(f'{args.out}: {args.train} + {args.val} pictures')


if __name__ == '__main__':
    main()
