"""Checkpoints without the frozen base of a pretrained LLM."""

import copy
import shutil

import pytest
import torch
from mmengine.runner.checkpoint import get_state_dict, load_state_dict, weights_to_cpu
from torch import nn

from tests.helpers.tiny import LLM, LORA, VOCABULARY, instructions, save_llama
from visionllm_mm.instructions import Vocabulary
from visionllm_mm.models import CausalLM, NoHints, OpenEndedTaskDecoder, TokenProjector
from visionllm_mm.models.layers.added_tokens import AddedTokens
from visionllm_mm.models.pretrained.weights_digest import weights_digest


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Two LLMs of one shape."""
    root = tmp_path_factory.mktemp('llms')
    for seed, name in enumerate(('one', 'two')):
        save_llama(root / name, seed)
    return str(root / 'one'), str(root / 'two')


def _decoder(path, seed=0, **llm):
    """A decoder on a pretrained LLM; what trains is sampled with the seed."""
    torch.manual_seed(seed)
    base, vocabulary = CausalLM(path=path, **(dict(lora=LORA) | llm)), Vocabulary(**VOCABULARY)
    decoder = OpenEndedTaskDecoder(
        llm=base,
        vocabulary=vocabulary,
        added_tokens=AddedTokens.for_llm(base, vocabulary),
        projector=TokenProjector(token_dims=16, llm_dims=base.embed_dims, word_norm=base.word_norm),
        hints=NoHints(),
    ).eval()
    for parameter in decoder.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


def _answers(decoder):
    inputs = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state = decoder.read(instructions(2), inputs)
        return decoder.class_logits(state), decoder.point_logits(state, torch.tensor([[0], [3]]), 2)


def _same(a, b):
    return all(torch.equal(x, y) for x, y in zip(_answers(a), _answers(b), strict=True))


def test_holds_what_trains_and_the_name_of_the_rest(folders, tmp_path):
    decoder = _decoder(folders[0])
    trained = {name for name, p in decoder.named_parameters() if p.requires_grad}
    state = decoder.state_dict()
    assert state.keys() == trained | {'llm.base_source', 'vocabulary_sizes'}
    assert any('lora_A' in name for name in trained) and not any('base_layer' in name for name in trained)
    torch.save(state, tmp_path / 'trimmed.pth')
    assert torch.load(tmp_path / 'trimmed.pth', weights_only=True).keys() == state.keys()
    frozen = sum(p.numel() for p in decoder.parameters() if not p.requires_grad)
    assert frozen * 4 > (tmp_path / 'trimmed.pth').stat().st_size > 0


@pytest.mark.parametrize(
    'save',
    [
        lambda module: module.state_dict(),
        get_state_dict,
        lambda module: weights_to_cpu(module.state_dict()),
        lambda module: copy.deepcopy(module).requires_grad_(False).state_dict(),
    ],
)
@pytest.mark.parametrize(
    'load',
    [
        lambda module, state: module.load_state_dict(state, strict=True),
        lambda module, state: module.load_state_dict(state, strict=True, assign=True),
        lambda module, state: load_state_dict(module, state, strict=True),
    ],
)
@pytest.mark.parametrize('wrap', [lambda module: module, lambda module: nn.ModuleDict(dict(module=module))])
def test_every_way_of_saving_and_strict_loading(folders, save, load, wrap):
    one, other = _decoder(folders[0], seed=1), _decoder(folders[0], seed=2)
    assert not _same(one, other)
    state = save(wrap(one))
    assert not any('base_layer' in name or 'embed_tokens' in name for name in state)
    load(wrap(other), state)
    assert _same(one, other)


def test_loading_leaves_the_base_alone_and_misses_what_is_missing(folders):
    decoder = _decoder(folders[0])
    before = decoder.llm.base.model.embed_tokens.weight.clone()
    state = _decoder(folders[0], seed=1).state_dict()
    decoder.load_state_dict(state)
    assert torch.equal(decoder.llm.base.model.embed_tokens.weight, before)
    lost = next(name for name in state if 'lora_B' in name)
    del state[lost]
    with pytest.raises(RuntimeError, match=f'Missing key.*"{lost}"') as error:
        decoder.load_state_dict(state)
    assert 'base_layer' not in str(error.value) and 'embed_tokens' not in str(error.value)
    # Nothing of this load excuses weights that the next one lacks.
    with pytest.raises(RuntimeError, match='embed_tokens'):
        decoder.load_state_dict({name: value for name, value in state.items() if not name.startswith('llm.')})


def test_another_base_is_refused_by_name_and_hash(folders):
    state = _decoder(folders[0]).state_dict()
    with pytest.raises(
        ValueError,
        match=(
            f"'{folders[0]}'.*{weights_digest(folders[0])}.*'{folders[1]}'.*{weights_digest(folders[1])}.*set llm.path"
        ),
    ):
        _decoder(folders[1]).load_state_dict(state)
    with pytest.raises(ValueError, match=f"'{folders[0]}'.*no pretrained weights.*set llm.path"):
        _decoder(None, **(LLM | dict(freeze=True))).load_state_dict(state)
    # mmengine's loading is not strict by default.
    with pytest.raises(ValueError, match='other weights'):
        load_state_dict(_decoder(folders[1]), state)


def test_the_same_base_elsewhere_or_in_half_the_precision_is_taken(folders, tmp_path):
    one = _decoder(folders[0], seed=1)
    shutil.copytree(folders[0], tmp_path / 'moved')
    moved = _decoder(str(tmp_path / 'moved'))
    moved.load_state_dict(one.state_dict())
    assert _same(one, moved)
    half = _decoder(folders[0], dtype='bfloat16')
    half.load_state_dict(one.state_dict())
    assert half.llm.dtype == torch.bfloat16
    for mine, its in zip(_answers(half), _answers(one), strict=True):
        torch.testing.assert_close(mine, its, atol=0.2, rtol=0.1)


def test_a_base_that_trains_is_saved_and_may_start_from_a_checkpoint_of_a_frozen_one(folders):
    frozen, unfrozen = _decoder(folders[0], seed=1), _decoder(folders[0], freeze=False)
    full = unfrozen.state_dict()
    assert 'llm.base.model.embed_tokens.weight' in full and 'llm.base_source' not in full
    again = _decoder(folders[0], seed=3, freeze=False)
    again.load_state_dict(full)
    assert _same(again, unfrozen)
    start = _decoder(folders[0], freeze=False)
    start.llm.base.load_state_dict(frozen.llm.base.state_dict())  # _decoder samples what trains
    start.load_state_dict(frozen.state_dict())
    assert _same(start, frozen)
    with pytest.raises(ValueError, match=f"holds the LLM itself.*'{folders[0]}'.*freeze"):
        frozen.load_state_dict(full)


def test_a_frozen_base_of_random_weights_is_saved():
    decoder = _decoder(None, **(LLM | dict(freeze=True)))
    assert decoder.state_dict().keys() == {
        *(name for name, _ in decoder.named_parameters()),
        'vocabulary_sizes',
        'llm.base.lm_head.weight',
    }
    other = _decoder(None, seed=1, **(LLM | dict(freeze=True)))
    other.load_state_dict(decoder.state_dict())
    assert _same(other, decoder)


@pytest.mark.parametrize('lora, here', [(LORA | dict(r=2), r'\(2, 32\)'), (None, 'missing')])
def test_other_adapters_are_refused(folders, lora, here):
    state = _decoder(folders[0]).state_dict()
    with pytest.raises(ValueError, match=rf'other adapters.*lora_A.* is \(4, 32\) there and {here}.*llm.lora'):
        load_state_dict(_decoder(folders[0], lora=lora), state)
