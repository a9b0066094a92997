"""tools/convert_weights.py: equality with the detector that weights are from, reports, and files it refuses."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmdet.apis import init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint

from tests.tiny import LORA, ROOT, batch, model_config, save_bert, save_llama
from visionllm_mm.models.pretrained_detector import convert_detector

SMALL = dict(num_tokens=6)
POINTS = SMALL | dict(proposals=False, query_selection=False, refine_sizes=False)
INTERNIMAGE = dict(type='InternImage', channels=8, depths=[1, 1, 1, 1], groups=[1, 2, 4, 8], out_indices=(1, 2, 3))
NEVER_LOADED = ('image_tokenizer.fusions.', 'image_tokenizer.text_projection.', 'image_tokenizer.objectness_heads.')


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """Runs the tool's main with arguments and --out, and returns the checkpoint and the report."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    import convert_weights

    def run(*arguments, out=tmp_path / 'out/start.pth'):
        monkeypatch.setattr(sys, 'argv', ['convert_weights.py', *map(str, arguments), '--out', str(out)])
        convert_weights.main()
        return torch.load(out, weights_only=True), json.loads(out.with_suffix('.json').read_text())

    return run


def _config(folder: Path, tokenizer=SMALL, **parts) -> Path:
    cfg = model_config()
    cfg.model.image_tokenizer.update(tokenizer)
    if not cfg.model.image_tokenizer.refine_sizes:
        cfg.model.denoising = None
        for name in ('proposal_assigner', 'loss_size', 'loss_iou'):
            cfg.model.criterion.pop(name)
    for name, value in parts.items():
        cfg.model[name] = value
    cfg.dump(folder / 'tiny.py')
    return folder / 'tiny.py'


def _detector(seed=0, **changes):
    """A DeformableDETR none of whose weights is as it began."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / 'configs/_base_/deformable-detr_r18.py').model
    cfg.backbone.base_channels, cfg.neck.in_channels = 8, [16, 32, 64]
    torch.manual_seed(seed)
    detector = MODELS.build(cfg | dict(num_queries=6) | changes).eval()
    detector.init_weights()
    embed = detector.get_proposal_pos_embed  # mmdet's two stages take a width of 256 for granted
    detector.get_proposal_pos_embed = lambda proposals: embed(proposals, num_pos_feats=64)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, value in detector.named_buffers():
            if name.endswith('running_mean'):
                value.normal_(std=0.1)
    return detector


def _save(detector, folder: Path) -> Path:
    torch.save(dict(meta=dict(epoch=1), state_dict=detector.state_dict()), folder / 'detector.pth')
    return folder / 'detector.pth'


def _load(config: Path, folder: Path):
    return init_detector(str(config), str(folder / 'out/start.pth'), device='cpu')


def _new(report: dict, part: str) -> set[str]:
    return {name for name, entry in report['tensors'].items() if (entry['part'], entry['status']) == (part, 'new')}


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
    handles = [part.encoder.register_forward_hook(lambda _, __, out: memory.append(out))
               for part in (model.image_tokenizer, detector)]
    tokens = model.tokenize(model.extract_feat(images), samples, model.parse_instructions(samples))
    theirs = detector.forward_transformer(detector.extract_feat(images), samples)
    for handle in handles:
        handle.remove()
    _, boxes = detector.bbox_head(theirs['hidden_states'], list(theirs['references']))
    return memory, tokens, theirs['hidden_states'], boxes


def _equal(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_model_of_points_equals_the_detector(tool, tmp_path):
    config, detector = _config(tmp_path, POINTS), _detector(with_box_refine=False)
    _, report = tool(config, '--detector', _save(detector, tmp_path))
    memory, tokens, states, boxes = _both(_load(config, tmp_path), detector)
    _equal(*memory)
    assert len(tokens.embeddings) == 2
    _equal(tokens.embeddings, states)
    _equal(tokens.centers_norm[-1], boxes[-1][..., :2])
    assert (boxes[-1] - boxes[-1].mean()).abs().max() > 0.05
    assert 'without box refinement' in str(report['sources']['detector']['notes'])


def test_first_layer_equals_a_detector_that_refines(tool, tmp_path):
    """Behind it the detector looks around boxes, and a model of points can't."""
    config, detector = _config(tmp_path, POINTS), _detector(with_box_refine=True)
    _, report = tool(config, '--detector', _save(detector, tmp_path))
    memory, tokens, states, boxes = _both(_load(config, tmp_path), detector)
    _equal(*memory)
    _equal(tokens.embeddings[0], states[0])
    _equal(tokens.centers_norm[0], boxes[0][..., :2])
    assert (tokens.embeddings[1] - states[1]).abs().max() > 1e-3
    assert 'decoder layers 1 take' in str(report['sources']['detector']['notes'])


@torch.no_grad()
def test_decoder_of_boxes_equals_a_two_stage_detector(tool, tmp_path):
    """Its queries begin otherwise; from equal ones, all layers' states and boxes are equal."""
    config, detector = _config(tmp_path), _detector(with_box_refine=True, as_two_stage=True)
    _, report = tool(config, '--detector', _save(detector, tmp_path))
    model = _load(config, tmp_path)
    memory, _, _, _ = _both(model, detector)
    _equal(*memory)
    images, samples = _inputs()
    encoder_inputs, inputs = detector.pre_transformer(detector.extract_feat(images), samples)
    queries, _ = detector.pre_decoder(**detector.forward_encoder(**encoder_inputs))
    theirs = detector.forward_decoder(**inputs, **queries)
    mask, tokenizer = inputs.pop('memory_mask'), model.image_tokenizer
    states, places = tokenizer.decoder(
        value=queries.pop('memory'), key_padding_mask=mask, reg_branches=tokenizer.place_heads, **queries, **inputs)
    _equal(states, theirs['hidden_states'])
    assert places.shape[-1] == 4
    for ours, box in zip(places, theirs['references'][1:], strict=True):
        _equal(ours, box)
    assert not any('take sampling offsets' in note for note in report['sources']['detector']['notes'])


POINT_HEAD = {'image_tokenizer.place_heads.0.4.weight', 'image_tokenizer.place_heads.0.4.bias'}
QUERY_POSITION = {'image_tokenizer.query_position.weight', 'image_tokenizer.query_position.bias'}
QUERY_CONTENT, PROPOSALS = 'image_tokenizer.query_embedding.weight', 'image_tokenizer.proposals.'
LEARNED = {QUERY_CONTENT, 'image_tokenizer.query_position.weight', 'image_tokenizer.reference_points_fc.weight',
           'image_tokenizer.reference_points_fc.bias'}


@pytest.mark.parametrize(('tokenizer', 'refine', 'two_stage', 'names', 'prefixes'), [
    (POINTS, False, False, POINT_HEAD, ()),
    (POINTS, True, False, set(), ()),
    (POINTS, True, True, LEARNED, ()),
    (SMALL, False, False, POINT_HEAD | QUERY_POSITION, (PROPOSALS,)),
    (SMALL, True, False, QUERY_POSITION, (PROPOSALS,)),
    (SMALL, True, True, QUERY_POSITION | {QUERY_CONTENT}, (PROPOSALS,)),
])
def test_what_stays_new_is_known_exactly(tool, tmp_path, tokenizer, refine, two_stage, names, prefixes):
    config = _config(tmp_path, tokenizer)
    detector = _detector(with_box_refine=refine, as_two_stage=two_stage)
    checkpoint, report = tool(config, '--detector', _save(detector, tmp_path))
    model = MODELS.build(Config.fromfile(config).model)
    own = model.state_dict()
    always = {name for name in own if name.startswith(NEVER_LOADED + prefixes)}
    assert _new(report, 'image_tokenizer') == names | always
    assert _new(report, 'backbone') == _new(report, 'neck') == set()
    rest = {name for name in own if name.startswith(('text_encoder.', 'task_decoder.'))}
    rest -= {'task_decoder.vocabulary_sizes'}
    assert _new(report, 'text_encoder') | _new(report, 'task_decoder') | _new(report, 'llm') == rest
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
    source = _detector(with_box_refine=True).state_dict()
    weights = convert_detector(source, model).weights
    first, second = (source[f'bbox_head.reg_branches.{i}.4.bias'] for i in range(2))
    assert torch.equal(weights[heads.format(0)][:2], first[:2]) and not weights[heads.format(0)][2:].any()
    assert torch.equal(weights[heads.format(1)], second)


def test_other_numbers_of_queries(tmp_path, tool):
    detector = _detector(num_queries=9)
    config, path = _config(tmp_path, POINTS), _save(detector, tmp_path)
    checkpoint, report = tool(config, '--detector', path)
    position, content = detector.query_embedding.weight.chunk(2, dim=1)
    assert torch.equal(checkpoint['state_dict']['image_tokenizer.query_position.weight'], position[:6])
    assert torch.equal(checkpoint['state_dict'][QUERY_CONTENT], content[:6])
    assert '9 queries, this model 6 image tokens: the first 6' in str(report['sources']['detector']['notes'])
    with pytest.raises(SystemExit, match=r'detector.pth: the detector has 9 queries and this model 12 .*num_tokens=9'):
        tool(config, '--detector', path, '--force', '--cfg-options', 'model.image_tokenizer.num_tokens=12')


def test_report_tells_counts_and_reasons(tool, tmp_path, capsys):
    detector = _detector()
    _, report = tool(_config(tmp_path), '--detector', _save(detector, tmp_path), '--verbose')
    said = capsys.readouterr().out
    neck = sum(value.numel() for value in detector.neck.state_dict().values())
    assert f'neck                  12          ({neck:,})       0' in said
    assert '--detector: 4 tensors not used, bbox_head.cls_branches.0.weight ...: says which class' in said
    assert 'loaded  image_tokenizer.level_embed 512 detector\n' in said
    assert 'unused  bbox_head.cls_branches.1.bias of --detector\n' in said
    assert report['tensors']['image_tokenizer.level_embed'] == dict(
        part='image_tokenizer', status='loaded', source='detector', parameters=512)


@pytest.fixture(scope='module')
def tiny():
    """The tiny model and a detector's weights that fit it."""
    init_default_scope('mmdet')
    return MODELS.build(model_config().model), _detector().state_dict()


@pytest.mark.parametrize(('change', 'message'), [
    (lambda s: s | dict(level_embed=torch.zeros(4, 64)), r'width is 64 in the detector and 128 .*set embed_dims'),
    (lambda s: s | dict(level_embed=torch.zeros(5, 128)), r'feature levels is 5 .* and 4 .*num_feature_levels'),
    (lambda s: s | {'decoder.layers.2.norms.0.weight': torch.zeros(128)},
     r'decoder layers is 3 in the detector and 2 .*model.image_tokenizer.decoder.num_layers'),
    (lambda s: s | {'encoder.layers.0.ffn.layers.0.0.bias': torch.zeros(99)},
     r'hidden width of the encoder is 99 .* and 256 .*encoder.layer_cfg.ffn_cfg.feedforward_channels'),
    (lambda s: s | {'decoder.layers.0.cross_attn.sampling_offsets.bias': torch.zeros(2 * 4 * 32)},
     r'sampling points of the decoder is 32 .* and 16 .*cross_attn_cfg.num_heads, num_points'),
    (lambda s: s | {'neck.convs.0.conv.weight': torch.zeros(128, 9, 1, 1)},
     r'neck.convs.0.conv.weight is \(128, 9, 1, 1\) .*set model.neck .*--backbone'),
    (lambda s: {n: v for n, v in s.items() if not n.startswith('backbone.layer4')}, r'missing in the .*model.backbone'),
    (lambda s: {n: v for n, v in s.items() if n.startswith('backbone')},
     r"no DeformableDETR .*\['backbone'\], without level_embed"),
    (lambda s: s | {'decoder.ref_point_head.0.weight': torch.zeros(1)}, 'relative such as DINO'),
    (lambda s: {f'bbox_head.transformer.{n}': v for n, v in s.items()}, r'names of mmdet 2.x'),
    (lambda s: {n: v for n, v in s.items() if '.4.' not in n}, 'num_reg_fcs'),
])
def test_a_detector_that_does_not_fit_is_refused(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        convert_detector(change(dict(tiny[1])), tiny[0])


class _Code:
    def __reduce__(self):
        return eval, ('1/0',)


def test_code_in_a_checkpoint_is_refused(tool, tmp_path):
    torch.save(dict(state_dict={}, extra=_Code()), tmp_path / 'evil.pth')
    for option in ('--detector', '--backbone'):
        with pytest.raises(SystemExit, match=r'evil.pth holds Python objects that could run code .*eval'):
            tool(_config(tmp_path), option, tmp_path / 'evil.pth')
    assert not (tmp_path / 'out').exists()


def test_damaged_files_are_named(tool, tmp_path):
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'cut.safetensors').write_bytes(b'1234')
    for name in ('empty.pth', 'cut.safetensors'):
        with pytest.raises(SystemExit, match=f'{name} is damaged or incomplete: '):
            tool(_config(tmp_path), '--backbone', tmp_path / name)
    whole = _detector().state_dict()
    torch.save({n: v for n, v in whole.items() if n != 'bbox_head.reg_branches.1.2.bias'}, tmp_path / 'part.pth')
    with pytest.raises(SystemExit, match=r"part.pth has no 'bbox_head.reg_branches.1.2.bias', which"):
        tool(_config(tmp_path), '--detector', tmp_path / 'part.pth')


def test_vision_parts_of_another_visionllm(tool, tmp_path):
    """Their LLM and text encoder are others, so that these start anew."""
    config = _config(tmp_path)
    other = Config.fromfile(config).model
    other.llm.config.update(hidden_size=32, intermediate_size=48)
    other.text_encoder.config.update(hidden_size=16, intermediate_size=24)
    init_default_scope('mmdet')
    trained = MODELS.build(other)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'trained.pth')
    _, report = tool(config, '--visionllm', tmp_path / 'trained.pth')
    model, state = _load(config, tmp_path), trained.state_dict()
    for name, value in model.state_dict().items():
        if name.startswith(('backbone.', 'neck.', 'image_tokenizer.')) and 'text_projection.weight' not in name:
            assert torch.equal(value, state[name]), name
    assert _new(report, 'image_tokenizer') == {'image_tokenizer.text_projection.weight'}
    assert not _new(report, 'backbone') and not _new(report, 'neck')
    assert report['sources']['visionllm']['unused']['image_tokenizer.text_projection.weight'].startswith('reads a text')
    for path, change, message in (
            (_save(_detector(), tmp_path), 'model.image_tokenizer.num_tokens=6', 'detector.pth: .* no VisionLLM'),
            (tmp_path / 'trained.pth', 'model.image_tokenizer.encoder.num_layers=1',
             r'layers\.1\.\S+ is \(.*\) in the checkpoint and missing in this model'),
            (tmp_path / 'trained.pth', 'model.image_tokenizer.encoder.num_layers=3',
             r'layers\.2\.\S+ is missing in the checkpoint and .* set model.image_tokenizer of the config'),
    ):
        with pytest.raises(SystemExit, match=message):
            tool(config, '--visionllm', path, '--force', '--cfg-options', change)


@pytest.mark.parametrize(('arguments', 'message'), [
    (('--visionllm', __file__, '--detector', __file__), 'leave --detector and --backbone out'),
    ((), 'nothing to convert: give --detector'),
    (('--detector', 'no.pth'), 'detector not found: no.pth'),
    (('--llm', 'nowhere'), 'LLM: no folder nowhere'),
    (('--backbone', __file__, '--out', 'x.bin'), r'--out has to end in .pth, got x.bin'),
])
def test_wrong_arguments_stop_with_one_line(tool, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, 'argv', ['convert_weights.py', str(_config(tmp_path)), '--out', 'x.pth', *arguments])
    import convert_weights

    with pytest.raises(SystemExit, match=message):
        convert_weights.main()


def test_files_are_written_whole_and_kept(tool, tmp_path, monkeypatch):
    config, path = _config(tmp_path), _save(_detector(), tmp_path)
    before, _ = tool(config, '--detector', path)
    with pytest.raises(SystemExit, match=r'start.pth, .*start.json exist: --force writes over them'):
        tool(config, '--detector', path)
    plain = torch.save

    def broken(content, target):
        plain('half', target)
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', broken)
    with pytest.raises(OSError, match='disk full'):
        tool(config, '--detector', path, '--force')
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['start.json', 'start.pth']
    after = torch.load(tmp_path / 'out/start.pth', weights_only=True)
    assert before['state_dict'].keys() == after['state_dict'].keys()


def test_backbone_of_its_own(tool, tmp_path):
    """InternImage as its authors save it, with a detector whose backbone is another."""
    config = _config(tmp_path, backbone=INTERNIMAGE)
    backbone = MODELS.build(INTERNIMAGE)
    state = backbone.state_dict()
    files = dict(classifier=dict(model=state | {'head.weight': torch.zeros(2)}),
                 detector=dict(state_dict={f'backbone.{n}': v for n, v in state.items()} | {'neck.w': torch.zeros(2)}))
    for name, content in files.items():
        torch.save(content, tmp_path / f'{name}.pth')
        checkpoint, report = tool(config, '--backbone', tmp_path / f'{name}.pth', '--detector',
                                  _save(_detector(), tmp_path / 'out' if name == 'detector' else tmp_path), '--force')
        for key, value in state.items():
            assert torch.equal(checkpoint['state_dict'][f'backbone.{key}'], value)
        assert len(report['sources']['backbone']['unused']) == 1
        assert len(_new(report, 'neck')) == 12 and not _new(report, 'backbone')
        assert not [n for n in checkpoint['state_dict'] if n.startswith('neck.')]
        assert _new(report, 'image_tokenizer') >= QUERY_POSITION
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(tmp_path / 'out/start.pth'))
    name = 'levels.0.blocks.0.dcn.offset.weight'
    assert torch.equal(model.backbone.state_dict()[name], state[name])
    wrong = r'does not fit the backbone, InternImage: .* first patch_embed.conv1.weight: \(4, 3, 3, 3\) in the file'
    with pytest.raises(SystemExit, match=wrong):
        tool(config, '--backbone', tmp_path / 'detector.pth', '--force', '--cfg-options', 'model.backbone.channels=16')
    with pytest.raises(SystemExit, match=r'first patch_embed.conv1.weight: missing'):
        tool(_config(tmp_path, backbone=INTERNIMAGE), '--backbone', _save(_detector(), tmp_path), '--force')


def _save_parts(model, folder: Path) -> tuple[Path, Path]:
    """Text encoder and LLM of a model as Hugging Face folders: safetensors in parts, and a .bin file."""
    bert, llama = folder / 'bert', folder / 'llama'
    model.text_encoder.encoder.config.save_pretrained(bert)
    torch.save(model.text_encoder.encoder.state_dict(), bert / 'pytorch_model.bin')
    model.text_encoder.tokenizer.save_pretrained(bert)
    model.task_decoder.llm.base.save_pretrained(llama, max_shard_size='200KB')
    model.task_decoder.llm.tokenizer.save_pretrained(llama)
    assert len(list(llama.glob('*.safetensors'))) > 1
    return bert, llama


def test_folders_are_copied_where_the_config_builds_the_parts(tool, tmp_path, tiny):
    bert, llama = _save_parts(tiny[0], tmp_path)
    config = _config(tmp_path, llm=dict(model_config().model.llm, freeze=True, lora=LORA))
    checkpoint, report = tool(config, '--text-encoder', bert, '--llm', llama)
    assert _new(report, 'text_encoder') == set()
    assert all('.lora_' in name for name in _new(report, 'llm'))
    torch.manual_seed(3)
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(tmp_path / 'out/start.pth'))
    _equal(model.text_encoder.eval()(['a red star'])[0], tiny[0].text_encoder.eval()(['a red star'])[0])
    wanted, found = tiny[0].task_decoder.llm.base.model, model.task_decoder.llm.base.model
    ids = torch.arange(5)[None]
    _equal(found(ids).last_hidden_state, wanted(ids).last_hidden_state)
    assert not [name for name in checkpoint['state_dict'] if name.startswith(('backbone.', 'image_tokenizer.'))]
    for part, setting, there in (('llm', 'num_attention_heads', 4), ('text_encoder', 'hidden_size', 32)):
        with pytest.raises(SystemExit, match=rf'{setting} is {there} in .* and 8 .*set model.{part}.config.{setting}'):
            tool(config, '--text-encoder', bert, '--llm', llama, '--force', '--cfg-options',
                 f'model.{part}.config.{setting}=8')


def test_folders_that_the_config_names_are_checked_and_not_copied(tool, tmp_path):
    for i in range(2):
        save_llama(tmp_path / f'llama{i}', seed=i)
    save_bert(tmp_path / 'bert')
    config = _config(tmp_path, llm=dict(type='CausalLM', path=str(tmp_path / 'llama0'), lora=LORA),
                     text_encoder=dict(type='TextEncoder', path=str(tmp_path / 'bert')))
    checkpoint, report = tool(config, '--llm', tmp_path / 'llama0', '--text-encoder', tmp_path / 'bert')
    assert checkpoint['state_dict'].keys() == {'task_decoder.vocabulary_sizes', 'task_decoder.llm.base_source'}
    assert f'train with model.llm.path={tmp_path}/llama0' in str(report['sources']['llm']['notes'])
    assert not _new(report, 'text_encoder')
    cfg = Config.fromfile(config)
    load_checkpoint(MODELS.build(cfg.model), str(tmp_path / 'out/start.pth'))
    cfg.model.llm.path = str(tmp_path / 'llama1')
    with pytest.raises(ValueError, match='has other weights'):
        load_checkpoint(MODELS.build(cfg.model), str(tmp_path / 'out/start.pth'))
    with pytest.raises(SystemExit, match="bert' is a bert model"):
        tool(config, '--llm', tmp_path / 'bert', '--force')
