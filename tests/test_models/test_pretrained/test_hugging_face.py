"""Folders of pretrained weights that are incomplete, damaged or unsafe are refused, by their name."""

import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.tiny import save_bert, save_llama
from visionllm_mm.models import CausalLM, TextEncoder


class _Code:
    def __reduce__(self):
        return os.system, ('false',)


@pytest.fixture(params=[(save_llama, CausalLM), (save_bert, TextEncoder)], ids=['llama', 'bert'])
def folder_and_part(request, tmp_path):
    save, part = request.param
    save(tmp_path)
    return tmp_path, part


def test_incomplete_weights_are_not_filled_up_at_random(folder_and_part):
    folder, part = folder_and_part
    weights = load_file(folder / 'model.safetensors')
    lost = next(name for name in weights if 'norm' in name.lower())
    save_file(
        {name: value for name, value in weights.items() if name != lost},
        folder / 'model.safetensors',
        metadata=dict(format='pt'),
    )
    with pytest.raises(ValueError, match=f'{folder}.* lacks 1 of the weights .* first {lost}'):
        part(path=str(folder))


def test_weights_without_a_place_are_listed(folder_and_part):
    folder, part = folder_and_part
    assert part(path=str(folder)).unused_weights == []
    weights = load_file(folder / 'model.safetensors')
    save_file(weights | dict(more=torch.zeros(2)), folder / 'model.safetensors', metadata=dict(format='pt'))
    assert part(path=str(folder)).unused_weights == ['more']


def test_damaged_weights_are_named(folder_and_part):
    folder, part = folder_and_part
    file = folder / 'model.safetensors'
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f'weight file in .{folder}. can not be read: .*Download it again'):
        part(path=str(folder))


def test_code_beside_weights_is_not_run(folder_and_part):
    folder, part = folder_and_part
    weights = load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    torch.save(weights | dict(more=_Code()), folder / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='holds code beside the weights, which is not run'):
        part(path=str(folder))
    torch.save(weights, folder / 'pytorch_model.bin')
    assert part(path=str(folder)).unused_weights == []
