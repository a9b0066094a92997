"""Accuracy of short answers to questions about images."""

from collections import defaultdict
from collections.abc import Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from .caption_metric import tokenize_simply


@METRICS.register_module()
class AnswerMetric(BaseMetric):
    """Share of questions whose ``pred_text`` is one of the answers in ``gt_caption``.

    In all, per ``question_type``, and of the first questions alone (``turn`` 0), which no earlier answer can help. Case
    and punctuation do not count. An empty answer is wrong.
    """

    default_prefix = 'vqa'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            answer = tokenize_simply(sample['pred_text'])
            right = bool(answer) and answer in {tokenize_simply(text) for text in sample['gt_caption']}
            self.results.append((sample.get('question_type', ''), sample.get('turn'), right))

    def compute_metrics(self, results: list) -> dict[str, float]:
        right = defaultdict(list)
        for kind, turn, hit in results:
            right['accuracy'].append(hit)
            if turn == 0:
                right['first_turn_accuracy'].append(hit)
            if kind:
                right[f'{kind}_accuracy'].append(hit)
        return {name: sum(hits) / len(hits) for name, hits in right.items()}
