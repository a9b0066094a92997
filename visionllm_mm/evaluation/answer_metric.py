"""Accuracy of short answers to questions about images."""

from collections import defaultdict
from collections.abc import Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from .caption_metric import tokenize_simply


@METRICS.register_module()
class AnswerMetric(BaseMetric):
    """Share of questions whose ``pred_text`` is one of the answers in ``gt_caption``.

    Overall, per ``question_type``, and for the first questions alone (``turn`` 0), which follow no earlier answer. Case
    and punctuation do not count. An empty text is wrong.
    """

    default_prefix = 'vqa'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            answer = tokenize_simply(sample['pred_text'])
            correct = bool(answer) and answer in {tokenize_simply(text) for text in sample['gt_caption']}
            self.results.append((sample.get('question_type', ''), sample.get('turn'), correct))

    def compute_metrics(self, results: list) -> dict[str, float]:
        hits = defaultdict(list)
        for kind, turn, hit in results:
            hits['accuracy'].append(hit)
            if turn == 0:
                hits['first_turn_accuracy'].append(hit)
            if kind:
                hits[f'{kind}_accuracy'].append(hit)
        return {name: sum(values) / len(values) for name, values in hits.items()}
