"""The page's questions, asked as its browser asks them but without one."""

import json
import re
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.helpers.scenes import NAMES, make_coco_folder, save_untrained, small_config
from visionllm_mm.apis import VisionLLMInferencer
from visionllm_mm.apis.web_page import _SharedInferencer, build_page


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_coco_folder(tmp_path_factory.mktemp('coco'))


@pytest.fixture(scope='module')
def inferencer(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp('run')
    with pytest.MonkeyPatch.context() as patch:
        config = small_config(patch, folder, run)
    save_untrained(config, run / 'random.pth')
    return VisionLLMInferencer(config, str(run / 'random.pth'), device='cpu', show_progress=False, max_pixels=10_000)


@pytest.fixture(scope='module')
def page(inferencer, tmp_path_factory):
    page = build_page(inferencer, NAMES, ('center', 'top'), tmp_path_factory.mktemp('page'), note='knows <b>boxes</b>')
    page.queue().launch(server_name='127.0.0.1', prevent_thread_lock=True, quiet=True, max_file_size='1mb')
    yield page
    page.close()


@pytest.fixture(scope='module')
def client(page):
    return Client(page.local_url, verbose=False)


@pytest.fixture(scope='module')
def image(folder):
    return handle_file(str(folder / 'val/1.png'))


def test_every_task(client, image):
    for name, inputs, output_format in (
        ('detect', (['box', 'star'],), '<cls> <x1> <y1> <x2> <y2>'),
        ('segment', (['box'], 3), '<cls> <x1> <y1> <x2> <y2> <x3> <y3>'),
        ('ground', ('the box on the left',), '<cls> <x1> <y1> <x2> <y2>'),
        ('keypoints', (['box'], ['top']), '<cls> <x1> <y1>'),
        ('caption', (3,), '<bos>'),
        (
            'instruction',
            ('Find {"ring": <c0>} in <image>: (c, x1, y1, x2, y2), range 64',),
            '<cls> <x1> <y1> <x2> <y2>',
        ),
    ):
        picture, instruction, read, said, seconds, file = client.predict(image, 0.0, *inputs, api_name=f'/{name}')
        assert read == output_format and '<image>' in instruction and re.fullmatch(r'\d+\.\d\d s', seconds)
        answer = json.loads(Path(file['value'] if isinstance(file, dict) else file).read_text())
        assert answer['output_format'] == read and 'img_path' not in answer
        if read == '<bos>':
            assert answer['text'] == said
        else:
            assert re.match(r'.+, \d\.\d\d:  <c[01]> <p', said)
        assert Path(picture).is_file()


def test_the_note_is_shown_as_plain_text(page):
    shown = [part['props']['value'] for part in page.get_config_file()['components'] if part['type'] == 'html']
    assert len(shown) == 1 and 'knows &lt;b&gt;boxes&lt;/b&gt;</p>' in shown[0]


def test_messages_instead_of_stack_traces(client, image, folder, tmp_path):
    (tmp_path / 'text.png').write_text('no picture')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'film.mp4').write_bytes((folder / 'val/1.png').read_bytes()[:64])
    Image.new('1', (200, 200)).save(tmp_path / 'large.png')
    files = [
        ((handle_file(str(tmp_path / name)), 0.3, ['box']), 'detect', message)
        for name, message in (
            ('text.png', 'not an image'),
            ('empty.png', 'has 0 bytes'),
            ('film.mp4', 'not an image'),
            ('large.png', '200 x 200 are more than 10000 pixels'),
        )
    ]
    for inputs, name, message in (
        ((None, 0.3, ['box']), 'detect', 'Choose or upload a picture'),
        ((image, 0.3, []), 'detect', 'class'),
        ((image, 0.3, ['<b>x</b>', '<b>x</b>']), 'detect', '&lt;b&gt;x&lt;/b&gt;'),
        ((image, 0.3, ''), 'instruction', 'instruction'),
        *files,
    ):
        with pytest.raises(AppError, match=re.escape(message)) as caught:
            client.predict(*inputs, api_name=f'/{name}')
        assert 'Traceback' not in str(caught.value) and '/' not in str(caught.value).replace('&lt;/b', '')
    assert client.predict(image, 0.3, ['box'], api_name='/detect')


def test_pictures_of_other_kinds_and_many_classes(client, folder, tmp_path):
    """Transparent ones, such for print, gray ones of 16 bits, and such that are shown turned."""
    picture = Image.open(folder / 'val/1.png').convert('RGB')
    turned = picture.getexif()
    turned[0x0112] = 8
    picture.convert('RGBA').save(tmp_path / 'alpha.png')
    picture.convert('CMYK').save(tmp_path / 'print.jpg')
    picture.crop((0, 0, 64, 48)).save(tmp_path / 'turned.jpg', exif=turned)
    Image.fromarray(np.full((64, 64), 40000, np.uint16)).save(tmp_path / 'deep.png')
    for name, size in (
        ('alpha.png', (64, 64)),
        ('print.jpg', (64, 64)),
        ('turned.jpg', (48, 64)),
        ('deep.png', (64, 64)),
    ):
        drawn, *_ = client.predict(handle_file(str(tmp_path / name)), 0.3, ['box'], api_name='/detect')
        assert Image.open(drawn).size == size, name
    many = client.predict(
        handle_file(str(tmp_path / 'alpha.png')), 0.0, [f'thing {i}' for i in range(600)], api_name='/detect'
    )
    assert re.match(r'thing \d+, \d\.\d\d:  <c', many[3])


def test_old_answers_are_deleted(inferencer, folder, tmp_path, monkeypatch):
    monkeypatch.setattr('visionllm_mm.apis.web_page._MAX_ANSWERS', 2)
    desk = _SharedInferencer(inferencer, tmp_path)
    for _ in range(4):
        desk.answer(str(folder / 'val/1.png'), lambda path, **kwargs: inferencer.detect(path, ['box'], **kwargs), 0.3)
    assert len(list(tmp_path.rglob('answer.json'))) == 2


def test_other_files_of_the_server_are_not_read(page):
    """As a program would ask that does not upload a file, but names one."""
    url = f'{page.local_url}gradio_api/call/detect'
    other = dict(path='/usr/share/picture.png', meta=dict(_type='gradio.FileData'))
    body = json.dumps(dict(data=[other, 0.3, ['box']])).encode()
    request = urllib.request.Request(url, body, {'Content-Type': 'application/json'})
    event = json.loads(urllib.request.urlopen(request).read())['event_id']
    said = urllib.request.urlopen(f'{url}/{event}').read().decode()
    assert 'event: error' in said and 'no image' not in said  # it was not looked for


def test_a_conversation(client, image):
    chat, empty = client.predict(image, 'Is there a box?', [], api_name='/chat')
    assert empty == '' and [turn['role'] for turn in chat] == ['user', 'assistant']
    longer, _ = client.predict(image, 'What color is it?', chat, api_name='/chat')
    assert len(longer) == 4
    nothing = [chat[0], chat[1] | dict(content=[dict(type='text', text='(no answer)')])]
    after, _ = client.predict(image, 'What color is it?', nothing, api_name='/chat')
    again, _ = client.predict(image, 'What color is it?', [], api_name='/chat')
    assert after[-1] == again[-1], 'what was not answered is no part of the conversation'


def test_ten_at_once_get_their_own_answers(page, tmp_path):
    asked = {f'thing {i}': 40 + i for i in range(10)}
    found = {}
    for name, width in asked.items():
        Image.new('RGB', (width, 40)).save(tmp_path / f'{name}.png')

    def ask(name):
        picture = handle_file(str(tmp_path / f'{name}.png'))
        found[name] = Client(page.local_url, verbose=False).predict(picture, 0.0, [name], api_name='/detect')

    threads = [threading.Thread(target=ask, args=(name,)) for name in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, width in asked.items():
        assert Image.open(found[name][0]).size == (width, 40)
        assert f'{{"{name}": <c0>}}' in found[name][1]
        assert set(re.findall(r'thing \d', found[name][3])) == {name}
