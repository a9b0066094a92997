"""The content hash of pretrained weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.tiny import save_llama
from visionllm_mm.models.pretrained.weights_digest import weights_digest


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('llama')
    save_llama(path)
    return path


def _copy(folder, target, change=lambda tensors: None):
    target.mkdir()
    tensors = load_file(folder / 'model.safetensors')
    change(tensors)
    save_file(tensors, target / 'model.safetensors')
    return weights_digest(str(target))


def test_depends_on_the_content_alone(folder, tmp_path):
    saved, _ = save_llama(tmp_path / 'again')
    saved.save_pretrained(tmp_path / 'parts', max_shard_size='200KB')
    assert len(list((tmp_path / 'parts').glob('*.safetensors'))) > 1
    digest = weights_digest(str(folder))
    assert len(digest) == 32
    assert digest == weights_digest(str(tmp_path / 'again')) == weights_digest(str(tmp_path / 'parts'))
    assert digest == _copy(folder, tmp_path / 'copy')


def _scale(tensors):
    tensors['model.layers.1.mlp.up_proj.weight'] *= 1.001


def _edit_last(tensors):
    tensors['lm_head.weight'].view(-1)[-1] += 1


def _edit_small(tensors):
    tensors['model.norm.weight'][17] += 1


def _rename(tensors):
    tensors['model.norm.bias'] = tensors.pop('model.norm.weight')


def _reshape(tensors):
    tensors['model.embed_tokens.weight'] = tensors['model.embed_tokens.weight'].T.reshape(-1, 16)


def _half(tensors):
    tensors['model.norm.weight'] = tensors['model.norm.weight'].bfloat16()


@pytest.mark.parametrize('change', [_scale, _edit_last, _edit_small, _rename, _reshape, _half])
def test_other_weights_have_another_one(folder, tmp_path, change):
    assert _copy(folder, tmp_path / 'changed', change) != weights_digest(str(folder))


def test_other_seed_and_other_files(folder, tmp_path):
    for seed in (0, 1):
        saved, _ = save_llama(tmp_path / str(seed), seed)
        (tmp_path / f'bin{seed}').mkdir()
        torch.save(saved.state_dict(), tmp_path / f'bin{seed}/pytorch_model.bin')
    digests = {weights_digest(str(tmp_path / name)) for name in ('0', '1', 'bin0', 'bin1')}
    assert len(digests) == 4 and weights_digest(str(folder)) in digests
    assert weights_digest(str(tmp_path / 'bin0/pytorch_model.bin')) in digests


def test_hub_names_are_looked_up_where_hugging_face_keeps_them(folder, monkeypatch):
    monkeypatch.setattr(
        'visionllm_mm.models.pretrained.weights_digest.cached_file',
        lambda name, file: {('meta/llama', 'config.json'): str(folder / file)}[name, file],
    )
    assert weights_digest('meta/llama') == weights_digest(str(folder))


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path} has no weights.*model.safetensors'):
        weights_digest(str(tmp_path))
