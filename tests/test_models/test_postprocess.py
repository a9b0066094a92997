"""From logits to predictions, on hand-made answers."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample

from tests.helpers.tiny import batch, build_model
from visionllm_mm.instructions import Vocabulary, build_instruction, parse_instruction, point_format
from visionllm_mm.models.postprocess import SetPostprocessor, location_certainty, nms
from visionllm_mm.structures import ImageTokens

NAMES = ['circle', 'square', 'star']
RANGE = 16


def _instruction(names=NAMES):
    vocabulary = Vocabulary(coord_range=RANGE)
    template = 'Find <class> as <format> in range <range>: <image>'
    return parse_instruction(build_instruction(template, names, point_format(2), vocabulary), vocabulary)


def _answers(num_images=1, num_tokens=4, num_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = ImageTokens(
        torch.zeros(1, num_images, num_tokens, 8),
        torch.rand(1, num_images, num_tokens, 2, generator=generator),
        torch.randn(1, num_images, num_tokens, generator=generator),
    )
    logits = torch.randn(num_images, num_tokens, num_classes + 1, generator=generator)
    return tokens, logits, torch.ones(num_images, num_classes, dtype=torch.bool)


def _sample(**meta):
    return DetDataSample(metainfo=dict(img_shape=(64, 128), scale_factor=(1.0, 1.0)) | meta)


def _corner_logits(tokens: ImageTokens, kept, corner=(-4, -2, 3, 5)):
    """Point logits that predict the same bins for every kept token."""
    logits = torch.full((*kept.shape, 2, 2, 2 * RANGE + 1), -50.0)
    for (point, axis), offset in zip(((0, 0), (0, 1), (1, 0), (1, 1)), corner, strict=True):
        logits[:, :, point, axis, RANGE + offset] = 50.0
    return logits


def _run(processor, tokens, logits, valid, samples=None, rescale=False, instructions=None):
    selection = processor.select(tokens, logits, valid)
    samples = samples or [_sample()] * len(logits)
    instructions = instructions or [_instruction()] * len(logits)
    points = _corner_logits(tokens, selection.tokens)
    return processor(tokens, selection, points, instructions, samples, rescale)


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
def test_predictions_against_plain_sorting(power):
    tokens, logits, valid = _answers(num_images=2)
    found = _run(SetPostprocessor(max_per_img=7, objectness_power=power), tokens, logits, valid)
    for i, result in enumerate(found):
        plain = []
        for t in range(4):
            probabilities = logits[i, t].softmax(dim=0)
            for c in range(3):
                score = float(probabilities[c] * tokens.objectness[0, i, t].sigmoid() ** power)
                x, y = tokens.centers_norm[0, i, t].tolist()
                box = np.clip([x - 4 / RANGE, y - 2 / RANGE, x + 3 / RANGE, y + 5 / RANGE], 0, 1) * [128, 64, 128, 64]
                plain.append((score, c, box))
        plain.sort(key=lambda entry: -entry[0])
        assert len(result) == 7
        np.testing.assert_allclose(result.scores, [entry[0] for entry in plain[:7]], rtol=1e-5)
        assert result.labels.tolist() == [entry[1] for entry in plain[:7]]
        assert result.label_names == [NAMES[entry[1]] for entry in plain[:7]]
        np.testing.assert_allclose(result.bboxes, np.stack([entry[2] for entry in plain[:7]]), atol=1e-3)


def test_certainty_is_the_spread_of_the_points_beside_the_extent_of_the_answer():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 2, 9) * 3
    found = location_certainty(logits)
    for k in range(3):
        total = 0.0
        for axis in range(2):
            means, spreads = [], []
            for n in range(4):
                p = logits[k, n, axis].softmax(dim=0).double().numpy()
                means.append((p * np.arange(9)).sum())
                spreads.append(np.sqrt((p * (np.arange(9) - means[-1]) ** 2).sum()))
            total += np.mean(spreads) / max(np.ptp(means), 1.0)
        assert float(found[k]) == pytest.approx(1 / (1 + total), rel=1e-4)
    sharp = torch.full((1, 2, 2, 9), -50.0)
    sharp[0, 0, :, 1] = sharp[0, 1, :, 7] = 50.0
    assert location_certainty(sharp).item() == pytest.approx(1.0)


def test_less_certain_answers_score_lower():
    tokens, logits, valid = _answers(num_images=2)
    processor = SetPostprocessor(objectness_power=0.0, certainty_power=0.5)
    selection = processor.select(tokens, logits, valid)
    points = _corner_logits(tokens, selection.tokens)
    points[1] /= 40
    sure, unsure = processor(tokens, selection, points, [_instruction()] * 2, [_sample()] * 2, False)
    probabilities = logits.softmax(dim=-1)[..., :3].flatten(1).sort(descending=True).values
    torch.testing.assert_close(sure.scores, probabilities[0])
    torch.testing.assert_close(unsure.scores, probabilities[1] * location_certainty(points[1])[0] ** 0.5)
    assert unsure.scores[0] < probabilities[1, 0]


def test_only_tokens_that_are_kept_are_decoded():
    tokens, logits, valid = _answers(num_tokens=6)
    logits[0, :, :3] = torch.tensor([[-9.0] * 3, [5, 4, -9], [-9] * 3, [6, -9, -9], [-9] * 3, [-9] * 3])
    selection = SetPostprocessor(max_per_img=3, objectness_power=0.0).select(tokens, logits, valid)
    assert selection.tokens.tolist() == [[1, 3]]
    assert selection.tokens[0][selection.token_slots[0]].tolist() == [3, 1, 1]
    assert selection.class_rows.tolist() == [[0, 0, 1]]


def test_threshold_drops_predictions_per_image():
    tokens, logits, valid = _answers(num_images=2)
    everything = _run(SetPostprocessor(), tokens, logits, valid)
    threshold = float(everything[0].scores[2])
    some = _run(SetPostprocessor(score_thr=threshold), tokens, logits, valid)
    for full, part in zip(everything, some, strict=True):
        torch.testing.assert_close(part.scores, full.scores[full.scores >= threshold])
        torch.testing.assert_close(part.bboxes, full.bboxes[: len(part)])
    assert 0 < len(some[0]) < 12


def test_labels_are_the_data_sets_own():
    tokens, logits, valid = _answers()
    plain = _run(SetPostprocessor(), tokens, logits, valid)[0]
    mapped = _run(SetPostprocessor(), tokens, logits, valid, [_sample(class_labels=[7, 0, 4])])[0]
    assert mapped.labels.tolist() == [[7, 0, 4][label] for label in plain.labels.tolist()]
    assert mapped.label_names == plain.label_names and mapped.labels.dtype == torch.int64


def test_rescale_divides_by_the_factor_of_each_axis():
    tokens, logits, valid = _answers()
    sample = _sample(scale_factor=(2.0, 0.5))
    resized = _run(SetPostprocessor(), tokens, logits, valid, [sample])[0]
    original = _run(SetPostprocessor(), tokens, logits, valid, [sample], rescale=True)[0]
    torch.testing.assert_close(original.bboxes * torch.tensor([2.0, 0.5, 2.0, 0.5]), resized.bboxes)


def test_boxes_stay_inside_and_corners_may_come_in_any_order():
    tokens, logits, valid = _answers()
    processor = SetPostprocessor()
    selection = processor.select(tokens, logits, valid)
    points = _corner_logits(tokens, selection.tokens, corner=(9, 16, -16, -9))
    boxes = processor(tokens, selection, points, [_instruction()], [_sample()], False)[0].bboxes
    assert (boxes >= 0).all() and (boxes[:, 0::2] <= 128).all() and (boxes[:, 1::2] <= 64).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_smaller_class_sets_of_a_batch_get_no_foreign_classes():
    """An image whose instruction lists fewer classes than its neighbour's answers as it does alone."""
    tokens, logits, valid = _answers(num_images=2)
    valid[1, 1:] = False
    logits[1, :, 1:3] = torch.finfo().min
    instructions = [_instruction(), _instruction(NAMES[:1])]
    both = _run(SetPostprocessor(), tokens, logits, valid, instructions=instructions)
    second = ImageTokens(*(value[:, 1:] for value in (tokens.embeddings, tokens.centers_norm, tokens.objectness)))
    alone = _run(SetPostprocessor(), second, logits[1:, :, [0, 3]], valid[1:, :1], instructions=instructions[1:])[0]
    assert len(both[0]) == 12 and set(both[1].label_names) == {'circle'}
    torch.testing.assert_close(both[1].scores, alone.scores)
    torch.testing.assert_close(both[1].bboxes, alone.bboxes)


def test_nothing_kept_is_an_empty_result_that_coco_takes(tmp_path):
    tokens, logits, valid = _answers(num_images=2)
    results = _run(SetPostprocessor(score_thr=1.1), tokens, logits, valid)
    for result in results:
        assert len(result) == 0 and result.bboxes.shape == (0, 4) and result.label_names == []
        assert result.labels.dtype == torch.int64
    ann_file = tmp_path / 'ann.json'
    ann_file.write_text(
        json.dumps(
            dict(
                images=[dict(id=i, width=128, height=64) for i in range(2)],
                categories=[dict(id=k + 1, name=name) for k, name in enumerate(NAMES)],
                annotations=[dict(id=1, image_id=0, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
            )
        )
    )
    metric = CocoMetric(ann_file=str(ann_file))
    metric.dataset_meta = dict(classes=tuple(NAMES))
    metric.process(
        {},
        [
            dict(img_id=i, ori_shape=(64, 128), pred_instances=dict(result.all_items()))
            for i, result in enumerate(results)
        ],
    )
    assert metric.evaluate(size=2).get('coco/bbox_mAP', 0.0) == 0.0


def test_detector_drops_predictions_by_its_test_cfg():
    model = build_model().eval()
    images, samples = batch([1, 1])
    with torch.no_grad():
        scores = torch.cat([s.pred_instances.scores for s in model.predict(images, samples)])
        model.postprocessor.score_thr = float(scores.median())
        kept = torch.cat([s.pred_instances.scores for s in model.predict(images, samples)])
        model.postprocessor.score_thr = 1.1
        assert [len(s.pred_instances) for s in model.predict(images, samples)] == [0, 0]
    torch.testing.assert_close(kept.sort().values, scores[scores >= scores.median()].sort().values)


def test_nms_drops_what_overlaps_a_better_one_of_its_class():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8], [20, 0, 30, 10], [0, 1, 10, 10]]).float()
    labels = torch.tensor([0, 0, 1, 0, 0])
    assert nms(boxes, labels, 0.6).tolist() == [True, False, True, True, False]
    # The last one overlaps the first by 0.81, and by more only the second, which is dropped itself.
    chain = torch.tensor([[0, 0, 100, 100], [0, 0, 90, 100], [0, 0, 81, 100]]).float()
    assert nms(chain, torch.zeros(3), 0.85).tolist() == [True, False, True]
    assert nms(boxes[:0], labels[:0], 0.6).tolist() == []


def test_duplicates_are_dropped_where_the_config_says_so():
    tokens, logits, valid = _answers(num_images=2)
    tokens.centers_norm[:] = torch.tensor([0.5, 0.5])  # all tokens answer the same box
    everything = _run(SetPostprocessor(), tokens, logits, valid)
    best = _run(SetPostprocessor(nms_iou_threshold=0.6), tokens, logits, valid)
    for before, after in zip(everything, best, strict=True):
        assert len(before) == 4 * 3 and after.labels.unique(sorted=True).tolist() == [0, 1, 2]
        for i, label in enumerate(after.labels):
            first = (before.labels == label).nonzero()[0, 0]
            for name in ('scores', 'bboxes', 'class_tokens', 'offset_bins'):
                torch.testing.assert_close(after[name][i], before[name][first])
