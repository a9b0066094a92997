"""What a new user sees: clone, ``make demo``, ``make web``, a picture of their own, answers. Prints it as a transcript.

    python -m tests.helpers.first_minutes FOLDER [--picture PNG]

FOLDER is where the project is cloned to; it must not exist. ``--picture`` keeps a picture of the page.
"""

import argparse
import os
import signal
import subprocess
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests.helpers.page import ask, launch, open_page, value_of, wait_for_server
from tests.helpers.tiny import ROOT
from visionllm_mm.miniscenes.examples import make_example

ADDRESS = 'http://127.0.0.1:7860'
QUESTIONS = ('How many objects are there?', 'Is there a star?', 'What color is the ring?')


def say(text: str) -> None:
    print(text, flush=True)


def run(command: str, folder: Path) -> None:
    """Runs a command as a user does: without this process's environment of Python."""
    say(f'$ {command}')
    start = time.perf_counter()
    env = {name: value for name, value in os.environ.items() if name in ('PATH', 'HOME', 'LANG', 'PIP_CACHE_DIR')}
    env['PATH'] = ':'.join(part for part in env['PATH'].split(':') if '.venv' not in part)
    result = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    say(result.stdout.rstrip())
    say(f'[{time.perf_counter() - start:.0f} s]\n')
    if result.returncode:
        raise SystemExit(f'{command} ended with {result.returncode}')


def ask_own_picture(page: Page, picture: Path, screenshot: str | None) -> None:
    """Uploads a picture, then detects, describes and answers."""
    open_page(page, ADDRESS)
    page.locator('#picture input[type=file]').set_input_files(str(picture))
    expect(page.locator('#picture img')).to_be_visible(timeout=20_000)
    say(f'[the page is open; {picture.name} is uploaded]')
    for tab, name in (('Detect', 'detect'), ('Caption', 'caption')):
        ask(page, tab, name)
        page.wait_for_timeout(500)
        say(f'[{tab}: Ask; {value_of(page, "seconds")}]\n{value_of(page)}')
        if screenshot and name == 'detect':
            page.screenshot(path=screenshot)
    page.get_by_role('tab', name='Chat').click()
    for number, question in enumerate(QUESTIONS, start=1):
        page.locator('#question textarea, #question input').first.fill(question)
        page.keyboard.press('Enter')
        answers = page.locator('#chat [data-testid=bot]')
        expect(answers).to_have_count(number, timeout=60_000)
        say(f'[Chat] {question} {answers.last.inner_text().strip()}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='where to clone to')
    parser.add_argument('--picture', metavar='PNG', help='where to keep a picture of the page')
    args = parser.parse_args()
    run(f'git clone --quiet {ROOT} {args.folder.resolve()}', ROOT)
    run('make demo', args.folder)
    picture = args.folder.resolve() / 'own.png'
    Image.fromarray(make_example(seed=3, split='val', index=0, size=128).image).save(picture)
    say('$ make web')
    server = subprocess.Popen(
        ['make', 'web'], cwd=args.folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wait_for_server(server, ADDRESS)
        with sync_playwright() as playwright:
            browser = launch(playwright)
            ask_own_picture(browser.new_page(viewport=dict(width=1280, height=1150)), picture, args.picture)
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


if __name__ == '__main__':
    main()
