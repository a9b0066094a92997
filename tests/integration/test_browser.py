"""The page in a real browser: Debian's Chromium (`apt-get install chromium`), without a window.

``PAGE_PICTURES=docs/images python -m pytest -m slow tests/integration/test_browser.py`` makes those of docs/web.md.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.helpers.page import CHROMIUM, NO_CHROMIUM, ask, launch, open_page, value_of, wait_for_server
from tests.helpers.tiny import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)]
PORT = 7917


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """The page of tools/web_demo.py with the released weights, in a process of its own."""
    log = tmp_path_factory.mktemp('page') / 'log.txt'
    with log.open('w') as out:
        process = subprocess.Popen(
            [sys.executable, 'tools/web_demo.py', '--port', str(PORT), '--max-mb', '1'],
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )
        address = f'http://127.0.0.1:{PORT}'
        wait_for_server(process, address)
        yield address
        # Whatever was asked, the server is still there.
        assert process.poll() is None, log.read_text()
        process.terminate()
        process.wait(20)
    assert 'Traceback' not in log.read_text(), log.read_text()


@pytest.fixture(scope='module')
def browser():
    with sync_playwright() as playwright:
        yield launch(playwright)


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport=dict(width=1280, height=900))
    open_page(page, address)
    yield page
    page.close()


def _choose_example(page, number=1):
    page.get_by_role('button', name='scene').or_(page.locator('.gallery button, table img')).nth(number).click()
    expect(page.locator('#picture img')).to_be_visible(timeout=60_000)


def _write(page, text):
    """Into the field for own words, which the page fills in anew while it still opens the tab."""
    page.get_by_role('tab', name='Instruction').click()
    field = page.locator('#own textarea')
    for _ in range(30):
        field.fill(text)
        page.wait_for_timeout(1000)
        if field.input_value() == text:
            return
    raise AssertionError(f'the page does not keep {text!r}')


def _picture(page, name):
    """A picture of the page, where they are wanted."""
    if 'PAGE_PICTURES' in os.environ:
        page.wait_for_timeout(1000)  # what was just asked for is faint at first
        page.screenshot(path=f'{os.environ["PAGE_PICTURES"]}/page_{name}.png', full_page=True)


def test_the_page_opens_soon(browser, address):
    """``-s`` prints how soon: with an empty cache, from the address to a page that can be used."""
    seconds = []
    for _ in range(5):
        context = browser.new_context()
        page = context.new_page()
        start = time.perf_counter()
        open_page(page, address)
        seconds.append(time.perf_counter() - start)
        context.close()
    print(f'the page opens in {sorted(seconds)[2]:.1f} s (median of five)')
    assert max(seconds) < 30


@pytest.mark.parametrize(
    'tab, name, example, says',
    [
        ('Detect', 'detect', 1, '<c'),
        ('Segment', 'segment', 1, '<c'),
        ('Ground', 'ground', 5, '<c0> <p'),
        ('Keypoints', 'keypoints', 1, '<c'),
        ('Caption', 'caption', 1, 'a '),
        ('Instruction', 'instruction', 2, '<c1> <p'),
    ],
)
def test_each_task(page, tab, name, example, says):
    expect(page.locator('#note')).to_contain_text('rendered shapes only')
    _choose_example(page, example)
    ask(page, tab, name)
    assert says in value_of(page)
    assert value_of(page, 'format') == '<bos>' if name == 'caption' else value_of(page, 'format').startswith('<cls>')
    expect(page.locator('#drawn img')).to_be_visible()
    _picture(page, name)
    with page.expect_download() as download:
        page.locator('#json').click()
    assert '"output_format"' in Path(download.value.path()).read_text()


def test_upload_and_chat(page, tmp_path):
    from visionllm_mm.miniscenes.examples import make_example

    Image.fromarray(make_example(seed=3, split='val', index=0, size=128).image).save(tmp_path / 'own.png')
    page.locator('#picture input[type=file]').set_input_files(str(tmp_path / 'own.png'))
    expect(page.locator('#picture img')).to_be_visible(timeout=20_000)
    page.get_by_role('tab', name='Chat').click()
    for number, question in enumerate(('How many objects are there?', 'Is there a star?'), start=1):
        page.locator('#question textarea, #question input').first.fill(question)
        page.keyboard.press('Enter')
        expect(page.locator('#chat [data-testid=bot]')).to_have_count(number, timeout=60_000)
    _picture(page, 'chat')
    # What was said is about the picture before.
    page.locator('#picture').get_by_role('button', name=re.compile('Clear|Remove')).first.click()
    expect(page.locator('#chat [data-testid=bot]')).to_have_count(0, timeout=20_000)


def test_ten_users_at_once_get_their_own_answers(browser, address):
    contexts = [browser.new_context() for _ in range(10)]
    pages = [context.new_page() for context in contexts]
    for number, page in enumerate(pages):
        open_page(page, address)
        _choose_example(page, number % 8)
        _write(page, f'Boxes of {{"thing {number}": <c0>}} in <image>, as (c, x1, y1, x2, y2), range 64.')
    for page in pages:
        page.locator('#ask_instruction').click(no_wait_after=True)
    for number, page in enumerate(pages):
        expect(page.locator('#instruction textarea')).to_have_value(re.compile(f'"thing {number}"'), timeout=120_000)
    for context in contexts:
        context.close()


def test_bad_files_and_markup_are_messages(page, address, tmp_path):
    (tmp_path / 'text.png').write_text('this is no picture')
    page.locator('#picture input[type=file]').set_input_files(str(tmp_path / 'text.png'))
    page.get_by_role('tab', name='Detect').click()
    page.wait_for_timeout(2000)
    page.locator('#ask_detect').click()
    message = page.locator('.toast-body')
    expect(message.first).to_contain_text('text.png is not an image', timeout=30_000)
    open_page(page, address)
    _choose_example(page)
    _write(page, '<img src=x onerror="document.title=1"> {"<b>x</b>": <c0>}')
    page.locator('#ask_instruction').click()
    expect(page.locator('.toast-body').first).to_be_visible(timeout=30_000)
    assert page.locator('.toast-body img[src=x], .toast-body b').count() == 0
    assert page.title() == 'VisionLLM'


def test_pictures_that_are_too_large_are_messages(page, address, tmp_path):
    Image.new('1', (20_000, 20_000)).save(tmp_path / 'huge.png')  # 49 KB
    Image.effect_noise((1200, 1200), 100).save(tmp_path / 'heavy.png')
    assert (tmp_path / 'heavy.png').stat().st_size > 1e6  # more than the server's --max-mb
    upload = page.locator('#picture input[type=file]')
    upload.set_input_files(str(tmp_path / 'huge.png'))
    page.get_by_role('tab', name='Detect').click()
    page.wait_for_timeout(2000)
    page.locator('#ask_detect').click()
    expect(page.locator('.toast-body').first).to_contain_text('huge.png is too large: at most', timeout=30_000)
    open_page(page, address)
    upload.set_input_files(str(tmp_path / 'heavy.png'))
    expect(page.locator('.toast-body').first).to_contain_text('size', timeout=30_000)
    _choose_example(page)
    ask(page, 'Detect', 'detect')


def test_nothing_is_cut_off_in_a_narrow_window(browser, address):
    page = browser.new_page(viewport=dict(width=900, height=700))
    open_page(page, address)
    _choose_example(page)
    for tab in ('Detect', 'Segment', 'Ground', 'Keypoints', 'Caption', 'Instruction', 'Chat'):
        page.get_by_role('tab', name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate('document.documentElement.scrollWidth') <= 900, tab
    ask(page, 'Segment', 'segment')
    right = page.locator('#said').bounding_box()
    assert 0 <= right['x'] and right['x'] + right['width'] <= 900
    page.close()
