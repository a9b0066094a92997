"""Measures instruction following: predictions must depend on what an instruction asks for, and on nothing else.

    python tools/evaluate_instructions.py CONFIG CHECKPOINT

Evaluates a detector on its test data (a) with every template, (b) with the classes in random orders, (c) with each
class left out of the set, and prints box AP; for (c) also how many boxes fall on objects of the left-out class.
"""

import argparse
import contextlib
import io

from _launch import add_shared_arguments, import_plugin, load_config, require_data, require_file
from evaluate_formats import read_templates


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--templates',
        metavar='FILE',
        help='use these templates alone, one per line with '
        'the placeholders <class> <format> <range> <image>, instead of (a) to (c)',
    )
    parser.add_argument('--work-dir', help='folder for logs')
    parser.add_argument('--orders', type=int, default=3, help='random class orders to try (default: 3)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='score of a detection that counts (default: 0.3)')
    add_shared_arguments(parser, launcher=False)
    args = parser.parse_args()
    require_file(args.config, 'config')
    require_file(args.checkpoint, 'checkpoint')
    if args.templates:
        require_file(args.templates, 'list of templates')
    return args


class Evaluation:
    """Test data in memory, for predictions with different instructions.

    Args:
        runner: a Runner whose model has its weights.
    """

    def __init__(self, runner) -> None:
        from pycocotools.coco import COCO

        self.model = runner.model.eval()
        self.batches = list(runner.test_dataloader)
        dataset = runner.test_dataloader.dataset
        with contextlib.redirect_stdout(io.StringIO()):
            self.coco = COCO(dataset.ann_file)
        self.category_ids = dataset.cat_ids
        # `test_dataloader.dataset.indices` may leave images of the file out.
        self.image_ids = [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]

    def predict(self, template: str, names: list[str], all_names: list[str]) -> list[dict]:
        """COCO results of all images for one template and class set."""
        import torch

        from visionllm_mm.instructions import build_instruction, point_format

        text = build_instruction(template, names, point_format(2), self.model.vocabulary)
        labels = [all_names.index(name) for name in names]
        results = []
        with torch.no_grad():
            for data in self.batches:
                for sample in data['data_samples']:
                    sample.set_metainfo(dict(instruction=text, class_labels=labels))
                for sample in self.model.test_step(data):
                    found = sample.pred_instances.cpu()
                    for box, score, label in zip(
                        found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
                    ):
                        results.append(
                            dict(
                                image_id=sample.img_id,
                                category_id=self.category_ids[label],
                                score=score,
                                bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                            )
                        )
        return results

    def average_precision(self, results: list[dict], categories: list[int] | None = None) -> float:
        """Box AP in [0, 1] over all or some categories."""
        from pycocotools.cocoeval import COCOeval

        if not results:
            return 0.0
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self.coco, self.coco.loadRes(results), 'bbox')
            evaluation.params.imgIds = self.image_ids
            evaluation.params.catIds = self.category_ids if categories is None else categories
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return float(evaluation.stats[0])

    def objects_hit(self, results: list[dict], category: int, score_thr: float) -> float:
        """Share of the objects of a category that some detection of any class covers with IoU >= 0.5."""
        import numpy as np
        from pycocotools import mask

        boxes = {}
        for result in results:
            if result['score'] >= score_thr:
                boxes.setdefault(result['image_id'], []).append(result['bbox'])
        hit = []
        for annotation in self.coco.loadAnns(self.coco.getAnnIds(self.image_ids, [category], iscrowd=False)):
            found = boxes.get(annotation['image_id'], [])
            overlap = mask.iou(np.array(found), np.array([annotation['bbox']]), [0]) if found else np.zeros(1)
            hit.append(bool((overlap >= 0.5).any()))
        return float(np.mean(hit)) if hit else float('nan')


def main() -> None:
    args = parse_args()
    import_plugin()
    from mmengine.runner import Runner

    from visionllm_mm.instructions import DETECTION_TEMPLATES

    cfg = load_config(args)
    require_data(cfg, 'test_dataloader')
    cfg.load_from = args.checkpoint
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    names = list(runner.test_dataloader.dataset.metainfo['classes'])
    evaluation = Evaluation(runner)

    templates = read_templates(args.templates) if args.templates else DETECTION_TEMPLATES
    precisions = [evaluation.average_precision(evaluation.predict(template, names, names)) for template in templates]
    print(
        f'box AP with {len(precisions)} templates: '
        + ' '.join(f'{ap:.3f}' for ap in precisions)
        + f'  (largest difference {max(precisions) - min(precisions):.3f})'
    )
    if args.templates:
        return
    reference = evaluation.predict(DETECTION_TEMPLATES[0], names, names)
    orders = _random_orders(evaluation, names, args.orders)
    print(
        f'box AP with the classes in {args.orders} random orders: '
        + ' '.join(f'{ap:.3f}' for ap in orders)
        + f'  (in file order {precisions[0]:.3f})'
    )
    print(f'one class left out (objects hit: share covered by a detection of score >= {args.score_thr}):')
    for label, name in enumerate(names):
        _leave_out(evaluation, reference, names, label, name, args.score_thr)


def _random_orders(evaluation: Evaluation, names: list[str], count: int) -> list[float]:
    import numpy as np

    from visionllm_mm.instructions import DETECTION_TEMPLATES

    rng = np.random.default_rng(0)
    return [
        evaluation.average_precision(
            evaluation.predict(DETECTION_TEMPLATES[0], [names[i] for i in rng.permutation(len(names))], names)
        )
        for _ in range(count)
    ]


def _leave_out(
    evaluation: Evaluation, reference: list[dict], names: list[str], label: int, name: str, score_thr: float
) -> None:
    from visionllm_mm.instructions import DETECTION_TEMPLATES

    rest = [other for other in names if other != name]
    if not rest:
        return
    category = evaluation.category_ids[label]
    others = [c for c in evaluation.category_ids if c != category]
    results = evaluation.predict(DETECTION_TEMPLATES[0], rest, names)
    print(
        f'  without {name}: objects hit {evaluation.objects_hit(reference, category, score_thr):.3f} -> '
        f'{evaluation.objects_hit(results, category, score_thr):.3f}, AP of the others '
        f'{evaluation.average_precision(reference, others):.3f} -> '
        f'{evaluation.average_precision(results, others):.3f}'
    )


if __name__ == '__main__':
    main()
