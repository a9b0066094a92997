"""Checks a folder of own data in COCO format: what is read, repaired, left out and refused, one line per reason.

    python tools/check_dataset.py DATA_ROOT [--polygons]

It reads DATA_ROOT/train.json with train/ and val.json with val/ as training and testing do, and every picture as a
whole. Pictures with doubtful annotations are drawn. The exit status is 1 where training would refuse the data, else 0.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from _launch import import_plugin

if TYPE_CHECKING:
    from PIL.Image import Image

    from visionllm_mm.datasets.own_coco import CheckedFile
    from visionllm_mm.datasets.own_coco.report import Doubt

LAYOUT = 'DATA_ROOT must hold train.json + train/ and val.json + val/ in COCO format'
SMALLEST, LARGEST = 512, 1024
"""Least and largest longer side of a drawn picture in px."""
MOST_LINES = 12


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data_root', type=read_path, help='folder with train.json, train/, val.json and val/')
    parser.add_argument('--polygons', action='store_true', help='check outlines (segmentation), too')
    parser.add_argument('--headers-only', action='store_true', help='do not decode the pictures, as training does')
    parser.add_argument(
        '--out-dir', type=read_path, default=Path('work_dirs/check_dataset'), help='folder of the drawn pictures'
    )
    parser.add_argument('--number', type=int, default=50, help='most pictures to draw per file (default: 50)')
    args = parser.parse_args()
    if args.number < 0:
        parser.error(f'--number must be at least 0, got {args.number}')
    if not os.path.isdir(args.data_root):  # Path.is_dir raises an error for a name that is too long
        what = 'is no folder' if os.path.exists(args.data_root) else 'does not exist'
        sys.exit(f'check_dataset.py: {str(args.data_root)[:200]} {what}: {LAYOUT}')
    if os.path.isfile(args.out_dir):
        sys.exit(f'check_dataset.py: --out-dir {args.out_dir} is a file: name a folder')
    return args


def read_path(text: str) -> Path:
    """A path as the configs read DATA_ROOT."""
    return Path(os.path.expanduser(text.strip()))


def describe_missing(file: Path) -> str:
    """The line about an annotation file that is missing, with the JSON files that are there."""
    found = sorted(path.relative_to(file.parent).as_posix() for path in file.parent.glob('**/*.json'))
    there = f'. There are {", ".join(found[:5])}: copy or link them' if found else ''
    return f'{file}: refused: it does not exist: {LAYOUT}{there}'


def check(args: argparse.Namespace, split: str, classes: tuple[str, ...] | None) -> CheckedFile | None:
    """Checks one file and prints the report; None where the file can't be read."""
    from visionllm_mm.datasets.own_coco import check_file

    file = args.data_root / f'{split}.json'
    try:
        checked = check_file(
            file,
            args.data_root / split,
            classes=classes,
            with_masks=args.polygons,
            decode=not args.headers_only,
        )
    except FileNotFoundError:
        print(describe_missing(file))
    except ValueError as error:
        print(f'{file}: refused: it {str(error).removeprefix(str(file)).lstrip()}')
    else:
        print('\n'.join(checked.report.lines()))
        return checked


def draw(path: Path, doubts: list[Doubt], used: list) -> Image:
    """A picture with the boxes that are used in green, doubtful ones in red, and the reasons below."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageOps

    from visionllm_mm.visualization import write_below

    with Image.open(path) as image:
        shown = ImageOps.exif_transpose(image).convert('RGB')
    longer = max(shown.size)
    scale = min(max(longer, SMALLEST), LARGEST) / longer
    shown = shown.resize([max(1, round(side * scale)) for side in shown.size])
    brush = ImageDraw.Draw(shown)
    for boxes, color in ((used, 'lime'), ([doubt.box for doubt in doubts if doubt.box is not None], 'red')):
        for x, y, w, h in boxes:
            corners = np.array([[x, y], [x + w, y + h]]) * scale
            corners = np.sort(corners.clip(-1, [shown.width, shown.height]), axis=0)
            brush.rectangle(corners.ravel().tolist(), outline=color, width=2)
    lines = [doubt.text for doubt in doubts[:MOST_LINES]]
    if len(doubts) > MOST_LINES:
        lines.append(f'and {len(doubts) - MOST_LINES} more')
    return Image.fromarray(write_below(np.asarray(shown), lines))


def drawn_path(path: Path, split: str, args: argparse.Namespace) -> Path:
    """Where a picture is drawn: below ``--out-dir``, with a name that is not too long."""
    is_inside = path.is_relative_to(args.data_root) and '..' not in path.relative_to(args.data_root).parts
    name = path.relative_to(args.data_root) if is_inside else Path(split, path.name)
    return args.out_dir / name.with_name(os.fsencode(name.name)[-240:].decode(errors='ignore') + '.png')


def draw_doubtful(checked: CheckedFile, split: str, args: argparse.Namespace) -> None:
    """Draws the pictures that are worth a look, below the folder ``split`` of ``--out-dir``."""
    used = defaultdict(list)
    for annotation in checked.content['annotations']:
        used[checked.images.paths[annotation['image_id']]].append(annotation['bbox'])
    doubts, number = list(checked.report.doubts.items()), 0
    for path, of_picture in doubts[: args.number]:
        out = drawn_path(path, split, args)
        try:
            picture = draw(path, of_picture, used[path])
        except (OSError, ValueError, SyntaxError):  # the report names pictures that can't be read
            continue
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out)
        number += 1
    if number:
        print(f'  {number} of {len(doubts)} pictures with doubtful annotations are drawn in {args.out_dir / split}')


def main() -> None:
    args = parse_args()
    import_plugin()
    classes, refused = None, []
    for split in ('train', 'val'):
        checked = check(args, split, classes)
        if checked is None or checked.report.errors:
            refused.append(f'{split}.json')
        if checked is not None:
            draw_doubtful(checked, split, args)
            classes = classes or tuple(entry['name'] for entry in checked.content['categories']) or None
    if refused:
        sys.exit(f'check_dataset.py: training would refuse {" and ".join(refused)}')


if __name__ == '__main__':
    main()
