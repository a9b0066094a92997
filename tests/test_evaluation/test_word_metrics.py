"""Metrics of answers in words."""

import json
import shutil

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

from visionllm_mm.evaluation import AnswerMetric, CaptionMetric, NamedObjectsMetric
from visionllm_mm.evaluation.caption_metric import tokenize_simply
from visionllm_mm.evaluation.named_objects_metric import count_named, names_pattern

SAMPLES = [
    dict(img_id=1, pred_text='A red star, and a ring.', gt_caption=['a red star and a ring', 'one star. One ring!']),
    dict(img_id=2, pred_text='two circles', gt_caption=['there are two blue circles', 'two circles', ' ']),
    dict(img_id=3, pred_text='', gt_caption=['a background without objects']),
]
needs_java = pytest.mark.skipif(shutil.which('java') is None, reason="COCO's tokenizer is a Java program")


def _evaluate(metric, samples):
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


def _library(samples):
    predictions = {s['img_id']: [tokenize_simply(s['pred_text'])] for s in samples}
    captions = {s['img_id']: [tokenize_simply(t) for t in s['gt_caption'] if t.strip()] for s in samples}
    return Bleu(4).compute_score(captions, predictions)[0], Cider().compute_score(captions, predictions)[0]


def test_scores_are_the_librarys_and_labelled():
    found = _evaluate(CaptionMetric(tokenizer='simple'), SAMPLES)
    bleu, cider = _library(SAMPLES)
    expected = {f'caption/BLEU-{n} (simple tokenizer)': value for n, value in enumerate(bleu, 1)}
    assert found == pytest.approx(expected | {'caption/CIDEr (simple tokenizer)': cider})
    assert 0 < found['caption/BLEU-1 (simple tokenizer)'] < 1


def test_several_answers_about_one_image_all_count():
    expected = _evaluate(CaptionMetric(tokenizer='simple'), SAMPLES)
    assert _evaluate(CaptionMetric(tokenizer='simple'), [dict(s, img_id=1) for s in SAMPLES]) == expected


@needs_java
def test_cocos_tokenizer_and_ours_agree_on_plain_captions():
    found = _evaluate(CaptionMetric(), SAMPLES)
    bleu, cider = _library(SAMPLES)
    expected = {f'caption/BLEU-{n}': value for n, value in enumerate(bleu, 1)}
    assert found == pytest.approx(expected | {'caption/CIDEr': cider})


def test_without_java(monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    assert CaptionMetric().tokenizer == 'simple'
    with pytest.raises(RuntimeError, match='needs Java'):
        CaptionMetric(tokenizer='ptb')
    with pytest.raises(ValueError, match='tokenizer must be'):
        CaptionMetric(tokenizer='words')


def test_images_without_caption_are_left_out(monkeypatch):
    said = []
    monkeypatch.setattr('visionllm_mm.evaluation.caption_metric.print_log', lambda text, **kwargs: said.append(text))
    blank = dict(img_id=9, pred_text='x', gt_caption=[''])
    assert _evaluate(CaptionMetric('simple'), [blank, *SAMPLES]) == _evaluate(CaptionMetric('simple'), SAMPLES)
    assert said == ['1 of 4 images have no caption to compare with and are left out']
    with pytest.raises(ValueError, match='none of 1 images has a caption to compare with'):
        _evaluate(CaptionMetric('simple'), [blank])


def test_answers_of_any_script_and_empty_ones():
    samples = [
        dict(pred_text=said, gt_caption=[right])
        for said, right in (('星', '環'), ('星。', '星'), ('Étoile', 'étoile'), ('', '!'), ('', 'star'))
    ]
    metric = AnswerMetric()
    metric.process({}, samples)
    assert [right for _, _, right in metric.results] == [False, True, True, False, False]


def test_answers_count_by_type_without_case_and_punctuation():
    samples = [
        dict(pred_text='Red.', gt_caption=['red'], question_type='color', turn=0),
        dict(pred_text='blue', gt_caption=['red'], question_type='color'),
        dict(pred_text='2', gt_caption=['2', 'two'], question_type='count'),
        dict(pred_text='yes', gt_caption=['no']),
    ]
    assert _evaluate(AnswerMetric(), samples) == pytest.approx(
        {'vqa/accuracy': 0.5, 'vqa/first_turn_accuracy': 1.0, 'vqa/color_accuracy': 0.5, 'vqa/count_accuracy': 1.0}
    )


def test_share_of_captions_that_name_every_object(tmp_path):
    names = ['red star', 'red cross', 'star']
    path = tmp_path / 'objects.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=i) for i in range(4)],
                categories=[dict(id=i, name=name) for i, name in enumerate(names)],
                annotations=[
                    dict(id=i, image_id=image, category_id=category)
                    for i, (image, category) in enumerate([(0, 0), (0, 0), (0, 1), (1, 2), (2, 0)])
                ],
            )
        )
    )
    pattern = names_pattern(names)
    text = 'Two red stars, a Red Cross, 3 stars'
    assert count_named(text, pattern) == {'red star': 2, 'red cross': 1, 'star': 3}
    assert count_named('red crosses and no star, a starfish', pattern) == {'red cross': 1}
    metric = NamedObjectsMetric(str(path))
    said = {
        0: 'three objects: a red cross and two red stars',
        1: 'a red star',
        2: 'a red star and a red cross',
        3: 'an empty scene',
    }
    found = _evaluate(metric, [dict(img_id=i, pred_text=text) for i, text in said.items()])
    assert found == {'caption/all_objects_named': 0.5}
    missed = _evaluate(metric, [dict(img_id=3, pred_text='', failure='unreadable')])
    assert missed == {'caption/all_objects_named': 0.0}, 'an image without objects is not named by a failure'
