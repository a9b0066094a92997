"""MiniScenes: the files agree with each other, and every sentence is true of its scene."""

import importlib.util
import json
import re
import signal
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_ops
from pycocotools.coco import COCO

from visionllm_mm.datasets.miniscenes import (
    COLORS,
    HELD_OUT_PAIRS,
    KEYPOINTS,
    PAIRS,
    SHAPES,
    DatasetArguments,
    FolderInUseError,
    find_existing,
    make_example,
    write_dataset,
)
from visionllm_mm.datasets.miniscenes.render import _sample_background_colors, _to_lab
from visionllm_mm.datasets.miniscenes.scenes import (
    MAX_DIAMETER,
    MIN_DIAMETER,
    MIN_VISIBLE,
    sample_layout,
)
from visionllm_mm.datasets.miniscenes.shapes import OUTLINES, SUPERSAMPLE
from visionllm_mm.datasets.miniscenes.vocabulary import NUMBER_WORDS, PALETTE

# pycocotools 2.0.11 under numpy 2; it works.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation')

ARGUMENTS = DatasetArguments(num_train=60, num_val=40)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'miniscenes'
    write_dataset(folder, ARGUMENTS)
    return folder


def read(root, name):
    return json.loads((root / 'annotations' / f'{name}.json').read_text())


def objects_by_image(root, split):
    groups = defaultdict(list)
    for annotation in read(root, f'instances_{split}')['annotations']:
        groups[annotation['image_id']].append(annotation)
    return groups


def contents(folder, pattern='**/*'):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob(pattern)) if path.is_file()
    }


# --- the folder ---------------------------------------------------------------------------------


def test_same_arguments_give_the_same_bytes(root, tmp_path):
    write_dataset(tmp_path / 'again', ARGUMENTS)
    assert contents(tmp_path / 'again') == contents(root)
    assert sorted(contents(root)) == sorted(ARGUMENTS.file_names())


def test_validation_does_not_depend_on_the_number_of_training_images(root, tmp_path):
    write_dataset(tmp_path / 'short', DatasetArguments(num_train=7, num_val=40))
    for pattern in ('val/*', 'annotations/*_val.json'):
        assert contents(tmp_path / 'short', pattern) == contents(root, pattern)
    train = contents(tmp_path / 'short', 'train/*')
    assert len(train) == 7 and train.items() <= contents(root, 'train/*').items()
    short = read(tmp_path / 'short', 'refexp_train')['annotations']
    assert short == read(root, 'refexp_train')['annotations'][:len(short)]


def test_another_seed_and_another_size_give_other_scenes():
    first, second = make_example(0, 'val', 0, 64), make_example(1, 'val', 0, 64)
    assert first.image.shape == second.image.shape == (64, 64, 3)
    assert not np.array_equal(first.image, second.image)
    assert make_example(0, 'val', 0, 200).image.shape == (200, 200, 3)


@pytest.mark.parametrize('stop_at', [('train', 1), ('val', 2)])
def test_an_interrupted_run_leaves_nothing(tmp_path, stop_at):

    def interrupt(split, done):
        if (split, done) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / 'out', DatasetArguments(2, 2), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_existing_folders(root, tmp_path):
    assert find_existing(tmp_path / 'new', ARGUMENTS) is None
    assert find_existing(tmp_path, ARGUMENTS) is None  # empty
    assert find_existing(root, ARGUMENTS)['arguments']['num_train'] == 60
    with pytest.raises(FolderInUseError, match="'num_train': 60"):
        find_existing(root, DatasetArguments(num_train=61, num_val=40))
    (tmp_path / 'thesis.tex').write_text('mine')
    with pytest.raises(FolderInUseError, match='not a MiniScenes'):
        find_existing(tmp_path, ARGUMENTS)
    with pytest.raises(FolderInUseError, match='not an empty folder'):
        write_dataset(tmp_path, ARGUMENTS)
    assert contents(tmp_path) == {'thesis.tex': b'mine'}


def test_a_data_set_with_missing_files_is_reported(tmp_path):
    arguments = DatasetArguments(1, 1)
    write_dataset(tmp_path / 'out', arguments)
    (tmp_path / 'out/val/000001.png').unlink()
    with pytest.raises(FolderInUseError, match='1 of its files .* val/000001.png'):
        find_existing(tmp_path / 'out', arguments)


@pytest.fixture
def run_tool(repo_root, monkeypatch):
    path = repo_root / 'tools/prepare_miniscenes.py'
    spec = importlib.util.spec_from_file_location('prepare_miniscenes', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)  # leave pytest's own handlers alone

    def run(*args):
        monkeypatch.setattr('sys.argv', ['prepare_miniscenes.py', *map(str, args)])
        return tool.main()

    return run


def test_tool_makes_keeps_and_refuses(run_tool, tmp_path, capsys):
    small = ('--out', tmp_path / 'out', '--num-train', 2, '--num-val', 2)
    assert run_tool(*small) == 0
    assert 'trivial baselines' in capsys.readouterr().out
    before = contents(tmp_path / 'out')
    assert run_tool(*small) == 0
    assert 'nothing to do' in capsys.readouterr().out
    assert run_tool(*small, '--seed', 5) == 1
    assert 'Delete the folder or choose another with --out' in capsys.readouterr().err
    assert contents(tmp_path / 'out') == before


@pytest.mark.parametrize('arguments', [('--num-train', '0'), ('--size', '63'), ('--seed', '-1'),
                                       ('--num-val', 'many')])
def test_tool_names_a_bad_argument(run_tool, arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        run_tool(*arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


# --- images and instances -----------------------------------------------------------------------


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_and_areas_are_those_of_the_masks(root, split):
    coco = COCO(str(root / f'annotations/instances_{split}.json'))
    assert len(coco.anns) > 50
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        x, y, w, h = annotation['bbox']
        assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (x, x + w, y, y + h)
        assert annotation['area'] == mask.sum()
        points = np.reshape(annotation['keypoints'], (len(KEYPOINTS), 3))
        assert [points[1, 1], points[3, 1]] == [y + 0.5, y + h - 0.5]  # top, bottom
        assert [points[4, 0], points[2, 0]] == [x + 0.5, x + w - 0.5]  # left, right
        on_mask = mask[points[:, 1].astype(int), points[:, 0].astype(int)]
        assert (points[:, 2] == np.where(on_mask, 2, 1)).all()


def test_masks_do_not_overlap_and_cover_the_objects_color(root):
    coco = COCO(str(root / 'annotations/instances_val.json'))
    for image in coco.dataset['images']:
        pixels = cv2.imread(str(root / 'val' / image['file_name']))[..., ::-1]
        annotations = coco.imgToAnns[image['id']]
        masks = [coco.annToMask(a) for a in annotations]
        # Neighboring polygons are rounded apart from each other, by single pixels on the border.
        overlap = (np.sum(masks, axis=0) > 1).sum() if masks else 0
        assert overlap <= 0.05 * sum(a['area'] for a in annotations)
        for annotation, mask in zip(annotations, masks, strict=True):
            color = np.median(pixels[mask > 0], axis=0)
            nearest = min(PALETTE, key=lambda name: np.linalg.norm(color - PALETTE[name]))
            assert nearest == annotation['attributes']['color']


def test_masks_with_a_hole_are_rle(root):
    rings = [
        a for a in read(root, 'instances_train')['annotations'] if a['attributes']['shape'] == 'ring'
    ]
    holed = [a for a in rings if isinstance(a['segmentation'], dict)]
    assert len(holed) > len(rings) / 2
    for annotation in holed:
        mask = rle_ops.decode(annotation['segmentation'])
        assert len(cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]) > 1


def test_objects_stay_visible_and_inside_the_size_range():
    for index in range(60):
        for obj in sample_layout(np.random.default_rng(index), 'val', 128):
            assert MIN_DIAMETER <= obj.diameter / 128 <= MAX_DIAMETER
            visible = cv2.countNonZero(obj.visible) / SUPERSAMPLE**2
            assert visible >= MIN_VISIBLE * obj.full_area


def test_outlines_fill_the_unit_circle():
    for outlines in OUTLINES.values():
        radius = max(np.linalg.norm(outline, axis=1).max() for outline in outlines)
        assert radius == pytest.approx(1, abs=1e-6)


def test_backgrounds_contrast_with_all_objects():
    rng = np.random.default_rng(0)
    for _ in range(300):
        colors = rng.choice(COLORS, rng.integers(1, 7)).tolist()
        first, second = _sample_background_colors(rng, colors)
        mixtures = np.linspace(first, second, 9, dtype=np.float32)[:, None]
        objects = np.float32([PALETTE[c] for c in colors])
        assert np.linalg.norm(_to_lab(mixtures) - _to_lab(objects), axis=-1).min() > 20


def test_class_sets_describe_the_same_objects(root):
    shapes, colors, pairs = (
        read(root, f'instances{name}_val') for name in ('', '_colors', '_pairs'))
    assert [c['name'] for c in shapes['categories']] == list(SHAPES)
    assert [c['name'] for c in colors['categories']] == list(COLORS)
    assert [c['name'] for c in pairs['categories']] == [' '.join(pair) for pair in PAIRS]
    for by_shape, by_color, by_pair in zip(
            shapes['annotations'], colors['annotations'], pairs['annotations'], strict=True):
        color, shape = (by_shape['attributes'][key] for key in ('color', 'shape'))
        assert shapes['categories'][by_shape['category_id'] - 1]['name'] == shape
        assert colors['categories'][by_color['category_id'] - 1]['name'] == color
        assert pairs['categories'][by_pair['category_id'] - 1]['name'] == f'{color} {shape}'
        assert by_shape['bbox'] == by_color['bbox'] == by_pair['bbox']


def test_held_out_pairs_never_occur_in_training(root):
    assert sorted(c for c, _ in HELD_OUT_PAIRS) == sorted(COLORS)
    assert sorted(s for _, s in HELD_OUT_PAIRS) == sorted(SHAPES)
    for index in range(100):
        layout = sample_layout(np.random.default_rng(index), 'train', 64)
        assert not {(obj.color, obj.shape) for obj in layout} & set(HELD_OUT_PAIRS)
    for name in ('instances_train', 'refexp_train', 'captions_train', 'conversations_train'):
        text = (root / f'annotations/{name}.json').read_text()
        assert not [pair for pair in HELD_OUT_PAIRS if ' '.join(pair) in text]
    for annotation in read(root, 'instances_train')['annotations']:
        attributes = annotation['attributes']
        assert (attributes['color'], attributes['shape']) not in HELD_OUT_PAIRS

    unseen = read(root, 'instances_unseen-pairs_val')
    found = {(a['attributes']['color'], a['attributes']['shape']) for a in unseen['annotations']}
    assert found and found <= set(HELD_OUT_PAIRS)
    assert {a['image_id'] for a in unseen['annotations']} == {i['id'] for i in unseen['images']}
    everything = read(root, 'instances_pairs_val')['annotations']
    assert unseen['annotations'] == [
        a for a in everything
        if (a['attributes']['color'], a['attributes']['shape']) in HELD_OUT_PAIRS
    ]


def test_images_without_objects_are_consistent(root):
    objects = objects_by_image(root, 'val')
    empty = {i['id'] for i in read(root, 'instances_val')['images']} - set(objects)
    assert empty
    assert not empty & {i['original_id'] for i in read(root, 'refexp_val')['images']}
    for caption in read(root, 'captions_val')['annotations']:
        if caption['image_id'] in empty:
            assert not any(word in caption['caption'] for word in (*COLORS, *SHAPES))
    for entry in read(root, 'conversations_val'):
        if int(entry['id'].split('_')[1]) in empty:
            answers = [turn['value'] for turn in entry['conversations'][1::2]]
            assert set(answers) <= {'0', 'no'} and len(answers) >= 2


# --- texts: read back by a parser of their own, without the margins of the generator ------------


def singular(noun):
    return 'cross' if noun.startswith('cross') else noun.removesuffix('s')


def members(phrase, objects):
    """Objects of a kind: 'red stars', 'white object'."""
    words = [singular(word) for word in phrase.split()]
    return [
        o for o in objects if all(
            word in ('object', o['attributes']['color'], o['attributes']['shape'])
            for word in words)
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
def test_each_expression_is_true_of_its_object_alone(root, split):
    objects = objects_by_image(root, split)
    refexp = read(root, f'refexp_{split}')
    types = Counter(image['expression_type'] for image in refexp['images'])
    assert min(types[t] for t in ('attribute', 'comparison', 'position', 'relation')) > 5
    for image, annotation in zip(refexp['images'], refexp['annotations'], strict=True):
        assert image['id'] == annotation['image_id'] == annotation['id']
        target = the(image['caption'].removeprefix('the '), objects[image['original_id']])
        assert target['bbox'] == annotation['bbox']


@pytest.mark.parametrize('split', ['train', 'val'])
def test_each_answer_is_right(root, split):
    objects = objects_by_image(root, split)
    types = Counter()
    for entry in read(root, f'conversations_{split}'):
        turns = entry['conversations']
        assert [turn['from'] for turn in turns] == ['human', 'gpt'] * len(entry['question_types'])
        assert 2 <= len(entry['question_types']) <= 4
        assert turns[0]['value'].startswith('<image>\n')
        types.update(entry['question_types'])
        of_image = objects[int(entry['id'].split('_')[1])]
        for question, given in zip(turns[::2], turns[1::2], strict=True):
            assert answer(question['value'].removeprefix('<image>\n'), of_image) == given['value']
    assert len(types) == 6 and min(types.values()) > 5


def test_each_caption_mentions_every_object(root):
    objects = objects_by_image(root, 'val')
    captions = defaultdict(list)
    for caption in read(root, 'captions_val')['annotations']:
        captions[caption['image_id']].append(caption['caption'])
    names = '|'.join(f'{color} {shape}' for color, shape in PAIRS)
    for image_id, texts in captions.items():
        assert 2 <= len(set(texts)) == len(texts) <= 5
        wanted = Counter(
            '{color} {shape}'.format(**o['attributes']) for o in objects[image_id])
        for text in texts:
            mentioned = Counter()
            for number, name in re.findall(rf'(\w+) ({names})', text):
                mentioned[name] += 1 if number in ('a', 'an') else NUMBER_WORDS.index(number)
            assert mentioned == wanted


def test_each_image_has_captions_and_a_conversation(root):
    images = read(root, 'instances_val')['images']
    assert [i['id'] for i in images] == list(range(1, 41))
    assert read(root, 'captions_val')['images'] == images
    assert [e['image'] for e in read(root, 'conversations_val')] == [i['file_name'] for i in images]


# --- mmdet reads it -----------------------------------------------------------------------------


def test_mmdet_reads_instances_with_masks(root):
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    dataset = CocoDataset(
        data_root=str(root), ann_file='annotations/instances_val.json', metainfo={'classes': SHAPES},
        data_prefix={'img': 'val/'}, test_mode=True, pipeline=[
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'PackDetInputs'},
        ])
    objects = objects_by_image(root, 'val')
    assert len(dataset) == 40
    for sample in dataset:
        instances = sample['data_samples'].gt_instances
        expected = objects[sample['data_samples'].img_id]
        areas = instances.masks.areas.tolist()
        assert areas == [a['area'] for a in expected]
        assert instances.labels.tolist() == [a['category_id'] - 1 for a in expected]


def test_mmdet_reads_expressions(root):
    from mmdet.datasets import MDETRStyleRefCocoDataset

    dataset = MDETRStyleRefCocoDataset(
        data_root=str(root), ann_file='annotations/refexp_val.json', data_prefix={'img': 'val/'},
        test_mode=True, pipeline=[])
    refexp = read(root, 'refexp_val')
    assert len(dataset) == len(refexp['images'])
    for i, annotation in enumerate(refexp['annotations']):
        info = dataset.get_data_info(i)
        x, y, w, h = annotation['bbox']
        assert info['text'] == refexp['images'][i]['caption']
        assert [o['bbox'] for o in info['instances']] == [[x, y, x + w, y + h]]
        assert info['dataset_mode'] in ('refcoco', 'refcoco+', 'refcocog')
