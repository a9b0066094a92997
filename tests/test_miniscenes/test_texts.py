"""Every sentence of MiniScenes is true of its scene: read back by a parser without the margins of the generator."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.helpers.miniscenes import objects_by_image, read
from visionllm_mm.miniscenes import PAIRS
from visionllm_mm.miniscenes.vocabulary import NUMBER_WORDS


def singular(noun):
    return 'cross' if noun.startswith('cross') else noun.removesuffix('s')


def members(phrase, objects):
    """Objects of a kind: 'red stars', 'white object'."""
    words = [singular(word) for word in phrase.split()]
    return [
        o
        for o in objects
        if all(word in ('object', o['attributes']['color'], o['attributes']['shape']) for word in words)
    ]


def center(obj):
    x, y, w, h = obj['bbox']
    return np.array([x + w / 2, y + h / 2])


KEYS = {
    'leftmost': lambda o: center(o)[0],
    'rightmost': lambda o: -center(o)[0],
    'topmost': lambda o: center(o)[1],
    'bottommost': lambda o: -center(o)[1],
    'largest': lambda o: -o['area'],
    'smallest': lambda o: o['area'],
}
HOLDS = {
    'left of': lambda a, b: center(a)[0] < center(b)[0],
    'right of': lambda a, b: center(a)[0] > center(b)[0],
    'above': lambda a, b: center(a)[1] < center(b)[1],
    'below': lambda a, b: center(a)[1] > center(b)[1],
    'larger than': lambda a, b: a['area'] > b['area'],
    'smaller than': lambda a, b: a['area'] < b['area'],
}
RELATION = re.compile(f'(.+) ({"|".join(HOLDS)}|closest to) the (.+)')


def referents(phrase, objects):
    """All objects that a phrase without its article is true of."""
    relation = RELATION.fullmatch(phrase)
    if relation:
        kind, word, anchor_phrase = relation.groups()
        anchor = the(anchor_phrase, objects)
        others = [o for o in members(kind, objects) if o is not anchor]
        if word == 'closest to':
            return [min(others, key=lambda o: np.linalg.norm(center(o) - center(anchor)))]
        return [o for o in others if HOLDS[word](o, anchor)]
    first, _, rest = phrase.partition(' ')
    if first in KEYS:
        ranked = sorted(members(rest, objects), key=KEYS[first])
        assert KEYS[first](ranked[0]) < KEYS[first](ranked[1])
        return ranked[:1]
    return members(phrase, objects)


def the(phrase, objects):
    found = referents(phrase, objects)
    assert len(found) == 1, phrase
    return found[0]


def answer(question, objects):
    def matched(pattern):
        match = re.fullmatch(pattern, question)
        return match.groups() if match else None

    if found := matched(r'What (color|shape) is the (.+)\?'):
        return the(found[1], objects)['attributes'][found[0]]
    if found := matched(r'How many (.+) are there\?'):
        return str(len(members(found[0], objects)))
    if found := matched(rf'How many (.+) are ({"|".join(HOLDS)}) the (.+)\?'):
        return str(len(referents('{} {} the {}'.format(*found), objects)))
    if found := matched(r'Is there an? (.+)\?'):
        return 'yes' if members(found[0], objects) else 'no'
    if found := matched(rf'Is the (.+) ({"|".join(HOLDS)}) the (.+)\?'):
        return 'yes' if HOLDS[found[1]](the(found[0], objects), the(found[2], objects)) else 'no'
    first, second = matched(r'Are there more (.+) than (.+)\?')
    return 'yes' if len(members(first, objects)) > len(members(second, objects)) else 'no'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_each_expression_is_true_of_its_object_alone(miniscenes, split):
    objects = objects_by_image(miniscenes, split)
    refexp = read(miniscenes, f'refexp_{split}')
    types = Counter(image['expression_type'] for image in refexp['images'])
    assert min(types[t] for t in ('attribute', 'comparison', 'position', 'relation')) > 5
    for image, annotation in zip(refexp['images'], refexp['annotations'], strict=True):
        assert image['id'] == annotation['image_id'] == annotation['id']
        target = the(image['caption'].removeprefix('the '), objects[image['original_id']])
        assert target['bbox'] == annotation['bbox']


@pytest.mark.parametrize('split', ['train', 'val'])
def test_each_answer_is_right(miniscenes, split):
    objects = objects_by_image(miniscenes, split)
    types = Counter()
    for entry in read(miniscenes, f'conversations_{split}'):
        turns = entry['conversations']
        assert [turn['from'] for turn in turns] == ['human', 'gpt'] * len(entry['question_types'])
        assert 2 <= len(entry['question_types']) <= 4
        assert turns[0]['value'].startswith('<image>\n')
        types.update(entry['question_types'])
        of_image = objects[int(entry['id'].split('_')[1])]
        for question, given in zip(turns[::2], turns[1::2], strict=True):
            assert answer(question['value'].removeprefix('<image>\n'), of_image) == given['value']
    assert len(types) == 6 and min(types.values()) > 5


def test_each_caption_mentions_every_object(miniscenes):
    objects = objects_by_image(miniscenes, 'val')
    captions = defaultdict(list)
    for caption in read(miniscenes, 'captions_val')['annotations']:
        captions[caption['image_id']].append(caption['caption'])
    names = '|'.join(f'{color} {shape}' for color, shape in PAIRS)
    for image_id, texts in captions.items():
        assert 2 <= len(set(texts)) == len(texts) <= 5
        wanted = Counter('{color} {shape}'.format(**o['attributes']) for o in objects[image_id])
        for text in texts:
            mentioned = Counter()
            for number, name in re.findall(rf'(\w+) ({names})', text):
                mentioned[name] += 1 if number in ('a', 'an') else NUMBER_WORDS.index(number)
            assert mentioned == wanted


def test_each_image_has_captions_and_a_conversation(miniscenes):
    images = read(miniscenes, 'instances_val')['images']
    assert [i['id'] for i in images] == list(range(1, 41))
    assert read(miniscenes, 'captions_val')['images'] == images
    assert [e['image'] for e in read(miniscenes, 'conversations_val')] == [i['file_name'] for i in images]


def test_mmdet_reads_expressions(miniscenes):
    from mmdet.datasets import MDETRStyleRefCocoDataset

    dataset = MDETRStyleRefCocoDataset(
        data_root=str(miniscenes),
        ann_file='annotations/refexp_val.json',
        data_prefix={'img': 'val/'},
        test_mode=True,
        pipeline=[],
    )
    refexp = read(miniscenes, 'refexp_val')
    assert len(dataset) == len(refexp['images'])
    for i, annotation in enumerate(refexp['annotations']):
        info = dataset.get_data_info(i)
        x, y, w, h = annotation['bbox']
        assert info['text'] == refexp['images'][i]['caption']
        assert [o['bbox'] for o in info['instances']] == [[x, y, x + w, y + h]]
        assert info['dataset_mode'] in ('refcoco', 'refcoco+', 'refcocog')
