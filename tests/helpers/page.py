"""Hands and eyes of a user of the page: what its tests and the transcript of the first minutes share."""

import re
import shutil
import subprocess
import time
import urllib.request

from playwright.sync_api import Browser, Page, Playwright, expect

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
NO_CHROMIUM = 'the page is tested in Chromium, which is not here: apt-get install chromium'


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, without a window."""
    assert CHROMIUM, NO_CHROMIUM
    return playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])


def wait_for_server(server: subprocess.Popen, address: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(address).read()
            return
        except OSError:
            assert server.poll() is None, f'the server ended with {server.returncode}'
            time.sleep(1)
    raise AssertionError(f'{address} does not answer')


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text('Ask a picture')).to_be_visible(timeout=60_000)


def ask(page: Page, tab: str, name: str) -> None:
    page.get_by_role('tab', name=tab).click()
    page.locator(f'#ask_{name}').click()
    expect(page.locator('#seconds textarea, #seconds input').first).to_have_value(re.compile(r'\d s$'), timeout=60_000)


def value_of(page: Page, name: str = 'said') -> str:
    return page.locator(f'#{name} textarea, #{name} input').first.input_value()
