"""Configs and checkpoints of earlier checkouts are refused, and the message states what to change."""

import pytest
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from tests.helpers.tiny import build_model, model_config
from visionllm_mm.compat.renamed import (
    old_types,
    refuse_old_options,
    refuse_old_weights,
    rename_weight,
)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(task_decoder=dict(place_points=True)), 'task_decoder is now hints, token_projector and added_tokens'),
        (dict(denoising=dict(copies=3)), r"denoising is now auxiliary=dict\(denoising=dict\(type='Denoising'"),
        (dict(denoising=None, task_decoder=None), 'denoising is now .*; task_decoder is now .*CHANGELOG.md has all'),
        (dict(nonsense=1), 'VisionLLM has no option nonsense'),
    ],
)
def test_a_model_with_an_old_or_unknown_option_is_refused(options, message):
    init_default_scope('mmdet')
    with pytest.raises(TypeError, match=message):
        MODELS.build(dict(model_config().model, **options))


def test_known_options_are_no_error():
    refuse_old_options({})


RENAMED = [
    ('task_decoder.asked_words.attention', 'task_decoder.hints.phrases.attention'),
    ('task_decoder.point_places.outline.weight', 'task_decoder.hints.point_places.polygon.weight'),
    ('task_decoder.point_places.projection.weight', 'task_decoder.hints.point_places.projection.weight'),
    ('task_decoder.projector.objectness', 'task_decoder.hints.objectness'),
]


@pytest.mark.parametrize('old, new', RENAMED)
def test_old_names_of_weights_have_a_name_of_today(old, new):
    assert rename_weight(old) == new == rename_weight(new)
    with pytest.raises(ValueError, match=f'1 weights .* first is {old}, now {new}. .*tools/publish_weights.py'):
        refuse_old_weights([new, old])


def test_a_model_refuses_a_checkpoint_with_old_names():
    model = build_model()
    names = list(model.state_dict())
    refuse_old_weights(names)
    assert [rename_weight(name) for name in names] == names
    state = model.state_dict()
    state['task_decoder.asked_words.attention'] = state['task_decoder.projector.scale']
    with pytest.raises(ValueError, match='of an earlier checkout: .*asked_words.attention.*tools/publish_weights.py'):
        model.load_state_dict(state, strict=False)


def test_old_registered_names_are_found_at_any_depth():
    hooks = dict(failures=dict(type='ReportFailuresHook'), other=None)
    pipeline = [dict(type='Resize'), dict(type='AddOutlines'), dict(type='AddOutlines')]
    found = old_types(dict(default_hooks=hooks, loader=dict(dataset=dict(pipeline=(pipeline,)))))
    assert found == [
        'ReportFailuresHook is now TolerantValLoop and TolerantTestLoop, types of val_cfg and test_cfg',
        'AddOutlines is now AddPolygons',
    ]
    assert old_types(dict(type='VisionLLM', a=[1, 'x'])) == []


@pytest.mark.parametrize(
    'parts, message',
    [
        (dict(image_tokenizer=dict(refine_sizes=True)), 'image_tokenizer.refine_sizes is now image_tokenizer.as_two'),
        (dict(test_cfg=dict(words=dict())), 'test_cfg.words is now test_cfg.text'),
        (dict(criterion=dict(loss_asked=None)), 'criterion.loss_asked is now auxiliary=dict.phrases'),
    ],
)
def test_old_options_of_parts_are_refused(parts, message):
    with pytest.raises(TypeError, match=message):
        refuse_old_options({}, **parts)
