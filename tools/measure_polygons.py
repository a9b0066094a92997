"""Measures the upper bound of polygons: true masks, encoded as N points and decoded again.

    python tools/measure_polygons.py data/miniscenes/annotations/instances_val.json --points 8 14 16 24

Prints the mask AP that these masks would have as predictions, and their mean IoU with the true ones, in all and by
class.
"""

import argparse
import contextlib
import io

import numpy as np
from _launch import import_plugin, require_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('annotations', help='COCO-format annotations with masks')
    parser.add_argument('--points', type=int, nargs='+', default=[8, 14, 16, 24], help='N (default: 8 14 16 24)')
    args = parser.parse_args()
    require_file(args.annotations, 'annotation file')
    if min(args.points) < 3:
        parser.error(f'a polygon needs at least 3 points, got --points {min(args.points)}')
    return args


def main() -> None:
    args = parse_args()
    import_plugin()
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(args.annotations)
    names = [coco.cats[category]['name'] for category in coco.getCatIds()]
    print('  N  mask AP  mean IoU  ' + '  '.join(names))
    for count in args.points:
        results, overlaps = encode_all(coco, count)
        by_class = [np.mean(overlaps[category]) for category in coco.getCatIds()]
        mean = np.mean(np.concatenate(list(overlaps.values())))
        cells = '  '.join(f'{value:{len(name)}.3f}' for value, name in zip(by_class, names, strict=True))
        print(f'{count:3d}  {average_precision(coco, results):7.3f}  {mean:8.3f}  {cells}', flush=True)


def encode_all(coco, num_points: int) -> tuple[list[dict], dict[int, list[float]]]:
    """Results for pycocotools of all objects that are no crowd, and their IoU with the true masks by category."""
    from pycocotools import mask as coco_mask

    from visionllm_mm.instructions import decode_polygon, encode_polygon

    results, overlaps = [], {category: [] for category in coco.getCatIds()}
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        if annotation.get('iscrowd') or not mask.any():
            continue
        decoded = decode_polygon(encode_polygon(mask, num_points), *mask.shape)
        overlap = coco_mask.iou([decoded], [coco.annToRLE(annotation)], [0])[0, 0]
        overlaps[annotation['category_id']].append(float(overlap))
        results.append(
            dict(
                image_id=annotation['image_id'], category_id=annotation['category_id'], score=1.0, segmentation=decoded
            )
        )
    return results, overlaps


def average_precision(coco, results: list[dict]) -> float:
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, coco.loadRes(results), 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


if __name__ == '__main__':
    main()
