"""Renders training samples as the model gets them: image, instruction, target tokens and the decoded targets.

    python tools/browse_dataset.py CONFIG --out-dir work_dirs/browsed

It runs no model and takes seconds: check the pictures before a long training. It first compares the class names of
training and validation data with their files, and states what of the annotations of own data is used.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from _launch import (
    add_shared_arguments,
    import_plugin,
    read_config,
    require_data,
    require_file,
)

if TYPE_CHECKING:
    import numpy as np
    from mmdet.structures import DetDataSample
    from torch.utils.data import Dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--out-dir', default='work_dirs/browsed', help='folder of the pictures')
    parser.add_argument('--number', type=int, default=8, help='pictures, in turn from each data set (default: 8)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: 0)')
    add_shared_arguments(parser, launcher=False)
    args = parser.parse_args()
    require_file(args.config, 'config')
    if args.number < 1:
        parser.error(f'--number must be at least 1, got {args.number}')
    return args


def spread(dataset: Dataset, number: int) -> list[int]:
    """Indices of ``number`` samples, in turn from each part of a concatenated data set."""
    ends = getattr(dataset, 'cumulative_sizes', [len(dataset)])
    starts = [0, *ends[:-1]]
    found = []
    for index in range(max(end - start for start, end in zip(starts, ends, strict=True))):
        found += [start + index for start, end in zip(starts, ends, strict=True) if start + index < end]
        if len(found) >= number:
            break
    return found[:number]


def answers(sample: DetDataSample, vocabulary) -> tuple[list[str], list[np.ndarray], list[str]]:
    """Names, decoded points (N, 2) and target tokens of the objects that a sample asks for.

    Points are in px; they are NaN, and their tokens "-", where a point is not labeled. An object of an unknown outline
    has the corners of its box. Where text is asked for there are no objects, and the text is returned instead of
    tokens.
    """
    import numpy as np
    import torch

    from visionllm_mm.instructions import parse_instruction
    from visionllm_mm.models.targets import set_targets

    instruction = parse_instruction(sample.instruction, vocabulary)
    if instruction.asks_for_text:
        return [], [], list(sample.answer)
    known = sample.gt_instances
    known.bboxes = torch.as_tensor(getattr(known.bboxes, 'tensor', known.bboxes))
    target = set_targets([sample])[0]
    names, points, tokens = [], [], []
    for i in torch.nonzero(target.target_class >= 0).flatten().tolist():
        row, center = int(target.target_class[i]), target.centers_norm[i].double().numpy()
        points_norm = target.points_norm[i].double().numpy()
        has_outline = not (instruction.asks_for_polygons and np.isnan(points_norm).all())
        offsets = points_norm - center
        unknown = np.isnan(offsets)
        bins = vocabulary.encode_offsets(np.nan_to_num(offsets))
        decoded = np.where(unknown, np.nan, center + vocabulary.decode_offsets(bins)) * target.image_size.numpy()
        written = np.where(unknown, '-', np.char.mod('<p%d>', bins - vocabulary.coord_range)).ravel()
        if not has_outline:
            x1, y1, x2, y2 = target.boxes_xyxy[i].double().numpy()
            decoded = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        names.append(instruction.class_names[row] + ('' if has_outline else ' (outline unknown)'))
        points.append(decoded)
        tokens.append(' '.join([f'<c{instruction.class_indices[row]}>', *written]))
    return names, points, tokens


def draw(inputs, sample: DetDataSample, vocabulary, visualizer) -> np.ndarray:
    """The picture (RGB) with the decoded targets, and with instruction and tokens below it."""
    import numpy as np
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData
    from pycocotools import mask as coco_mask

    from visionllm_mm.instructions import decode_polygon, parse_instruction
    from visionllm_mm.visualization import write_below

    image = inputs.permute(1, 2, 0).numpy()[..., ::-1].copy()
    names, points, tokens = answers(sample, vocabulary)
    instruction = parse_instruction(sample.instruction, vocabulary)
    found = InstanceData(label_names=names, labels=torch.arange(len(names)) % len(visualizer.dataset_meta['palette']))
    boxes = [[*np.nanmin(part, axis=0), *np.nanmax(part, axis=0)] for part in points]
    found.bboxes = torch.tensor(np.array(boxes, dtype=np.float32).reshape(-1, 4))
    if instruction.asks_for_polygons and names:
        rles = [decode_polygon(polygon, *image.shape[:2]) for polygon in points]
        found.masks = torch.from_numpy(coco_mask.decode(rles).transpose(2, 0, 1).copy()).bool()
    elif instruction.point_names and names:
        found.points = torch.tensor(np.stack(points), dtype=torch.float32)
    shown = DetDataSample(gt_instances=found)
    visualizer.add_datasample('sample', image, shown, draw_pred=False)
    count = '' if instruction.asks_for_text else f', {len(names)} of {len(sample.gt_instances)} objects asked for'
    return write_below(visualizer.get_image(), [sample.instruction, f'-> {instruction.format_text}{count}', *tokens])


def main() -> None:
    args = parse_args()
    import_plugin()
    import numpy as np
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope
    from PIL import Image

    from visionllm_mm.datasets import SeedBySample
    from visionllm_mm.datasets.coco_classes import compare_class_names, plain_datasets, report_lines
    from visionllm_mm.instructions import Vocabulary, warn_of_similar_names
    from visionllm_mm.visualization import InstructionVisualizer

    cfg = read_config(args.config, args.cfg_options)
    if 'vocabulary' not in cfg.model:
        raise SystemExit(f'browse_dataset.py: {args.config} is no config of a VisionLLM: it has no instructions')
    require_data(cfg, 'train_dataloader', 'val_dataloader')
    init_default_scope('mmdet')
    np.random.seed(args.seed)
    vocabulary = Vocabulary(**cfg.model.vocabulary)
    try:
        dataset, validation = (DATASETS.build(cfg[key].dataset) for key in ('train_dataloader', 'val_dataloader'))
        for part in (dataset, validation):
            compare_class_names(part)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'browse_dataset.py: {error}') from error
    for line in report_lines(dataset) + report_lines(validation):
        print(line)
    for part in plain_datasets(dataset):
        warn_of_similar_names(part.metainfo.get('classes', ()))
        for transform in part.pipeline.transforms:
            if isinstance(transform, SeedBySample):
                transform.seed = args.seed
    visualizer = InstructionVisualizer(min_size=512)
    visualizer.dataset_meta = dict(classes=(), palette=[tuple(255 * np.random.random_sample(3)) for _ in range(64)])
    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(spread(dataset, args.number)):
        try:
            item = dataset[index]
        except (ValueError, OSError) as error:
            raise SystemExit(f'browse_dataset.py: sample {index} can not be read: {error}') from error
        picture = draw(item['inputs'], item['data_samples'], vocabulary, visualizer)
        Image.fromarray(picture).save(out / f'{number:03d}.png')
        print(f'{number:03d}.png: {item["data_samples"].instruction[:100]}')
    print(f'the pictures are in {out}')


if __name__ == '__main__':
    main()
