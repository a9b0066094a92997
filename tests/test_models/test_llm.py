"""The language model: parity with Hugging Face, LoRA, freezing, loading, context length."""

import sys

import pytest
import sentencepiece
import torch
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.utils import is_bitsandbytes_available

from tests.helpers.tiny import (
    LLM,
    LORA,
    ROOT,
    VOCABULARY,
    batch,
    build_decoder,
    build_model,
    instructions,
    randomize_adapters,
    save_llama,
)
from visionllm_mm.instructions import Vocabulary
from visionllm_mm.models import CausalLM
from visionllm_mm.models.conversation import turn_ids
from visionllm_mm.models.layers.added_tokens import AddedTokens
from visionllm_mm.models.one_pass import decode_one_pass
from visionllm_mm.models.pretrained import hugging_face


def _llm(seed=0, **changes) -> CausalLM:
    torch.manual_seed(seed)
    llm = CausalLM(**(LLM | changes))
    for parameter in llm.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter.data, std=0.2)
    return llm.eval()


def _causal(batch, length):
    return torch.ones(batch, length, length, dtype=torch.bool).tril()


def test_padded_batch_equals_hugging_faces_own_mask():
    llm = _llm()
    ids = torch.tensor([[5, 9, 20, 7, 30], [11, 4, 8, 0, 0]])
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    mask = (_causal(2, 5) & valid.bool()[:, None]) | torch.eye(5, dtype=torch.bool)
    hidden, _ = llm(llm.embed_words(ids), mask, torch.arange(5).expand(2, -1))
    plain = llm.base.model(input_ids=ids, attention_mask=valid).last_hidden_state
    torch.testing.assert_close(hidden[valid.bool()], plain[valid.bool()], atol=1e-5, rtol=1e-5)


RELATIVES = {
    'Llama 3': dict(
        rope_parameters=dict(
            rope_type='llama3',
            rope_theta=5e5,
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=512,
        )
    ),
    'Qwen 2': dict(model_type='qwen2'),
    'Qwen 3': dict(model_type='qwen3', head_dim=16),
    'Mistral': dict(model_type='mistral', sliding_window=None),
    'SmolLM 3': dict(model_type='smollm3'),
}


@pytest.mark.parametrize('config', RELATIVES.values(), ids=RELATIVES)
def test_relatives_of_llama_are_loaded_by_path_and_equal_hugging_faces(tmp_path, config):
    """Qwen has biases or norms of its own within attention, Llama 3 other rotations."""
    saved = _llm(config=LLM['config'] | config)
    saved.base.save_pretrained(tmp_path)
    saved.tokenizer.save_pretrained(tmp_path)
    llm = CausalLM(path=str(tmp_path), lora=LORA).eval()
    assert {name.split('.')[-3] for name, p in llm.named_parameters() if p.requires_grad} == {'lora_A', 'lora_B'}
    ids = torch.tensor([[5, 9, 20, 7]])
    hidden, _ = llm(llm.embed_words(ids), _causal(1, 4), torch.arange(4)[None])
    torch.testing.assert_close(hidden, saved.base.model(input_ids=ids).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('config', RELATIVES.values(), ids=RELATIVES)
def test_relatives_of_llama_decode_in_two_passes_as_in_one(config):
    decoder = build_decoder(config=LLM['config'] | config, freeze=True, lora=LORA).eval()
    inputs, kept = torch.randn(2, 6, 32), torch.tensor([[0, 3], [5, 1]])
    state = decoder.read(instructions(2), inputs)
    classes, points = decode_one_pass(decoder, instructions(2), inputs, 2)
    torch.testing.assert_close(decoder.class_logits(state), classes, atol=1e-5, rtol=1e-5)
    in_two = decoder.point_logits(state, kept, 2)
    torch.testing.assert_close(in_two, points[torch.arange(2)[:, None], kept], atol=1e-5, rtol=1e-5)


def test_positions_are_those_given():
    llm = _llm()
    ids, positions = torch.tensor([[5, 9, 20]]), torch.tensor([[3, 7, 7]])
    hidden, _ = llm(llm.embed_words(ids), _causal(1, 3), positions)
    plain = llm.base.model(input_ids=ids, position_ids=positions).last_hidden_state
    torch.testing.assert_close(hidden, plain, atol=1e-5, rtol=1e-5)
    elsewhere, _ = llm(llm.embed_words(ids), _causal(1, 3), torch.tensor([[3, 7, 9]]))
    assert (elsewhere[0, 2] - hidden[0, 2]).abs().max() > 1e-3


def test_going_on_from_keys_and_values_equals_one_run_and_leaves_them_alone():
    llm = _llm()
    embeddings, positions = torch.randn(2, 7, 32), torch.arange(7).expand(2, -1)
    whole, _ = llm(embeddings, _causal(2, 7), positions)
    _, past = llm(embeddings[:, :4], _causal(2, 4), positions[:, :4])
    for _ in range(2):
        rest, more = llm(embeddings[:, 4:], _causal(2, 7)[:, 4:], positions[:, 4:], past)
        torch.testing.assert_close(rest, whole[:, 4:], atol=1e-5, rtol=1e-5)
        assert [keys.shape[2] for keys, _ in past] == [4, 4] and [keys.shape[2] for keys, _ in more] == [7, 7]


def test_a_position_sees_what_its_row_of_the_mask_says():
    llm = _llm(config=LLM['config'] | dict(num_hidden_layers=1))
    mask = torch.tensor([[[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]]).bool()
    embeddings, positions = torch.randn(1, 4, 32), torch.arange(4)[None]
    hidden, _ = llm(embeddings, mask, positions)
    for k in range(4):
        changed = embeddings.clone()
        changed[0, k] += torch.randn(32)
        difference = (llm(changed, mask, positions)[0] - hidden)[0].abs().amax(dim=1)
        assert ((difference > 1e-5) == mask[0, :, k]).all(), k


@pytest.mark.parametrize('freeze, lora', [(True, None), (True, LORA), (False, None), (False, LORA)])
def test_what_trains(freeze, lora):
    """Frozen: the added tokens, the projector and the adapters alone. Else: the base, too."""
    decoder = build_decoder(freeze=freeze, lora=lora)
    names = dict(decoder.named_parameters())
    trained = {name for name, p in names.items() if p.requires_grad}
    adapters = {name for name in names if 'lora_' in name}
    base = {name for name in names if name.startswith('llm.')} - adapters
    assert len(adapters) == (16 if lora else 0) and adapters <= trained
    assert base & trained == (set() if freeze else base)
    assert {'added_tokens.embedding.weight', 'added_tokens.output_rows', 'projector.scale'} <= trained


def test_frozen_weights_stay_and_adapters_and_added_tokens_learn():
    decoder = build_decoder(freeze=True, lora=LORA).train()
    before = {name: p.detach().clone() for name, p in decoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in decoder.parameters() if p.requires_grad], lr=0.1)
    state = decoder.read(instructions(2), torch.randn(2, 4, 32))
    loss = decoder.class_logits(state).clamp(min=-50).square().mean()
    (loss + decoder.point_logits(state, torch.tensor([[0], [1]]), 2).square().mean()).backward()
    optimizer.step()
    changed = {name for name, p in decoder.named_parameters() if not torch.equal(p, before[name])}
    assert any('lora_A' in name for name in changed) and any('lora_B' in name for name in changed)
    assert {'added_tokens.embedding.weight', 'added_tokens.output_rows'} <= changed
    assert not [name for name in changed if name.startswith('llm.') and 'lora_' not in name]


def test_adapters_change_answers_once_they_are_trained():
    llm = CausalLM(**(LLM | dict(lora=LORA, freeze=True)))
    x, rest = torch.randn(1, 5, 32), (_causal(1, 5), torch.arange(5)[None])
    before, _ = llm(x, *rest)
    for name, parameter in llm.named_parameters():
        if 'lora_B' in name:
            torch.nn.init.normal_(parameter)
    assert (llm(x, *rest)[0] - before).abs().max() > 1e-3


def test_loads_a_llama_folder_with_its_tokenizer(tmp_path):
    saved, tokenizer = save_llama(tmp_path)
    llm = CausalLM(path=str(tmp_path), lora=LORA).eval()
    ids = torch.tensor([llm.word_ids('a red star')])
    hidden, _ = llm(llm.embed_words(ids), _causal(1, ids.shape[1]), torch.arange(ids.shape[1])[None])
    torch.testing.assert_close(hidden, saved.model(input_ids=ids).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert llm.max_length == 2048 and llm.word_ids('a red star') == tokenizer.encode('a red star')


@pytest.fixture
def sentencepiece_folder(tmp_path):
    """A LLaMA whose tokenizer is a tokenizer.model alone, as the first LLaMAs were given out."""
    text = (ROOT / 'README.md').read_text().split()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(' '.join(text[i : i + 10]) for i in range(0, len(text), 10)),
        model_prefix=str(tmp_path / 'tokenizer'),
        vocab_size=400,
        model_type='bpe',
        byte_fallback=True,
        minloglevel=2,
    )
    LlamaForCausalLM(LlamaConfig(vocab_size=400, **LLM['config'])).save_pretrained(tmp_path)
    (tmp_path / 'tokenizer_config.json').write_text(
        '{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}'
    )
    return tmp_path


def test_reads_a_tokenizer_of_sentencepiece(sentencepiece_folder):
    llm = CausalLM(path=str(sentencepiece_folder))
    turn = turn_ids(llm, ['a red star'])
    assert llm.tokenizer.decode(turn.ids[1:-1]) == 'a red star' and (turn.ids[0], turn.ids[-1]) == (1, 2)


def test_a_tokenizer_of_sentencepiece_without_it_says_what_to_install(sentencepiece_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sentencepiece', None)
    monkeypatch.setattr(hugging_face, 'is_sentencepiece_available', lambda: False)
    with pytest.raises(ImportError, match=f"'{sentencepiece_folder}'.*pip install sentencepiece protobuf"):
        CausalLM(path=str(sentencepiece_folder))


def test_class_tokens_may_start_as_words():
    llm, vocabulary = CausalLM(**LLM), Vocabulary(**VOCABULARY)
    tokens = AddedTokens.for_llm(llm, vocabulary, class_words=True)
    words, known = llm.spread_words(vocabulary.num_classes + 1), llm.plain_words()
    assert len(set(words)) == 9 and set(words) <= set(known.values())
    assert all(llm.tokenizer.decode([i]).strip() == word for word, i in known.items())
    assert torch.equal(tokens.embedding.weight[:9], llm.embed_words(torch.tensor(words)))
    assert torch.equal(tokens.output_rows, tokens.embedding.weight)  # hidden states of this LLM are short
    assert len(llm.spread_words(10**6)) == len(known)


def test_frozen_base_may_have_half_the_precision():
    llm = CausalLM(**(LLM | dict(freeze=True, dtype='bfloat16')))
    hidden, past = llm(torch.randn(1, 3, 32), _causal(1, 3), torch.arange(3)[None])
    assert llm.dtype == hidden.dtype == past[0][0].dtype == torch.bfloat16 and hidden.isfinite().all()


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(tokenizer='builtin'), ValueError, 'either path= .* or config='),
        (dict(path='x', config={}, tokenizer='builtin'), ValueError, 'either path= .* or config='),
        (dict(config=LLM['config']), ValueError, "tokenizer='builtin'"),
        (dict(path='/no/such/llama'), FileNotFoundError, 'no folder /no/such/llama'),
        (dict(path='./weights/llama', tokenizer='builtin'), FileNotFoundError, './weights/llama.*AutoModelForCausalLM'),
        (dict(config=LLM['config'], tokenizer='/no/tokenizer.json'), FileNotFoundError, '/no/tokenizer.json'),
    ],
)
def test_bad_sources_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        CausalLM(**arguments)


def test_folder_without_weights_is_named(tmp_path):
    LlamaConfig(vocab_size=64, **LLM['config']).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}.*local folder'):
        CausalLM(path=str(tmp_path), tokenizer='builtin')


def test_other_kinds_of_models_are_refused(tmp_path):
    BertLMHeadModel(
        BertConfig(
            vocab_size=8,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            is_decoder=True,
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"'{tmp_path}' is a bert model: give one of LLaMA's architecture"):
        CausalLM(path=str(tmp_path), tokenizer='builtin')


def test_a_tokenizer_of_more_words_than_the_model_is_refused(tmp_path):
    LlamaForCausalLM(LlamaConfig(vocab_size=64, **LLM['config'])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r'the tokenizer has \d+ words, but the model .* only 64'):
        CausalLM(path=str(tmp_path), tokenizer='builtin')


def test_an_instruction_that_just_fits_is_read_and_one_token_more_is_an_error():
    given = instructions(1)
    need = build_decoder().embed_prefix(given, torch.zeros(1, 3, 32)).embeddings.shape[1] + len(given[0].output_format)
    decoder = build_decoder(config=LLM['config'] | dict(max_position_embeddings=need))
    state = decoder.read(given, torch.zeros(1, 3, 32))
    assert decoder.point_logits(state, torch.tensor([[0]]), 2).isfinite().all()
    with pytest.raises(ValueError, match=f'needs {need + 1} positions .* the LLM has {need}.*It begins: .Find every'):
        decoder.read(given, torch.zeros(1, 4, 32))


def test_lora_starts_as_the_identity_and_trains_alone():
    torch.manual_seed(0)
    plain = CausalLM(**LLM)
    torch.manual_seed(0)
    adapted = CausalLM(**(LLM | dict(lora=LORA, freeze=True)))
    x = torch.randn(1, 5, 32)
    mask, positions = torch.ones(1, 5, 5, dtype=torch.bool).tril(), torch.arange(5)[None]
    torch.testing.assert_close(adapted(x, mask, positions)[0], plain(x, mask, positions)[0])
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained and all('lora_' in name for name in trained)


def test_adapters_of_a_base_of_half_the_precision_are_float32():
    llm = CausalLM(**(LLM | dict(lora=LORA, freeze=True, dtype='bfloat16')))
    assert {p.dtype for p in llm.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in llm.parameters() if not p.requires_grad} == {torch.bfloat16}


NF4 = dict(load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_compute_dtype='bfloat16')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (LLM | dict(freeze=True), 'config='),
        (dict(path='/a/llama', freeze=False), 'freeze=False'),
    ],
)
def test_a_quantized_base_is_pretrained_and_frozen(arguments, message):
    with pytest.raises(ValueError, match=f"quantization={{'load_in_4bit': True.*{message}"):
        CausalLM(**arguments, quantization=NF4)


def test_a_quantized_base_needs_bitsandbytes(tmp_path, monkeypatch):
    save_llama(tmp_path)
    monkeypatch.setattr('visionllm_mm.models.llm.is_bitsandbytes_available', lambda: False)
    with pytest.raises(ImportError, match='quantization=.*needs bitsandbytes.*pip install'):
        CausalLM(path=str(tmp_path), quantization=NF4)


def test_quantization_reaches_hugging_face(tmp_path, monkeypatch):
    saved, _ = save_llama(tmp_path)
    calls = []

    def from_pretrained(source, **kwargs):
        calls.append((source, kwargs))
        return saved, dict(missing_keys=[], unexpected_keys=[])

    monkeypatch.setattr('visionllm_mm.models.llm.is_bitsandbytes_available', lambda: True)
    monkeypatch.setattr('visionllm_mm.models.llm.AutoModelForCausalLM.from_pretrained', from_pretrained)
    llm = CausalLM(path=str(tmp_path), lora=LORA, dtype='bfloat16', quantization=NF4)
    [(source, kwargs)] = calls
    bits = kwargs['quantization_config']
    assert source == str(tmp_path) and kwargs['dtype'] == torch.bfloat16
    assert bits.load_in_4bit and bits.bnb_4bit_quant_type == 'nf4' and bits.bnb_4bit_compute_dtype == torch.bfloat16
    assert {name for name, p in llm.named_parameters() if p.requires_grad} == {
        name for name, _ in llm.named_parameters() if 'lora_' in name
    }


@pytest.mark.skipif(not is_bitsandbytes_available(), reason='bitsandbytes is not among the pinned packages')
def test_a_base_of_four_bits_trains_and_its_checkpoint_fits_the_whole_base(tmp_path):
    save_llama(tmp_path)
    arguments = dict(path=str(tmp_path), lora=LORA, dtype='bfloat16', gradient_checkpointing=True)
    small, whole = build_model(llm=dict(arguments, quantization=NF4)).train(), build_model(llm=arguments).train()
    losses = []
    for model in (small, whole):
        randomize_adapters(model)
        loss = sum(model.loss(*batch([2, 3])).values())
        loss.backward()
        losses.append(loss.detach())
        assert all(p.grad.isfinite().all() and p.grad.any() for n, p in model.named_parameters() if 'lora_' in n)
    assert small.task_decoder.llm.base.model.layers[0].self_attn.q_proj.base_layer.weight.dtype == torch.uint8
    torch.testing.assert_close(*losses, rtol=0.01, atol=0)
    whole.load_state_dict(small.state_dict())
    small.load_state_dict(whole.state_dict())


def test_weights_of_another_depth_are_refused():
    deep, shallow = (CausalLM(**(LLM | dict(config=LLM['config'] | dict(num_hidden_layers=n)))) for n in (3, 1))
    for one, other in ((deep, shallow), (shallow, deep)):
        there, here = (len(llm.base.model.layers) for llm in (one, other))
        with pytest.raises(ValueError, match=f'has an LLM of {there} layers, and this model one of {here}'):
            other.load_state_dict(one.state_dict(), strict=False)
    deep.load_state_dict(deep.state_dict())


def test_adapters_in_some_layers_alone(tmp_path):
    save_llama(tmp_path)
    loading = dict(path=str(tmp_path), freeze=True, lora=LORA | dict(layers_to_transform=[0]))
    first, second = CausalLM(**loading), CausalLM(**loading)
    randomize_adapters(first)
    second.load_state_dict(first.state_dict())
    assert all('layers.0.' in name for name, p in second.named_parameters() if p.requires_grad)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
