"""Ten-image copies of the real layouts: what they are like, how they are read, what is said of missing files."""

import json
import shutil

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.helpers.real_layouts import CATEGORY_IDS, COCO_NAMES, EMPTY, EXPRESSIONS, make_real_layouts
from tests.helpers.tiny import ROOT
from visionllm_mm.datasets.required_files import check_files
from visionllm_mm.instructions import Vocabulary, parse_instruction

BASE = ROOT / 'configs/_base_/datasets'
STAGE_1, STAGE_2, LVIS = 'coco_detection', 'coco_multitask', 'lvis_v1_detection'
TRAIN = ('train_dataloader', 'val_dataloader', 'val_evaluator')
TEST = ('test_dataloader', 'test_evaluator', 'test_cfg')


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    root = make_real_layouts(tmp_path_factory.mktemp('data') / 'coco')
    # The tool that makes these has its own tests.
    for name in ('instances_train2017', *(f'mdetr_annotations/finetune_{name}_train' for name in EXPRESSIONS)):
        shutil.copy(root / f'annotations/{name}.json', root / f'annotations/{name}_norefcoco.json')
    return root


@pytest.fixture
def read_config(coco, monkeypatch):
    def read(name: str, root=coco) -> Config:
        monkeypatch.setenv('COCO_ROOT', str(root))
        return Config.fromfile(BASE / f'{name}.py')

    init_default_scope('mmdet')
    return read


def _files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def test_the_same_seed_gives_the_same_files(coco, tmp_path):
    again, other = (make_real_layouts(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    first = {name: content for name, content in _files(coco).items() if 'norefcoco' not in name.name}
    assert _files(again) == first and len(first) == 4 * 10 + 2 + 11 + 4
    assert _files(other).keys() != first.keys()


def test_detection_reads_coco(read_config, coco):
    dataset = DATASETS.build(read_config(STAGE_1).train_dataloader.dataset)
    content = json.loads((coco / 'annotations/instances_train2017.json').read_text())
    assert len(dataset) == 10 and dataset.cat_ids == list(CATEGORY_IDS) and max(CATEGORY_IDS) == 90
    of_image = {
        image['id']: [a for a in content['annotations'] if a['image_id'] == image['id']] for image in content['images']
    }
    crowds = 0
    for i in range(10):
        info = dataset.get_data_info(i)
        assert cv2.imread(info['img_path']).shape[:2] == (info['height'], info['width'])
        annotations = of_image[info['img_id']]
        assert [x['ignore_flag'] for x in info['instances']] == [a['iscrowd'] for a in annotations]
        assert [CATEGORY_IDS[x['bbox_label']] for x in info['instances']] == [a['category_id'] for a in annotations]
        crowds += sum(a['iscrowd'] for a in annotations)
        assert bool(annotations) == (i != EMPTY)
    assert crowds == 4
    labels = {x['bbox_label'] for i in range(10) for x in dataset.get_data_info(i)['instances']}
    assert {dataset.metainfo['classes'][k] for k in labels} <= {'person', *COCO_NAMES.values()}


def test_all_tasks_of_stage_2_give_samples(read_config, coco):
    sets = DATASETS.build(read_config(STAGE_2).train_dataloader.dataset).datasets
    detection, segmentation, grounding, captions, conversations = sets
    assert [len(detection), len(segmentation), len(captions)] == [10, 10, 14]  # 10 of train and 4 of restval
    assert len(grounding) == sum(map(len, grounding.datasets)) > 30
    talks = json.loads((coco / 'llava/llava_instruct_150k.json').read_text())
    assert len(conversations) == len(talks) == 10  # one sample of training is a whole conversation
    vocabulary = Vocabulary(num_classes=512, coord_range=512, max_points=24)
    for part in sets:
        for i in (0, len(part) // 2, len(part) - 1):
            sample = part[i]['data_samples']
            asked = parse_instruction(sample.instruction, vocabulary)
            assert asked.asks_for_text == (part in (captions, conversations)) == ('answer' in sample)
            if asked.asks_for_text or part is grounding:
                assert not sample.get('flip') and ('answer' in sample or len(sample.gt_instances) == 1)
            if not asked.asks_for_text:
                points = sample.gt_instances.points.numpy()
                assert points.shape[1:] == (asked.num_points, 2)
                height, width = sample.img_shape
                assert (points >= 0).all() and (points <= (width, height)).all()
                assert (sample.gt_instances.labels.numpy() < len(asked.class_names)).all()
    expressions = {grounding[i]['data_samples'].text for i in range(len(grounding))}
    assert all(text.startswith('the ') for text in expressions) and len(expressions) > 10


def test_crowds_are_no_targets(read_config):
    sets = read_config(STAGE_2).train_dataloader.dataset.datasets
    for part in sets[:2]:
        part.pipeline = [t for t in part.pipeline if t.type not in ('RandomFlip', 'RandomChoice')]
        sample = DATASETS.build(part)[0]['data_samples']
        assert len(sample.ignored_instances) == 1 and len(sample.gt_instances) >= 1
        crowd = sample.ignored_instances.bboxes.tensor
        assert (sample.gt_instances.bboxes.tensor[:, :2] >= crowd[:, :2] - 1).all()  # it holds them all


def test_test_sets_of_stage_2(read_config, coco):
    tasks = read_config(STAGE_2).test_cfg.tasks
    segmentation, grounding, caption = (
        DATASETS.build(tasks[name].dataloader.dataset) for name in ('segmentation', 'grounding', 'caption')
    )
    assert len(segmentation) == 10 and len(caption) == 4
    sample = segmentation[0]['data_samples']
    assert len(sample.class_names) == 80 and '(c, x1, y1, ..., x24, y24)' in sample.instruction
    assert all('/val2014/COCO_val2014_' in caption.get_data_info(i)['img_path'] for i in range(4))
    assert len(caption.get_data_info(0)['gt_caption']) >= 2
    infos = [grounding.get_data_info(i) for i in range(len(grounding))]
    assert {info['dataset_mode'] for info in infos} == {'refcoco'}
    assert {info['img_path'].split('/')[-2] for info in infos} == {'train2014'}
    files = sorted((coco / 'annotations/mdetr_annotations').glob('finetune_*[a-zA-Z].json'))
    ids = [
        image['id']
        for path in files
        if 'norefcoco' not in path.name
        for image in json.loads(path.read_text())['images']
    ]
    assert len(ids) == len(set(ids))


def test_lvis_is_read_and_sampled(read_config, coco):
    cfg = read_config(LVIS)
    train, val = (DATASETS.build(cfg[f'{split}_dataloader'].dataset) for split in ('train', 'val'))
    assert (len(train), len(val)) == (9, 10) and len(val.metainfo['classes']) == 1203
    folders = [val.get_data_info(i)['img_path'].split('/')[-2] for i in range(10)]
    assert folders == ['train2017'] + ['val2017'] * 9
    sizes = set()
    for _ in range(5):
        for i in range(9):
            np.random.seed(i)
            sample = train[i]['data_samples']
            sizes.add(len(sample.class_names))
            assert not any(set('_()') & set(name) for name in sample.class_names)
    assert sizes == {70} and len(val[0]['data_samples'].class_names) == 80
    image = json.loads((coco / 'lvis_v1/annotations/lvis_v1_val.json').read_text())['images'][0]
    assert 'file_name' not in image and {'neg_category_ids', 'not_exhaustive_category_ids'} <= image.keys()


@pytest.mark.slow
@pytest.mark.parametrize('name', [STAGE_1, STAGE_2, LVIS])
def test_dumped_configs_are_the_same(read_config, name):
    cfg = read_config(name)
    assert Config.fromstring(cfg.pretty_text, '.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', [STAGE_1, STAGE_2, LVIS])
def test_nothing_is_missing_of_a_complete_copy(read_config, name):
    cfg = read_config(name)
    check_files(*(cfg.get(key) for key in TRAIN + TEST))


@pytest.mark.parametrize(
    'name, keys, missing, source',
    [
        (STAGE_1, TRAIN, 'annotations/instances_train2017_norefcoco.json', 'python tools/remove_refcoco_images.py'),
        (
            STAGE_1,
            TRAIN,
            'annotations/instances_val2017.json',
            'annotations_trainval2017.zip of https://cocodataset.org',
        ),
        (STAGE_1, TRAIN, 'train2017', 'train2017.zip of https://cocodataset.org'),
        (STAGE_1, TEST, 'val2017', 'val2017.zip of https://cocodataset.org'),
        (STAGE_2, TRAIN, 'annotations/instances_train2017_norefcoco.json', 'python tools/remove_refcoco_images.py'),
        (
            STAGE_2,
            TRAIN,
            'annotations/mdetr_annotations/finetune_refcoco+_train_norefcoco.json',
            'python tools/remove_refcoco_images.py',
        ),
        (STAGE_2, TRAIN, 'annotations/dataset_coco.json', 'cs.stanford.edu/people/karpathy/deepimagesent'),
        (STAGE_2, TRAIN, 'llava/llava_instruct_150k.json', 'huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K'),
        (STAGE_2, TRAIN, 'train2014', 'train2014.zip of https://cocodataset.org'),
        (STAGE_2, TEST, 'val2014', 'val2014.zip of https://cocodataset.org'),
        (STAGE_2, TEST, 'annotations/mdetr_annotations/finetune_refcoco_val.json', 'zenodo.org/record/4729015'),
        (LVIS, TRAIN, 'lvis_v1/annotations/lvis_v1_train.json', 'lvisdataset.org'),
        (LVIS, TEST, 'lvis_v1/annotations/lvis_v1_val.json', 'lvisdataset.org'),
    ],
)
def test_missing_files_are_named_with_their_source(read_config, coco, tmp_path, name, keys, missing, source):
    root = shutil.copytree(coco, tmp_path / 'coco')
    path = root / missing
    path.rename(path.with_name('elsewhere'))
    cfg = read_config(name, root)
    with pytest.raises(FileNotFoundError) as error:
        check_files(*(cfg.get(key) for key in keys))
    first, *lines = str(error.value).splitlines()
    assert 'docs/data.md' in first and len(lines) == 1
    assert lines[0].strip().startswith(f'{path} is missing: ') and source in lines[0]


def test_every_missing_file_is_listed_once(tmp_path, read_config):
    cfg = read_config(STAGE_2, tmp_path / 'nothing')
    with pytest.raises(FileNotFoundError) as error:
        check_files(*(cfg.get(key) for key in TRAIN + TEST))
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(set(lines)) == 12 and all(': ' in line for line in lines)


def test_other_storage_and_other_parts_are_passed_over(tmp_path):
    check_files(
        None,
        dict(type='LoopDataset'),
        [dict(ann_file='s3://bucket/a.json')],
        dict(ann_file=None),
        dict(ann_file='no.json', backend_args=dict(backend='petrel')),
        dict(dataset=dict(data_root='http://host/', ann_file='a.json', data_prefix=dict(img='train/'))),
    )
    with pytest.raises(FileNotFoundError, match='root/objects.json is missing$'):  # in the folder of its data set
        check_files(dict(data_root=str(tmp_path / 'root'), objects=dict(ann_file='objects.json')))
    with pytest.raises(FileNotFoundError, match='own.json is missing$'):
        check_files(dict(datasets=[dict(dataset=dict(ann_file=str(tmp_path / 'own.json')))]))
    with pytest.raises(FileNotFoundError, match='miniscenes/train is missing: python tools/prepare_miniscenes.py'):
        (tmp_path / 'a.json').touch()
        check_files(dict(ann_file=str(tmp_path / 'a.json'), data_prefix=str(tmp_path / 'miniscenes/train')))


def test_tools_stop_with_the_message(tmp_path, read_config, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr('sys.argv', ['tools/train.py'])
    import _launch

    with pytest.raises(SystemExit, match='train.py: the data is not complete.*\n.*2017_norefcoco.json is missing'):
        _launch.require_data(read_config(STAGE_1, tmp_path / 'nothing'), *TRAIN)
    _launch.require_data(read_config(STAGE_1), *TRAIN)
