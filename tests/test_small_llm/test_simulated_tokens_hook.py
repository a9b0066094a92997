"""The warm-ups on simulated image tokens and on output formats as steps of a run."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.helpers.tiny import NAMES, VOCABULARY, build_model
from visionllm_mm.models import FormatLoss
from visionllm_mm.small_llm import FormatWarmupHook, SimulatedTokensWarmupHook, progress


@pytest.fixture
def datasets(tmp_path):
    """Expressions, captions and conversations about three images that exist nowhere."""
    images = [dict(id=i, file_name=f'{i}.png', width=40, height=30) for i in range(3)]
    categories = [dict(id=k, name=name) for k, name in enumerate(NAMES)]
    boxes = [dict(id=i, image_id=i, category_id=i, bbox=[1, 2, 10, 20], area=200, iscrowd=0) for i in range(2)]
    captions = [dict(id=i, image_id=i, caption=f'a {NAMES[i]}') for i in range(3)]
    talk = [
        dict(
            image=f'{i}.png',
            conversations=[{'from': 'human', 'value': '<image> What is it?'}, {'from': 'gpt', 'value': NAMES[i]}],
        )
        for i in range(3)
    ]
    meant = [dict(box, category_id=0) for box in boxes]
    phrases = [dict(image, caption=f'the {NAMES[image["id"]]}', dataset_name='refcoco') for image in images[:2]]
    for name, content in dict(
        objects=dict(images=images, annotations=boxes, categories=categories),
        captions=dict(images=images, annotations=captions),
        talk=talk,
        phrases=dict(images=phrases, annotations=meant, categories=categories),
    ).items():
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    common = dict(data_root=str(tmp_path), objects=dict(ann_file='objects.json', metainfo=dict(classes=tuple(NAMES))))
    load = [dict(type='SeedBySample'), dict(type='LoadAnnotations', with_bbox=True)]
    return [
        dict(
            common,
            type='ReferringExpressionDataset',
            data_prefix=dict(img=''),
            ann_file='phrases.json',
            pipeline=[
                *load,
                dict(type='GroundingInstruction', vocabulary=VOCABULARY, training=True),
                dict(type='PackInstructionInputs'),
            ],
        ),
        dict(
            common,
            type='CaptionDataset',
            ann_file='captions.json',
            pipeline=load + [dict(type='CaptionInstruction', training=True), dict(type='PackInstructionInputs')],
        ),
        dict(
            common,
            type='ConversationDataset',
            ann_file='talk.json',
            pipeline=load + [dict(type='QuestionInstruction', training=True), dict(type='PackInstructionInputs')],
        ),
    ]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Results are kept below the working folder."""
    (tmp_path / 'run').mkdir()
    monkeypatch.chdir(tmp_path / 'run')


def _run(datasets, model, iteration=0, hook=SimulatedTokensWarmupHook, **kwargs):
    init_default_scope('mmdet')
    logged = []
    runner = SimpleNamespace(
        iter=iteration,
        model=model,
        build_dataloader=Runner.build_dataloader,
        logger=SimpleNamespace(info=logged.append),
    )
    settings = dict(num_iters=100, batch_size=2) | kwargs
    hook(datasets, ratios=(1,) * len(datasets), **settings).before_train(runner)
    return logged


def test_the_task_decoder_alone_learns(datasets, monkeypatch):
    clock = itertools.count()  # a step takes 0.05 s, on busy machines, too
    monkeypatch.setattr(progress, 'monotonic', lambda: 0.05 * next(clock))
    model = build_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logged = _run(datasets, model)
    changed = {name.split('.')[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {'task_decoder'} and model.training
    assert logged[0].startswith('warm-up on simulated image tokens: 100 steps before the first image; the result is')
    assert logged[1].startswith('warm-up on simulated image tokens [2/100]  eta: 0:00:0')
    assert logged[-2].startswith('warm-up on simulated image tokens [100/100]  loss: ')


def test_a_run_that_goes_on_is_not_warmed_up_again(datasets):
    model = build_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert _run(datasets, model, iteration=5) == []
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_the_result_is_kept_with_all_that_it_depends_on(datasets, tmp_path):
    first, second = build_model().train(), build_model().train()
    assert len(_run(datasets, first, num_iters=3)) == 4
    np.random.seed(7)  # what is sampled outside neither changes the result nor is changed
    logged = _run(datasets, second, num_iters=3)
    assert len(logged) == 1 and logged[0].startswith(
        'task decoder warmed up, SimulatedTokensWarmupHook: work_dirs/warmup/'
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    kept = Path('work_dirs/warmup')
    assert len(list(kept.iterdir())) == 1
    next(kept.iterdir()).unlink()
    third = build_model().train()
    np.random.seed(8)
    before = np.random.get_state()[1].copy()
    _run(datasets, third, num_iters=3)
    assert (np.random.get_state()[1] == before).all()
    assert all(torch.equal(value, third.state_dict()[name]) for name, value in first.state_dict().items())
    _run(datasets, build_model(), num_iters=4)
    captions = tmp_path / 'captions.json'
    captions.write_text(captions.read_text().replace('"a ', '"the '))
    _run(datasets, build_model(), num_iters=3)
    assert len(list(kept.iterdir())) == 3


def test_fewer_tokens_and_no_formats(datasets, monkeypatch):
    model, seen = build_model().train(), []
    model.auxiliary['formats'] = FormatLoss()
    monkeypatch.setattr(FormatLoss, 'loss', lambda *args: pytest.fail('formats are read'))
    read = model.task_decoder.embed_prefix
    monkeypatch.setattr(
        model.task_decoder,
        'embed_prefix',
        lambda texts, tokens, **kwargs: seen.append(tokens.shape[1]) or read(texts, tokens, **kwargs),
    )
    _run(datasets, model, num_tokens=3, read_formats=False)
    assert set(seen) == {3}


def test_formats_are_learnt(datasets):
    model = build_model().train()
    model.auxiliary['formats'] = FormatLoss()
    datasets[0]['pipeline'].insert(-1, dict(type='ScrambleInstruction', max_points=2, prob=1.0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logged = _run(datasets[:1], model, hook=FormatWarmupHook, batch_size=8)
    losses = [float(line.split()[-1]) for line in (logged[1], logged[-2])]
    assert logged[0].startswith('warm-up on output formats: 100 steps')
    assert logged[-2].startswith('warm-up on output formats [100/100]  loss: ')
    assert losses[1] < 0.5 * losses[0]
    changed = {name.split('.')[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {'task_decoder'} and model.training
    assert all(weight.grad is None for weight in model.parameters())


def test_formats_need_their_loss(datasets):
    with pytest.raises(ValueError, match=r'FormatWarmupHook needs .*: set auxiliary=dict\(formats='):
        _run(datasets[:1], build_model(), hook=FormatWarmupHook)
