"""tools/convert_weights.py: backbones, folders of text encoder and LLM, and vision parts of another VisionLLM."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from mmengine.utils import get_installed_path

from tests.helpers.conversion import (
    QUERY_POSITION,
    assert_near,
    load_converted,
    new_tensors,
    random_detector,
    save_detector,
    write_config,
)
from tests.helpers.scenes import make_coco_folder
from tests.helpers.tiny import LORA, ROOT, model_config, save_bert, save_llama

INTERNIMAGE = dict(type='InternImage', channels=8, depths=[1, 1, 1, 1], groups=[1, 2, 4, 8], out_indices=(1, 2, 3))


def test_vision_parts_of_another_visionllm(convert, tmp_path):
    """Their LLM and text encoder are others, so that these start anew."""
    config = write_config(tmp_path)
    other = Config.fromfile(config).model
    other.llm.config.update(hidden_size=32, intermediate_size=48)
    other.text_encoder.config.update(hidden_size=16, intermediate_size=24)
    init_default_scope('mmdet')
    trained = MODELS.build(other)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'trained.pth')
    _, report = convert(config, '--visionllm', tmp_path / 'trained.pth')
    model, state = load_converted(config, tmp_path), trained.state_dict()
    for name, value in model.state_dict().items():
        if name.startswith(('backbone.', 'neck.', 'image_tokenizer.')) and 'text_projection.weight' not in name:
            assert torch.equal(value, state[name]), name
    assert new_tensors(report, 'image_tokenizer') == {'image_tokenizer.text_projection.weight'}
    assert not new_tensors(report, 'backbone') and not new_tensors(report, 'neck')
    assert report['sources']['visionllm']['unused']['image_tokenizer.text_projection.weight'].startswith('reads a text')
    for path, change, message in (
        (
            save_detector(random_detector(), tmp_path),
            'model.image_tokenizer.num_tokens=6',
            'detector.pth: .* no VisionLLM',
        ),
        (
            tmp_path / 'trained.pth',
            'model.image_tokenizer.encoder.num_layers=1',
            r'layers\.1\.\S+ is \(.*\) in the checkpoint and missing in this model',
        ),
        (
            tmp_path / 'trained.pth',
            'model.image_tokenizer.encoder.num_layers=3',
            r'layers\.2\.\S+ is missing in the checkpoint and .* set model.image_tokenizer of the config',
        ),
    ):
        with pytest.raises(SystemExit, match=message):
            convert(config, '--visionllm', path, '--force', '--cfg-options', change)


def test_backbone_of_its_own(convert, tmp_path):
    """InternImage as its authors save it, with a detector whose backbone is another."""
    config = write_config(tmp_path, backbone=INTERNIMAGE)
    backbone = MODELS.build(INTERNIMAGE)
    state = backbone.state_dict()
    files = dict(
        classifier=dict(model=state | {'head.weight': torch.zeros(2)}),
        detector=dict(state_dict={f'backbone.{n}': v for n, v in state.items()} | {'neck.w': torch.zeros(2)}),
    )
    for name, content in files.items():
        torch.save(content, tmp_path / f'{name}.pth')
        whole = save_detector(random_detector(), tmp_path / 'out' if name == 'detector' else tmp_path)
        checkpoint, report = convert(config, '--backbone', tmp_path / f'{name}.pth', '--detector', whole, '--force')
        for key, value in state.items():
            assert torch.equal(checkpoint['state_dict'][f'backbone.{key}'], value)
        assert len(report['sources']['backbone']['unused']) == 1
        assert len(new_tensors(report, 'neck')) == 12 and not new_tensors(report, 'backbone')
        assert not [n for n in checkpoint['state_dict'] if n.startswith('neck.')]
        assert new_tensors(report, 'image_tokenizer') >= QUERY_POSITION
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(tmp_path / 'out/start.pth'))
    name = 'levels.0.blocks.0.dcn.offset.weight'
    assert torch.equal(model.backbone.state_dict()[name], state[name])
    wrong = r'does not fit the backbone, InternImage: .* first patch_embed.conv1.weight: \(4, 3, 3, 3\) in the file'
    with pytest.raises(SystemExit, match=wrong):
        convert(
            config, '--backbone', tmp_path / 'detector.pth', '--force', '--cfg-options', 'model.backbone.channels=16'
        )
    with pytest.raises(SystemExit, match=r'first patch_embed.conv1.weight: missing'):
        convert(config, '--backbone', save_detector(random_detector(), tmp_path), '--force')


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


def test_folders_are_copied_where_the_config_builds_the_parts(convert, tmp_path, tiny):
    bert, llama = _save_parts(tiny[0], tmp_path)
    config = write_config(tmp_path, llm=dict(model_config().model.llm, freeze=True, lora=LORA))
    checkpoint, report = convert(config, '--text-encoder', bert, '--llm', llama)
    assert new_tensors(report, 'text_encoder') == set()
    assert all('.lora_' in name for name in new_tensors(report, 'llm'))
    torch.manual_seed(3)
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(tmp_path / 'out/start.pth'))
    assert_near(model.text_encoder.eval()(['a red star'])[0], tiny[0].text_encoder.eval()(['a red star'])[0])
    wanted, found = tiny[0].task_decoder.llm.base.model, model.task_decoder.llm.base.model
    ids = torch.arange(5)[None]
    assert_near(found(ids).last_hidden_state, wanted(ids).last_hidden_state)
    assert not [name for name in checkpoint['state_dict'] if name.startswith(('backbone.', 'image_tokenizer.'))]
    for part, setting, there in (('llm', 'num_attention_heads', 4), ('text_encoder', 'hidden_size', 32)):
        with pytest.raises(SystemExit, match=rf'{setting} is {there} in .* and 8 .*set model.{part}.config.{setting}'):
            convert(
                config,
                '--text-encoder',
                bert,
                '--llm',
                llama,
                '--force',
                '--cfg-options',
                f'model.{part}.config.{setting}=8',
            )


def test_folders_that_the_config_names_are_checked_and_not_copied(convert, tmp_path):
    for i in range(2):
        save_llama(tmp_path / f'llama{i}', seed=i)
    save_bert(tmp_path / 'bert')
    config = write_config(
        tmp_path,
        llm=dict(type='CausalLM', path=str(tmp_path / 'llama0'), lora=LORA),
        text_encoder=dict(type='TextEncoder', path=str(tmp_path / 'bert')),
    )
    checkpoint, report = convert(config, '--llm', tmp_path / 'llama0', '--text-encoder', tmp_path / 'bert')
    assert checkpoint['state_dict'].keys() == {'task_decoder.vocabulary_sizes', 'task_decoder.llm.base_source'}
    assert f'train with model.llm.path={tmp_path}/llama0' in str(report['sources']['llm']['notes'])
    assert not new_tensors(report, 'text_encoder')
    cfg = Config.fromfile(config)
    load_checkpoint(MODELS.build(cfg.model), str(tmp_path / 'out/start.pth'))
    cfg.model.llm.path = str(tmp_path / 'llama1')
    with pytest.raises(ValueError, match='has other weights'):
        load_checkpoint(MODELS.build(cfg.model), str(tmp_path / 'out/start.pth'))
    with pytest.raises(SystemExit, match="bert' is a bert model"):
        convert(config, '--llm', tmp_path / 'bert', '--force')


@pytest.mark.filterwarnings('ignore:The arguments `dropout` in MultiheadAttention')  # of mmdet's own config
def test_the_two_stage_detector_of_mmdet_fits_the_config_for_own_photographs(convert, tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(make_coco_folder(tmp_path / 'coco', 1, 1)))
    name = 'deformable-detr-refine-twostage_r50_16xb2-50e_coco.py'
    cfg = Config.fromfile(f'{get_installed_path("mmdet")}/.mim/configs/deformable_detr/{name}').model
    cfg.backbone.init_cfg = None
    init_default_scope('mmdet')
    detector = MODELS.build(cfg)
    for branch in detector.bbox_head.reg_branches:  # trained ones differ
        torch.nn.init.normal_(branch[-1].weight)
    path = save_detector(detector, tmp_path)
    _, report = convert(ROOT / 'configs/visionllm/visionllm_r50_own-photos.py', '--detector', path)
    assert not new_tensors(report, 'backbone') and not new_tensors(report, 'neck')
    new = {name.split('.')[1] for name in new_tensors(report, 'image_tokenizer')}
    of_language = {'text_projection', 'fusions'}
    assert new == of_language | {'query_embedding', 'query_position', 'proposals', 'objectness_heads'}
