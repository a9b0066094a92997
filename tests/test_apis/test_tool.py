"""The tools of a chat program, registered and called as InternGPT's ConversationBot does it."""

from pathlib import Path

import cv2
import pytest

from tests.helpers.scenes import make_coco_folder, save_untrained, small_config
from visionllm_mm.apis import tool as tool_module
from visionllm_mm.apis.tool import VisionLLMTool


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_coco_folder(tmp_path_factory.mktemp('coco'))


@pytest.fixture(scope='module')
def tool(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp('run')
    with pytest.MonkeyPatch.context() as patch:
        config = small_config(patch, folder, run)
    config.dump(str(run / 'config.py'))
    save_untrained(config, run / 'random.pth')
    return VisionLLMTool(
        device='cpu',
        config=str(run / 'config.py'),
        weights=str(run / 'random.pth'),
        out_dir=str(run / 'image'),
        score_thr=0.0,
    )


@pytest.fixture(scope='module')
def tools(tool):
    """Name -> function, collected the way InternGPT fills its list of tools."""
    found = {}
    for attribute in dir(tool):
        if attribute.startswith('inference'):
            method = getattr(tool, attribute)
            # A bot without the attribute, or one that does not have three words of help, can't choose a tool.
            if callable(method):
                assert len(method.description.split()) > 3
                found[method.name] = method
    return found


def test_all_tools_are_found(tools):
    assert len(tools) == 6


def test_is_built_as_interngpt_builds_it(folder, tmp_path, monkeypatch):
    """By name and device out of "--load VisionLLMTool_cpu", with nothing else: the released model."""
    monkeypatch.chdir(tmp_path)
    name, device = 'VisionLLMTool_cpu'.split('_')
    bot = {name: getattr(tool_module, name)(device=device)}
    assert Path(bot[name].inference_detect(f'{folder}/val/1.png, star')).parent.name == 'image'
    assert bot[name].inference_answer(f'{folder}/val/1.png, Is there a star?') in ('yes', 'no')


def test_each_tool_takes_a_string_and_returns_text_or_a_picture(tools, folder):
    image = f'{folder}/val/1.png'
    for name, request in (
        ('Detect Objects In The Image', 'boxes, the star and ring'),
        ('Segment Objects In The Image', 'box'),
        (
            'Follow A Vision Instruction',
            'Boxes of {"box": <c0>, "star": <c1>} in <image>, as (c, x1, y1, x2, y2), range 64',
        ),
    ):
        assert cv2.imread(tools[name](f'{image}, {request}')).shape == (64, 64, 3)
    box = tools['Locate What Is Described'](f'{image}, the largest box')
    assert len([int(value) for value in box.split(', ')]) == 4
    for name, request in (('Describe The Image', image), ('Answer A Question About The Image', f'{image}, is it red?')):
        assert isinstance(tools[name](request), str)


def test_pictures_have_names_that_interngpt_reads(tool, folder):
    first, second = (tool.inference_detect(f'{folder}/val/{k}.png, star') for k in (1, 2))
    names = [Path(path).name.split('_') for path in (first, second)]
    assert [len(name[0]) for name in names] == [6, 6] and int(names[0][0][3:]) < int(names[1][0][3:])
    assert [name[1:] for name in names] == [['1', 'detect.png'], ['2', 'detect.png']]


def test_strange_paths_give_plain_names(tool, folder, tmp_path):
    path = tmp_path / 'my holiday.2 (1).png'
    path.write_bytes((folder / 'val/1.png').read_bytes())
    assert Path(tool.inference_detect(f'{path}, star')).name.endswith('_myholiday21_detect.png')


def test_paths_with_commas(tool, folder, tmp_path):
    path = tmp_path / 'a, b.png'
    path.write_bytes((folder / 'val/1.png').read_bytes())
    assert cv2.imread(tool.inference_detect(f'{path}, star')).shape == (64, 64, 3)


def test_long_instructions(tool, folder):
    text = 'Please look closely. ' * 30 + 'Boxes of {"box": <c0>} in <image>, as (c, x1, y1, x2, y2), range 64'
    assert cv2.imread(tool.inference_instruction(f'{folder}/val/1.png, {text}')).shape == (64, 64, 3)


def test_what_can_not_be_done_is_said(tool, folder, tmp_path):
    image = f'{folder}/val/1.png'
    assert 'could not be done: no image nothing.png' in tool.inference_caption('nothing.png')
    assert 'name what to look for' in tool.inference_detect(image)
    (tmp_path / 'film.mp4').write_bytes(b'frames')
    assert 'film.mp4 is not an image' in tool.inference_detect(f'{tmp_path}/film.mp4, star')
    assert 'the question is empty' in tool.inference_answer(image)
    assert '<image>' in tool.inference_instruction(f'{image}, find stars')


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='VisionLLMTool: there is no .*none.pth: give config= and weights='):
        VisionLLMTool(weights=str(tmp_path / 'none.pth'))
