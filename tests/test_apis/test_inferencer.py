"""Every task through the Python API, on untrained weights."""

import copy
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.fileio import load
from PIL import Image

from tests.helpers.command_line import run_tool
from tests.helpers.picture_files import state_frames
from tests.helpers.scenes import NAMES, make_coco_folder, save_untrained, small_config
from visionllm_mm.apis import VisionLLMInferencer
from visionllm_mm.apis.images import to_array
from visionllm_mm.instructions import DETECTION_TEMPLATES, build_instruction, point_format


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return small_config(patch, make_coco_folder(tmp_path_factory.mktemp('coco')), tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='module')
def weights(config, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    save_untrained(config, path)
    return str(path)


@pytest.fixture(scope='module')
def inferencer(config, weights):
    return VisionLLMInferencer(model=copy.deepcopy(config), weights=weights, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def image(config):
    return f'{config.data_root}/val/1.png'


def _one(result):
    assert len(result['predictions']) == 1
    json.dumps(result['predictions'])
    return result['predictions'][0]


def test_each_task_answers_in_its_format(inferencer, image):
    boxes = _one(inferencer.detect(image, ['box', 'star', 'ring']))
    assert boxes['output_format'] == '<cls> <x1> <y1> <x2> <y2>'
    assert '{"box": <c0>, "star": <c1>, "ring": <c2>}' in boxes['instruction']
    assert set(boxes['label_names']) <= {'box', 'star', 'ring'}
    assert [['box', 'star', 'ring'][label] for label in boxes['labels']] == boxes['label_names']
    assert boxes['scores'] == sorted(boxes['scores'], reverse=True) and 'polygons' not in boxes

    polygons = _one(inferencer.segment(image, ['box'], num_points=8))
    assert np.shape(polygons['polygons']) == (len(polygons['scores']), 8, 2)
    assert polygons['masks'][0]['size'] == [64, 64] and isinstance(polygons['masks'][0]['counts'], str)
    assert len(_one(inferencer.segment(image, ['box']))['polygons'][0]) == 24

    expression = _one(inferencer.ground(image, 'the box on the left'))
    assert set(expression['label_names']) == {'the box on the left'} and set(expression['labels']) == {0}

    points = _one(inferencer.keypoints(image, ['box'], ['center', 'top']))
    assert np.shape(points['keypoints']) == (len(points['scores']), 2, 2) and 'masks' not in points
    assert points['point_names'] == ['center', 'top']

    for words in (
        inferencer.caption(image, max_words=3),
        inferencer.answer(image, 'Is there a box?'),
        inferencer.answer(image, 'Is there a box?', history=('yes', 'What color is it?')),
    ):
        words = _one(words)
        assert words['output_format'] == '<bos>' and isinstance(words['text'], str) and 'bboxes' not in words


def test_free_text_gives_the_boxes_of_mmdets_api(inferencer, config, weights, image):
    text = build_instruction(DETECTION_TEMPLATES[0], NAMES, point_format(2), inferencer.model.vocabulary)
    free = _one(inferencer(image, instruction=text))
    detector = init_detector(copy.deepcopy(config), weights, device='cpu', cfg_options={})
    plain = inference_detector(detector, image).pred_instances
    assert len(plain)
    for found in (
        free,
        _one(inferencer.detect(image, NAMES)),
        _one(inferencer(image)),
        _one(inferencer(image, texts=' . '.join(NAMES), custom_entities=True)),
    ):
        np.testing.assert_allclose(found['bboxes'], plain.bboxes.numpy(), atol=1e-3)
        assert found['label_names'] == list(plain.label_names) and found['instruction'] == text


def test_more_classes_than_class_tokens(inferencer, image):
    classes = [f'thing {i}' for i in range(150)]
    found = _one(inferencer.detect(image, classes))
    assert [classes[label] for label in found['labels']] == found['label_names']


def test_more_classes_than_the_data_set_has_colors(config, weights, image):
    cfg = copy.deepcopy(config)
    cfg.test_dataloader.dataset.metainfo.palette = [(220, 20, 60), (119, 11, 32)]
    inferencer = VisionLLMInferencer(cfg, weights, device='cpu', show_progress=False)
    for found in (inferencer.detect, inferencer.segment):
        result = found(image, [f'thing {i}' for i in range(100)], return_vis=True, pred_score_thr=0.0)
        assert max(_one(result)['labels']) > 1 and result['visualization'][0].shape == (64, 64, 3)


def test_boxes_are_those_of_the_test_tool(inferencer, config, weights, tmp_path):
    config.dump(str(tmp_path / 'config.py'))
    done = run_tool(
        'test.py',
        str(tmp_path / 'config.py'),
        weights,
        '--out',
        str(tmp_path / 'found.pkl'),
        '--work-dir',
        str(tmp_path / 'work'),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tested = load(tmp_path / 'found.pkl')
    assert len(tested) == 4
    for sample in tested:
        found = _one(inferencer.detect(sample['img_path'], NAMES))
        for key in ('bboxes', 'scores'):
            np.testing.assert_allclose(found[key], sample['pred_instances'][key], atol=1e-3)
        assert found['labels'] == sample['pred_instances']['labels'].tolist()


def test_files_of_arrays_have_one_number(config, weights, image, tmp_path):
    inferencer = VisionLLMInferencer(copy.deepcopy(config), weights, device='cpu', show_progress=False)
    array = cv2.imread(image)
    inferencer.detect(array, NAMES, return_vis=True)
    inferencer.caption(array)
    inferencer.detect([array, array], NAMES, out_dir=str(tmp_path), no_save_pred=False)
    assert sorted(file.stem for file in (tmp_path / 'vis').iterdir()) == ['00000002', '00000003']
    assert sorted(file.stem for file in (tmp_path / 'preds').iterdir()) == ['00000002', '00000003']


def test_groups_are_no_larger_than_those_that_were_learnt(config, weights, image):
    cfg = copy.deepcopy(config)
    next(t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'DetectionInstruction').max_classes = 2
    inferencer = VisionLLMInferencer(cfg, weights, device='cpu', show_progress=False)
    found = _one(inferencer.detect(image, ['box', 'star', 'ring'], pred_score_thr=0.0))
    assert '{"box": <c0>, "star": <c1>}' in found['instruction'] and set(found['label_names']) >= {'box', 'ring'}
    assert {tokens.split()[0] for tokens in found['tokens']} == {'<c0>', '<c1>'}


def test_arrays_of_names(inferencer, image):
    listed = _one(inferencer.detect(image, list(NAMES)))
    assert _one(inferencer.detect(image, np.array(NAMES))) == listed
    points = [_one(inferencer.keypoints(image, NAMES, kind(['top', 'low']))) for kind in (list, np.array)]
    assert points[0] == points[1] and points[0]['point_names'] == ['top', 'low']


def test_kinds_of_images(inferencer, config, image, tmp_path):
    array = cv2.imread(image)
    expected = _one(inferencer.detect(image, NAMES))['bboxes']
    for other in (array, Image.open(image), Image.open(image).convert('RGBA')):
        np.testing.assert_allclose(_one(inferencer.detect(other, NAMES))['bboxes'], expected, atol=1e-3)
    turned = Image.fromarray(np.rot90(array[..., ::-1], k=-1).copy())
    turned.getexif()[0x0112] = 8  # to be shown a quarter turn to the left
    np.testing.assert_allclose(_one(inferencer.detect(turned, NAMES))['bboxes'], expected, atol=1e-3)
    shutil.copytree(f'{config.data_root}/val', tmp_path / 'val')
    (tmp_path / 'val/1.png').rename(tmp_path / 'val/1.PNG')
    folder = inferencer.detect(tmp_path / 'val', NAMES, batch_size=3)['predictions']
    assert len(folder) == 4
    np.testing.assert_allclose(folder[0]['bboxes'], expected, atol=1e-3)
    assert len(inferencer.caption([image, array])['predictions']) == 2


def test_files(inferencer, config, tmp_path, image):
    found = inferencer.segment(image, NAMES, num_points=8, out_dir=str(tmp_path), no_save_pred=False)
    assert not found['visualization'], 'pictures that are in files are not kept as well'
    assert inferencer.segment(image, NAMES, out_dir=str(tmp_path), return_vis=True)['visualization'][0].shape[2] == 3
    written = json.loads((tmp_path / 'preds/1.json').read_text())
    assert written['output_format'].endswith('<y8>') and len(written['polygons'])
    assert cv2.imread(str(tmp_path / 'vis/1.png')).shape[2] == 3


def _copy_of_folders(config, folder):
    """Two folders with pictures of the same names."""
    for name in ('a', 'b'):
        shutil.copytree(f'{config.data_root}/val', folder / name)
    return [str(path) for path in sorted(folder.glob('*/*.png'))]


def test_pictures_of_one_name_overwrite_nothing(inferencer, config, tmp_path):
    paths = _copy_of_folders(config, tmp_path / 'in')
    array, out = cv2.imread(paths[0]), tmp_path / 'out'
    shutil.copy(paths[0], tmp_path / 'in/a/1.bmp')
    shutil.copy(paths[0], tmp_path / 'in/a/1')
    more = [str(tmp_path / 'in/a/1.bmp'), str(tmp_path / 'in/a/1'), array, array, paths[0]]
    inferencer.caption([*paths, *more], batch_size=4, max_words=1, out_dir=str(out), no_save_pred=False)
    found = {
        kind: sorted(str(path.relative_to(out / kind)) for path in (out / kind).rglob('*.*'))
        for kind in ('vis', 'preds')
    }
    numbers, named = ([name for name in found['vis'] if ('/' in name) == wanted] for wanted in (False, True))
    images = [*(f'{folder}/{i}.png' for folder in 'ab' for i in range(1, 5)), 'a/1.bmp', 'a/1']
    assert named == sorted(f'{name}.png' for name in images), 'else a/1.png and a/1 would be drawn into one file'
    assert len(numbers) == 2 and len(found['preds']) == len(images) + 2
    assert json.loads((out / 'preds/b/2.png.json').read_text())['img_path'] == paths[5]


def test_what_can_not_be_read_is_left_out_where_that_is_wanted(inferencer, config, tmp_path):
    paths = _copy_of_folders(config, tmp_path / 'in')
    whole = Path(paths[1]).read_bytes()
    Path(paths[1]).write_bytes(whole[: len(whole) // 2])
    half = cv2.imencode('.webp', cv2.imread(paths[0]))[1].tobytes()
    Path(paths[2]).write_bytes(half[: len(half) // 2])
    cv2.imwrite(paths[5], np.zeros((1, 500, 3), np.uint8))
    with pytest.raises(ValueError, match='2.png is truncated'):
        inferencer.detect(paths, NAMES)
    result = inferencer.detect(paths, NAMES, batch_size=3, strict=False, out_dir=str(tmp_path / 'out'))
    assert [found['img_path'] for found in result['predictions']] == [paths[i] for i in (0, 3, 4, 6, 7)]
    assert [entry['img_path'] for entry in result['skipped']] == [paths[i] for i in (1, 2, 5)]
    for entry, reason in zip(result['skipped'], ('truncated', 'can not be read', '500 x 1 px can not'), strict=True):
        assert entry['img_path'] in entry['reason'] and reason in entry['reason']
    assert len(list((tmp_path / 'out').rglob('*.png'))) == 5
    nothing = inferencer.caption(tmp_path / 'no.avi', strict=False)
    assert nothing['predictions'] == [] and len(nothing['skipped']) == 1
    assert inferencer(paths[0], strict=False)['skipped'] == []


def test_threads_draw_as_one_does(inferencer, config, tmp_path):
    paths = _copy_of_folders(config, tmp_path / 'in')[:4]

    def ask(call: int) -> list[bytes]:
        out = tmp_path / f'out{call}'
        result = inferencer.segment(
            paths[call % 4 :] + paths[: call % 4],
            ['box', 'é'],
            num_points=3,
            out_dir=str(out),
            no_save_pred=False,
            return_vis=True,
            pred_score_thr=0.0,
        )
        assert len(list((out / 'preds').iterdir())) == 4 == len(result['visualization'])
        return [path.read_bytes() for path in sorted((out / 'vis').iterdir())]

    alone = ask(0)
    with ThreadPoolExecutor(3) as pool:
        assert all(pictures == alone for pictures in pool.map(ask, range(1, 7)))


def test_the_class_set_is_that_of_all_groups(inferencer, image):
    assert _one(inferencer.detect(image, ['zebra', 'box']))['class_names'] == ['zebra', 'box']
    classes = [f'thing {i}' for i in range(150)]
    assert _one(inferencer.detect(image, classes))['class_names'] == classes
    assert _one(inferencer.ground(image, 'the box'))['class_names'] == ['the box']
    assert _one(inferencer(image))['class_names'] == NAMES and 'class_names' not in _one(inferencer.caption(image))


@pytest.mark.parametrize(
    'ask, error, message',
    [
        (lambda i, image: i(image, instruction='Find {"box": <c0>} (c, x1, y1, x2, y2)'), ValueError, '<image>'),
        (lambda i, image: i(image, instruction=3), TypeError, 'the instruction must be a string, got 3'),
        (lambda i, image: i.detect(image, 'box'), TypeError, "the string 'box': put it in a list"),
        (lambda i, image: i.detect(image, []), ValueError, 'class'),
        (lambda i, image: i.detect(image, {'box', 'disk'}), TypeError, 'put them in a list, whose order counts'),
        (lambda i, image: i.detect(image, ['\ud800']), ValueError, 'class names holds half of a character'),
        (lambda i, image: i.ground(image, 'a \ud800'), ValueError, 'half of a character'),
        (lambda i, image: i.answer(image, 'Is \ud800?'), ValueError, 'the question holds half of a character'),
        (
            lambda i, image: i.answer(image, 'Is it?', history=('\ud800', 'Is it?')),
            ValueError,
            'a turn of the history holds half of a character',
        ),
        (
            lambda i, image: i(image, instruction='<image> {"box": <c00>} (c, x1, y1, x2, y2)'),
            ValueError,
            'write <c0>',
        ),
        (lambda i, image: i.segment(image, ['box'], num_points=2), ValueError, '3 .. 24'),
        (lambda i, image: i.ground(image, ' '), ValueError, 'expression'),
        (lambda i, image: i.answer(image, ''), ValueError, 'the question is empty'),
        (lambda i, image: i.answer(image, None), TypeError, 'the question must be a string, got None'),
        (lambda i, image: i.answer(image, 'Is it?', history=(1, 'Is it?')), TypeError, 'must be a string, got 1'),
        (lambda i, image: i.keypoints(image, ['box'], 'center'), TypeError, "the string 'center': put it in a list"),
        (lambda i, image: i.answer(image, 'Is it?', history=('yes',)), ValueError, 'ends with the question asked now'),
        (
            lambda i, image: i.answer(image, 'Is it?', history=('yes', ' ')),
            ValueError,
            'a turn of the history is empty',
        ),
        (lambda i, image: i.answer(image, 'Is it?', history=('yes', '<image>?')), ValueError, 'or holds <image>'),
        (lambda i, image: i.detect('/no/such.png', ['box']), FileNotFoundError, 'no image /no/such.png'),
        (lambda i, image: i.detect(3, ['box']), TypeError, 'an image is a path'),
        (lambda i, image: i.detect(np.zeros((8, 8)), ['box']), ValueError, r'\(8, 8\) of float64'),
        (lambda i, image: i.detect(image, ['box'], batch_size=0), ValueError, 'batch_size must be at least 1, got 0'),
        (lambda i, image: i('a.mp4', texts='box', custom_entities=True), ValueError, 'a.mp4 is a video: ask it with'),
        (lambda i, image: i.detect([], ['box']), ValueError, 'there is no image in'),
        (
            lambda i, image: i.detect(np.zeros((1, 500, 3), np.uint8), ['box']),
            ValueError,
            'the image: 500 x 1 px can not',
        ),
    ],
)
def test_bad_requests_name_what_is_wrong(inferencer, image, ask, error, message):
    with pytest.raises(error, match=message):
        ask(inferencer, image)


def test_arrays_are_drawn_in_their_own_colors(inferencer, image):
    """They are BGR, as mmdet has them; what is drawn is RGB."""
    array = cv2.imread(image)
    array[:8] = (255, 0, 0)
    (drawn,) = inferencer.detect(array, ['box'], return_vis=True, pred_score_thr=1.0)['visualization']
    assert np.abs(drawn[..., ::-1].astype(int) - array).mean() < 8


def test_what_is_no_device(config, weights):
    with pytest.raises(ValueError, match="device='gpu' is none, such as 'cpu' or 'cuda:0'"):
        VisionLLMInferencer(copy.deepcopy(config), weights, device='gpu')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_no_gpu(config, weights):
    with pytest.raises(ValueError, match="device='cuda:0', but PyTorch finds no CUDA GPU here: take device='cpu'"):
        VisionLLMInferencer(copy.deepcopy(config), weights, device='cuda:0')


def test_progress_says_how_many_are_left(inferencer, config):
    batches = inferencer.preprocess(inferencer._inputs_to_list(f'{config.data_root}/val'), batch_size=3)
    assert len(batches) == len(list(batches)) == 2


def test_dollar_signs_and_other_scripts(inferencer, image):
    """No formulas for Matplotlib, and none of its warnings of letters that a font lacks."""
    result = inferencer.detect(image, ['$x_{$', 'étoile', '星'], return_vis=True, pred_score_thr=0.0)
    assert '{"$x_{$": <c0>, "étoile": <c1>, "星": <c2>}' in _one(result)['instruction']
    assert result['visualization'][0].shape == (64, 64, 3)
    assert '星はありますか' in _one(inferencer.answer(image, '星はありますか?', return_vis=True))['instruction']


def test_what_the_llm_said(inferencer, image):
    found = _one(inferencer.segment(image, ['box', 'star'], num_points=3))
    assert found['ori_shape'] == [64, 64] and found['img_path'] == image
    width = found['ori_shape'][1]
    scale = inferencer.model.vocabulary.coord_range
    for said, label, polygon in zip(found['tokens'], found['labels'], found['polygons'], strict=True):
        kind, *points = said.split()
        assert kind == f'<c{label}>' and len(points) == 6
        # Offsets are from one centre: differences between points are those of the tokens, within a window of bins.
        bins = np.array([int(token[2:-1]) for token in points]).reshape(3, 2)
        inside = np.all((np.array(polygon) > 0.5) & (np.array(polygon) < width - 0.5), axis=1)
        if inside.all():
            steps = np.diff(np.array(polygon) / width * scale, axis=0)
            np.testing.assert_allclose(np.diff(bins, axis=0), steps, atol=6)


def test_frames_of_a_video(inferencer, tmp_path, image):
    path = str(tmp_path / 'scenes.avi')
    frame = cv2.imread(image)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 5, frame.shape[1::-1])
    for _ in range(3):
        writer.write(frame)
    writer.release()
    found = inferencer.detect(path, NAMES, batch_size=2, out_dir=str(tmp_path / 'out'), no_save_pred=False)
    assert len(found['predictions']) == 3 and found['predictions'][0]['ori_shape'] == [64, 64]
    assert len(list((tmp_path / 'out/preds').iterdir())) == len(list((tmp_path / 'out/vis').iterdir())) == 3
    state_frames(Path(path), 1)
    assert len(inferencer.detect(path, NAMES, batch_size=2)['predictions']) == 3
    with pytest.raises(FileNotFoundError, match='no video'):
        inferencer.detect(str(tmp_path / 'missing.mp4'), NAMES)


def test_files_of_other_kinds(inferencer, tmp_path, image):
    array = cv2.imread(image)
    expected = _one(inferencer.detect(image, NAMES))['bboxes']
    rgb = Image.fromarray(array[..., ::-1])
    rgb.convert('RGBA').save(tmp_path / 'alpha.png')
    cv2.imwrite(str(tmp_path / 'deep.png'), array.astype(np.uint16) * 257)
    for name in ('alpha.png', 'deep.png'):
        np.testing.assert_allclose(_one(inferencer.detect(tmp_path / name, NAMES))['bboxes'], expected, atol=1e-3)
    rgb.convert('CMYK').save(tmp_path / 'print.jpg', quality=100)
    assert _one(inferencer.detect(tmp_path / 'print.jpg', NAMES))['ori_shape'] == [64, 64]
    turned = Image.fromarray(np.rot90(array[:48, :, ::-1], k=-1).copy())
    exif = turned.getexif()
    exif[0x0112] = 8
    turned.save(tmp_path / 'turned.jpg', exif=exif, quality=100)
    assert _one(inferencer.detect(tmp_path / 'turned.jpg', NAMES))['ori_shape'] == [48, 64]
    gray = Image.fromarray(np.full((8, 8), 40000, np.uint16))
    assert to_array(gray, 100)[0, 0].tolist() == [156, 156, 156]
    for value, kept in ((40000, 156), (120, 120)):  # mode I: 32 bits, for gray of 16 or of 8
        assert to_array(Image.fromarray(np.full((8, 8), value, np.int32)), 100)[0, 0].tolist() == [kept] * 3


def test_files_that_are_no_images(inferencer, tmp_path, image):
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'text.png').write_text('not a picture')
    (tmp_path / 'cut.png').write_bytes(Path(image).read_bytes()[:200])
    Image.new('1', (20000, 20000)).save(tmp_path / 'huge.png')
    for name, message in (
        ('empty.png', 'empty.png is empty'),
        ('text.png', 'text.png is not an image'),
        ('cut.png', 'cut.png is truncated'),
        ('huge.png', 'huge.png is too large'),
    ):
        with pytest.raises(ValueError, match=message):
            inferencer.detect(tmp_path / name, NAMES)
    with pytest.raises(ValueError, match='too large: 3 x 4 are more than 11 pixels'):
        to_array(np.zeros((4, 3, 3), np.uint8), 11)
