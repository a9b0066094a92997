"""tools/export_gguf.py: the folder holds the numbers and the words of the file, and a config can name it."""

from functools import partial

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tests.helpers.command_line import run_tool
from visionllm_mm.models import CausalLM

WIDTH, HIDDEN = 32, 64
WORDS = ['<|endoftext|>', '</s>', *'abcdefghijklmnopqrstuvwxyz ', 'st', 'ar', 'star']
_run = partial(run_tool, 'export_gguf.py')


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    shapes = {
        'token_embd.weight': (len(WORDS), WIDTH),
        'output_norm.weight': (WIDTH,),
        'blk.0.attn_norm.weight': (WIDTH,),
        'blk.0.ffn_norm.weight': (WIDTH,),
        'blk.0.attn_q.weight': (WIDTH, WIDTH),
        'blk.0.attn_k.weight': (WIDTH, WIDTH),
        'blk.0.attn_v.weight': (WIDTH, WIDTH),
        'blk.0.attn_output.weight': (WIDTH, WIDTH),
        'blk.0.ffn_gate.weight': (HIDDEN, WIDTH),
        'blk.0.ffn_up.weight': (HIDDEN, WIDTH),
        'blk.0.ffn_down.weight': (WIDTH, HIDDEN),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def path(tmp_path, tensors):
    path = tmp_path / 'tiny.gguf'
    writer = gguf.GGUFWriter(path, 'llama')
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model('gpt2')
    writer.add_token_list(WORDS)
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(WORDS) - 2))
    writer.add_token_merges(['s t', 'a r', 'st ar'])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in tensors.items():
        few_bits = name == 'blk.0.ffn_up.weight'
        kind = gguf.GGMLQuantizationType.Q8_0 if few_bits else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_config_can_name_the_folder(path, tensors, tmp_path):
    out = tmp_path / 'folder'
    done = _run(path, out)
    assert done.returncode == 0, done.stderr
    assert f'{out}: llama, 0.0 M parameters, {len(WORDS)} words' in done.stdout
    model = CausalLM(path=str(out)).base
    weights, layer = model.state_dict(), 'model.layers.0.'
    for name, source in (
        ('model.embed_tokens', 'token_embd'),
        (layer + 'mlp.gate_proj', 'blk.0.ffn_gate'),
        (layer + 'self_attn.v_proj', 'blk.0.attn_v'),
        ('lm_head', 'token_embd'),
    ):
        np.testing.assert_array_equal(weights[f'{name}.weight'].numpy(), tensors[f'{source}.weight'])
    # Rotary pairs are neighbours in GGUF and halves of a head in transformers.
    turned = tensors['blk.0.attn_q.weight'].reshape(2, WIDTH // 4, 2, WIDTH).swapaxes(1, 2).reshape(WIDTH, WIDTH)
    np.testing.assert_array_equal(weights[layer + 'self_attn.q_proj.weight'].numpy(), turned)
    eight_bits, exact = weights[layer + 'mlp.up_proj.weight'].numpy(), tensors['blk.0.ffn_up.weight']
    assert 0 < np.abs(eight_bits - exact).max() < 0.02
    assert weights[layer + 'mlp.up_proj.weight'].dtype == torch.float32
    assert AutoTokenizer.from_pretrained(out).tokenize('star') == ['star']


def test_files_and_folders_it_refuses(path, tmp_path):
    assert 'GGUF file not found' in _run(tmp_path / 'no.gguf', tmp_path / 'out').stderr
    done = _run(path, tmp_path)
    assert done.returncode == 2 and f'{tmp_path} exists: name a new folder' in done.stderr
