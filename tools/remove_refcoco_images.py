"""Remove the validation and test images of RefCOCO, RefCOCO+ and RefCOCOg from training annotations.

RefCOCO's images are COCO train2014 images, which train2017 has under other names. Test images of one of the three sets
may be training images of another. Images with the same number in their file names are the same.

    python tools/remove_refcoco_images.py --data-root data/coco

writes instances_train2017_norefcoco.json and finetune_{refcoco,refcoco+,refcocog}_train_norefcoco.json beside the
files that they are made from (docs/data.md).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

EXPRESSIONS = 'annotations/mdetr_annotations/finetune_{}.json'
TRAINING = (
    'annotations/instances_train2017.json',
    *(EXPRESSIONS.format(f'{name}_train') for name in ('refcoco', 'refcoco+', 'refcocog')),
)
TESTS = tuple(
    EXPRESSIONS.format(f'{name}_{split}')
    for name, splits in (
        ('refcoco', ('val', 'testA', 'testB')),
        ('refcoco+', ('val', 'testA', 'testB')),
        ('refcocog', ('val', 'test')),
    )
    for split in splits
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'files',
        nargs='*',
        type=Path,
        help='annotation files to remove images from (default: those of the stage 2 config)',
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        help='folder with annotations/ (default: $COCO_ROOT, else data/coco)',
    )
    parser.add_argument('--force', action='store_true', help='write over files of an earlier run')
    args = parser.parse_args()
    args.data_root = args.data_root or default_root()
    return args


def default_root() -> Path:
    """$COCO_ROOT, read as configs read it; the package is imported only where it is set."""
    if 'COCO_ROOT' not in os.environ:
        return Path('data/coco')
    from _launch import import_plugin

    import_plugin()
    from visionllm_mm.config_files import from_environment

    try:
        return Path(from_environment('COCO_ROOT', 'data/coco'))
    except ValueError as error:
        sys.exit(f'remove_refcoco_images.py: {error}')


def image_number(image: dict) -> int:
    """The image id of COCO: 123456 for COCO_train2014_000000123456.jpg and for 000000123456.jpg.

    LVIS names images by their URL alone.
    """
    name = image['file_name'] if 'file_name' in image else image['coco_url']
    match = re.search(r'(\d{12})\.jpg$', name)
    if match is None:
        raise ValueError(f"{name!r} is not named as COCO's images are, as 000000123456.jpg")
    return int(match[1])


def read(path: Path) -> dict:
    """An annotation file with images and annotations."""
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        for image in content['images']:
            image_number(image)
        content['annotations']
    except (ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
        sys.exit(f"remove_refcoco_images.py: {path} has no annotations of COCO's form: {reason}")
    return content


def remove(content: dict, numbers: set[int]) -> dict:
    """The content without the images of these numbers and their annotations."""
    images = [i for i in content['images'] if image_number(i) not in numbers]
    kept = {image['id'] for image in images}
    annotations = [a for a in content['annotations'] if a['image_id'] in kept]
    return {**content, 'images': images, 'annotations': annotations}


def write(path: Path, content: dict) -> None:
    """Write a file all at once: an interrupted run leaves no truncated file."""
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        partial.write_text(json.dumps(content))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require_files(paths: list[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        from _launch import import_plugin

        import_plugin()
        from visionllm_mm.datasets.required_files import describe_missing

        sys.exit(f'remove_refcoco_images.py: {describe_missing(missing)}')


def main() -> None:
    args = parse_args()
    sources = args.files or [args.data_root / name for name in TRAINING]
    tests = [args.data_root / name for name in TESTS]
    targets = [source.with_name(f'{source.stem}_norefcoco.json') for source in sources]
    require_files([*sources, *tests])
    existing = [str(target) for target in targets if target.exists()]
    if existing and not args.force:
        listed = ', '.join(existing)
        sys.exit(f'remove_refcoco_images.py: {listed} exist: --force writes over them')
    numbers = {image_number(i) for test in tests for i in read(test)['images']}
    print(f'{len(numbers)} images in the validation and test splits of RefCOCO, RefCOCO+, RefCOCOg')
    for source, target in zip(sources, targets, strict=True):
        content = read(source)
        rest = remove(content, numbers)
        removed = {key: len(content[key]) - len(rest[key]) for key in ('images', 'annotations')}
        write(target, rest)
        print(
            f'{target}: {removed["images"]} of {len(content["images"])} entries of images and '
            f'{removed["annotations"]} of {len(content["annotations"])} annotations removed'
        )


if __name__ == '__main__':
    main()
