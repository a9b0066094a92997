"""tools/convert_weights.py: equality with the detector that weights are from, reports, and files it refuses."""

import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.helpers.conversion import (
    QUERY_POSITION,
    SMALL,
    assert_near,
    load_converted,
    new_tensors,
    random_detector,
    save_detector,
    write_config,
)
from tests.helpers.tiny import batch, model_config
from visionllm_mm.convert.detector import convert_detector

POINTS = SMALL | dict(as_two_stage=False)
NEVER_LOADED = ('image_tokenizer.fusions.', 'image_tokenizer.text_projection.', 'image_tokenizer.objectness_heads.')


def _inputs():
    """Two images, one of them padded."""
    images, samples = batch([0, 0])
    samples[1].set_metainfo(dict(img_shape=(40, 64)))
    images[1, :, 40:] = 0
    return images, samples


@torch.no_grad()
def _both(model, detector):
    """Encoded features and image tokens of the model, and what the detector makes of the same images."""
    images, samples = _inputs()
    memory = []
    handles = [
        part.encoder.register_forward_hook(lambda _, __, out: memory.append(out))
        for part in (model.image_tokenizer, detector)
    ]
    tokens = model.tokenize(model.extract_feat(images), samples, model.parse_instructions(samples))
    theirs = detector.forward_transformer(detector.extract_feat(images), samples)
    for handle in handles:
        handle.remove()
    _, boxes = detector.bbox_head(theirs['hidden_states'], list(theirs['references']))
    return memory, tokens, theirs['hidden_states'], boxes


def test_model_of_points_equals_the_detector(convert, tmp_path):
    config, detector = write_config(tmp_path, POINTS), random_detector(with_box_refine=False)
    _, report = convert(config, '--detector', save_detector(detector, tmp_path))
    memory, tokens, states, boxes = _both(load_converted(config, tmp_path), detector)
    assert_near(*memory)
    assert len(tokens.embeddings) == 2
    assert_near(tokens.embeddings, states)
    assert_near(tokens.centers_norm[-1], boxes[-1][..., :2])
    assert (boxes[-1] - boxes[-1].mean()).abs().max() > 0.05
    assert 'without box refinement' in str(report['sources']['detector']['notes'])


def test_first_layer_equals_a_detector_that_refines(convert, tmp_path):
    """Behind it the detector looks around boxes, and a model of points can't."""
    config, detector = write_config(tmp_path, POINTS), random_detector(with_box_refine=True)
    _, report = convert(config, '--detector', save_detector(detector, tmp_path))
    memory, tokens, states, boxes = _both(load_converted(config, tmp_path), detector)
    assert_near(*memory)
    assert_near(tokens.embeddings[0], states[0])
    assert_near(tokens.centers_norm[0], boxes[0][..., :2])
    assert (tokens.embeddings[1] - states[1]).abs().max() > 1e-3
    assert 'decoder layers 1 take' in str(report['sources']['detector']['notes'])


@torch.no_grad()
def test_decoder_of_boxes_equals_a_two_stage_detector(convert, tmp_path):
    """Its queries begin otherwise; from equal ones, all layers' states and boxes are equal."""
    config, detector = write_config(tmp_path), random_detector(with_box_refine=True, as_two_stage=True)
    _, report = convert(config, '--detector', save_detector(detector, tmp_path))
    model = load_converted(config, tmp_path)
    memory, _, _, _ = _both(model, detector)
    assert_near(*memory)
    images, samples = _inputs()
    encoder_inputs, inputs = detector.pre_transformer(detector.extract_feat(images), samples)
    queries, _ = detector.pre_decoder(**detector.forward_encoder(**encoder_inputs))
    theirs = detector.forward_decoder(**inputs, **queries)
    mask, tokenizer = inputs.pop('memory_mask'), model.image_tokenizer
    states, places = tokenizer.decoder(
        value=queries.pop('memory'), key_padding_mask=mask, reg_branches=tokenizer.place_heads, **queries, **inputs
    )
    assert_near(states, theirs['hidden_states'])
    assert places.shape[-1] == 4
    for ours, box in zip(places, theirs['references'][1:], strict=True):
        assert_near(ours, box)
    assert not any('take sampling offsets' in note for note in report['sources']['detector']['notes'])


POINT_HEAD = {'image_tokenizer.place_heads.0.4.weight', 'image_tokenizer.place_heads.0.4.bias'}
QUERY_CONTENT, PROPOSALS = 'image_tokenizer.query_embedding.weight', 'image_tokenizer.proposals.'
LEARNED = {
    QUERY_CONTENT,
    'image_tokenizer.query_position.weight',
    'image_tokenizer.reference_points_fc.weight',
    'image_tokenizer.reference_points_fc.bias',
}


@pytest.mark.parametrize(
    ('tokenizer', 'refine', 'two_stage', 'names', 'prefixes'),
    [
        (POINTS, False, False, POINT_HEAD, ()),
        (POINTS, True, False, set(), ()),
        (POINTS, True, True, LEARNED, ()),
        (SMALL, False, False, POINT_HEAD | QUERY_POSITION, (PROPOSALS,)),
        (SMALL, True, False, QUERY_POSITION, (PROPOSALS,)),
        (SMALL, True, True, QUERY_POSITION | {QUERY_CONTENT}, (PROPOSALS,)),
    ],
)
def test_what_stays_new_is_known_exactly(convert, tmp_path, tokenizer, refine, two_stage, names, prefixes):
    config = write_config(tmp_path, tokenizer)
    detector = random_detector(with_box_refine=refine, as_two_stage=two_stage)
    checkpoint, report = convert(config, '--detector', save_detector(detector, tmp_path))
    model = MODELS.build(Config.fromfile(config).model)
    own = model.state_dict()
    always = {name for name in own if name.startswith(NEVER_LOADED + prefixes)}
    assert new_tensors(report, 'image_tokenizer') == names | always
    assert new_tensors(report, 'backbone') == new_tensors(report, 'neck') == set()
    rest = {name for name in own if name.startswith(('text_encoder.', 'task_decoder.'))}
    rest -= {'task_decoder.vocabulary_sizes'}
    parts = ('text_encoder', 'task_decoder', 'llm')
    assert set().union(*(new_tensors(report, part) for part in parts)) == rest
    loaded = {name for name, entry in report['tensors'].items() if entry['status'] == 'loaded'}
    assert checkpoint['state_dict'].keys() - loaded == {'task_decoder.vocabulary_sizes'}
    assert all(value.shape == own[name].shape for name, value in checkpoint['state_dict'].items())
    # Every tensor of the detector is either used or named.
    source, unused = detector.state_dict(), report['sources']['detector']['unused']
    assert unused.keys() <= source.keys() and 'bbox_head.cls_branches.0.weight' in unused
    assert 'nothing in the model has this name' not in unused.values()
    assert not [name for name in unused if name.startswith(('backbone.', 'neck.', 'encoder.', 'decoder.'))]


def test_sizes_are_taken_where_they_mean_the_same():
    init_default_scope('mmdet')
    cfg = model_config().model
    cfg.image_tokenizer.update(SMALL)
    model, heads = MODELS.build(cfg), 'image_tokenizer.place_heads.{}.4.bias'
    source = random_detector(with_box_refine=True).state_dict()
    weights = convert_detector(source, model).weights
    first, second = (source[f'bbox_head.reg_branches.{i}.4.bias'] for i in range(2))
    assert torch.equal(weights[heads.format(0)][:2], first[:2]) and not weights[heads.format(0)][2:].any()
    assert torch.equal(weights[heads.format(1)], second)


def test_other_numbers_of_queries(tmp_path, convert):
    detector = random_detector(num_queries=9)
    config, path = write_config(tmp_path, POINTS), save_detector(detector, tmp_path)
    checkpoint, report = convert(config, '--detector', path)
    position, content = detector.query_embedding.weight.chunk(2, dim=1)
    assert torch.equal(checkpoint['state_dict']['image_tokenizer.query_position.weight'], position[:6])
    assert torch.equal(checkpoint['state_dict'][QUERY_CONTENT], content[:6])
    assert '9 queries, this model 6 image tokens: the first 6' in str(report['sources']['detector']['notes'])
    with pytest.raises(SystemExit, match=r'detector.pth: the detector has 9 queries and this model 12 .*num_tokens=9'):
        convert(config, '--detector', path, '--force', '--cfg-options', 'model.image_tokenizer.num_tokens=12')


def test_report_tells_counts_and_reasons(convert, tmp_path, capsys):
    detector = random_detector()
    _, report = convert(write_config(tmp_path), '--detector', save_detector(detector, tmp_path), '--verbose')
    said = capsys.readouterr().out
    neck = sum(value.numel() for value in detector.neck.state_dict().values())
    assert f'neck                  12          ({neck:,})       0' in said
    assert '--detector: 4 tensors not used, bbox_head.cls_branches.0.weight ...: predicts a class' in said
    assert 'loaded  image_tokenizer.level_embed 512 detector\n' in said
    assert 'unused  bbox_head.cls_branches.1.bias of --detector\n' in said
    assert report['tensors']['image_tokenizer.level_embed'] == dict(
        part='image_tokenizer', status='loaded', source='detector', parameters=512
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s | dict(level_embed=torch.zeros(4, 64)), r'width is 64 in the detector and 128 .*set embed_dims'),
        (lambda s: s | dict(level_embed=torch.zeros(5, 128)), r'feature levels is 5 .* and 4 .*num_feature_levels'),
        (
            lambda s: s | {'decoder.layers.2.norms.0.weight': torch.zeros(128)},
            r'decoder layers is 3 in the detector and 2 .*model.image_tokenizer.decoder.num_layers',
        ),
        (
            lambda s: s | {'encoder.layers.0.ffn.layers.0.0.bias': torch.zeros(99)},
            r'hidden width of the encoder is 99 .* and 256 .*encoder.layer_cfg.ffn_cfg.feedforward_channels',
        ),
        (
            lambda s: s | {'decoder.layers.0.cross_attn.sampling_offsets.bias': torch.zeros(2 * 4 * 32)},
            r'sampling points of the decoder is 32 .* and 16 .*cross_attn_cfg.num_heads, num_points',
        ),
        (
            lambda s: s | {'neck.convs.0.conv.weight': torch.zeros(128, 9, 1, 1)},
            r'neck.convs.0.conv.weight is \(128, 9, 1, 1\) .*set model.neck .*--backbone',
        ),
        (
            lambda s: {n: v for n, v in s.items() if not n.startswith('backbone.layer4')},
            r'missing in the .*model.backbone',
        ),
        (
            lambda s: {n: v for n, v in s.items() if n.startswith('backbone')},
            r"no DeformableDETR .*\['backbone'\], without level_embed",
        ),
        (lambda s: s | {'decoder.ref_point_head.0.weight': torch.zeros(1)}, 'relative such as DINO'),
        (lambda s: {f'bbox_head.transformer.{n}': v for n, v in s.items()}, r'names of mmdet 2.x'),
        (lambda s: {n: v for n, v in s.items() if '.4.' not in n}, 'num_reg_fcs'),
    ],
)
def test_a_detector_that_does_not_fit_is_refused(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        convert_detector(change(dict(tiny[1])), tiny[0])


class _Code:
    def __reduce__(self):
        return eval, ('1/0',)


def test_code_in_a_checkpoint_is_refused(convert, tmp_path):
    torch.save(dict(state_dict={}, extra=_Code()), tmp_path / 'evil.pth')
    for option in ('--detector', '--backbone'):
        with pytest.raises(SystemExit, match=r'evil.pth holds Python objects that could run code .*eval'):
            convert(write_config(tmp_path), option, tmp_path / 'evil.pth')
    assert not (tmp_path / 'out').exists()


def test_damaged_files_are_named(convert, tmp_path):
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'cut.safetensors').write_bytes(b'1234')
    for name in ('empty.pth', 'cut.safetensors'):
        with pytest.raises(SystemExit, match=f'{name} is damaged or incomplete: '):
            convert(write_config(tmp_path), '--backbone', tmp_path / name)
    whole = random_detector().state_dict()
    torch.save({n: v for n, v in whole.items() if n != 'bbox_head.reg_branches.1.2.bias'}, tmp_path / 'part.pth')
    with pytest.raises(SystemExit, match=r"part.pth has no 'bbox_head.reg_branches.1.2.bias', which"):
        convert(write_config(tmp_path), '--detector', tmp_path / 'part.pth')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--visionllm', __file__, '--detector', __file__), 'leave --detector and --backbone out'),
        ((), 'nothing to convert: give --detector'),
        (('--detector', 'no.pth'), 'detector not found: no.pth'),
        (('--llm', 'nowhere'), 'LLM: no folder nowhere'),
        (('--backbone', __file__, '--out', 'x.bin'), r'--out has to end in .pth, got x.bin'),
    ],
)
def test_wrong_arguments_stop_with_one_line(convert, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, 'argv', ['convert_weights.py', str(write_config(tmp_path)), '--out', 'x.pth', *arguments])
    import convert_weights

    with pytest.raises(SystemExit, match=message):
        convert_weights.main()


def test_files_are_written_whole_and_kept(convert, tmp_path, monkeypatch):
    config, path = write_config(tmp_path), save_detector(random_detector(), tmp_path)
    before, _ = convert(config, '--detector', path)
    with pytest.raises(SystemExit, match=r'start.pth, .*start.json exist: --force writes over them'):
        convert(config, '--detector', path)
    plain = torch.save

    def broken(content, target):
        plain('half', target)
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', broken)
    with pytest.raises(OSError, match='disk full'):
        convert(config, '--detector', path, '--force')
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['start.json', 'start.pth']
    after = torch.load(tmp_path / 'out/start.pth', weights_only=True)
    assert before['state_dict'].keys() == after['state_dict'].keys()
