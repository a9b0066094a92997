"""Conversations in the format of LLaVA-Instruct."""

import json

import pytest

from visionllm_mm.datasets import ConversationDataset


def _dataset(tmp_path, conversations, test_mode=True, **kwargs):
    path = tmp_path / 'talk.json'
    path.write_text(json.dumps(conversations))
    return ConversationDataset(
        ann_file='talk.json', data_root=str(tmp_path), data_prefix=dict(img='images/'), test_mode=test_mode, **kwargs
    )


def _talk(*values, **more):
    speakers = ['human', 'gpt'] * len(values)
    return (
        dict(
            id='talk 7',
            image='a.png',
            conversations=[{'from': speaker, 'value': value} for speaker, value in zip(speakers, values, strict=False)],
        )
        | more
    )


def test_every_answer_is_a_sample_with_what_was_said_before(tmp_path):
    dataset = _dataset(tmp_path, [_talk('<image>\nWhat is it?', 'a star', 'Which color?', 'red')])
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert len(dataset) == 2
    assert (first['question'], first['gt_caption']) == ('What is it?', ['a star'])
    assert (first['history'], second['history']) == ((), ('a star', 'Which color?'))
    assert (second['question'], second['gt_caption']) == ('What is it?', ['red'])
    assert (first['turn'], second['turn']) == (0, 1)
    assert first['img_path'] == str(tmp_path / 'images/a.png') and first['question_type'] == ''


def test_while_training_a_conversation_is_one_sample(tmp_path):
    dataset = _dataset(tmp_path, [_talk('<image>\nWhat is it?', 'a star', 'Which color?', 'red')] * 2, test_mode=False)
    assert len(dataset) == 2 and dataset.get_data_info(0)['history'] == ('a star', 'Which color?')
    assert dataset.get_data_info(0)['gt_caption'] == ['red']


def test_types_and_image_at_the_end(tmp_path):
    dataset = _dataset(tmp_path, [_talk('Count them. <image>', '3', 'Sure?', 'yes', question_types=['count', 'other'])])
    assert [dataset.get_data_info(i)['question_type'] for i in range(2)] == ['count', 'other']


@pytest.mark.parametrize(
    'conversation, message',
    [
        (_talk('What is it?', 'a star'), "'talk 7' must hold <image> once, not 0 times"),
        (_talk('<image> What?', 'a star', '<image> And?', 'red'), 'not 2 times'),
        (_talk('<image>', 'a star'), 'turn 0 is empty'),
        (_talk('<image> What?', ' '), 'turn 1 is empty'),
        (_talk('<image> What?'), 'must take turns'),
        (_talk(), 'must take turns'),
        (_talk('<image> What?', None), '"from" and "value", two strings, got'),
        (dict(id='talk 7', image='a.png', conversations=[dict(value='<image>')]), "got {'value': '<image>'}"),
        (dict(id='talk 7'), "'talk 7' has no image and no conversations"),
        (_talk('<image> What?', 'a star', question_types=['shape', 'color']), 'has 1 answers, but 2 question_types'),
    ],
)
def test_bad_conversations_are_named(tmp_path, conversation, message):
    with pytest.raises(ValueError, match=message):
        _dataset(tmp_path, [conversation])


def test_some_bad_conversations_may_be_left_out(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('visionllm_mm.datasets.conversations.print_log', lambda text, logger: said.append(text))
    talks = [_talk('What?', 'a star'), _talk('<image> And?', 'a ring'), _talk('<image> Then?', '')]
    dataset = _dataset(tmp_path, talks, max_bad=2)
    assert [dataset.get_data_info(i)['question'] for i in range(len(dataset))] == ['And?']
    assert len(said) == 1 and "2 bad conversations are left out; the first: conversation 'talk 7' must hold" in said[0]
    with pytest.raises(ValueError, match='turn 1 is empty'):
        _dataset(tmp_path, talks, max_bad=1)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.json'):
        ConversationDataset(ann_file=str(tmp_path / 'nothing.json'))
