"""tools/demo.py: a picture and a page for every task, with the released weights."""

import re
import runpy
import sys

from PIL import Image

from tests.helpers.tiny import ROOT

TOOL = ROOT / 'tools/demo.py'


def test_every_task_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), '--out-dir', str(tmp_path / 'demo')])
    runpy.run_path(str(TOOL), run_name='__main__')
    *lines, last = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if re.search(r'\(\d+\.\d\d s\): ', line)]
    assert len(lines) == 9 and last == f'pictures and report.html are in {tmp_path / "demo"}'
    # The released model finds something and says something.
    assert not any('nothing with a score' in line for line in lines)
    page = (tmp_path / 'demo/report.html').read_text()
    assert page.count('<section>') == 9 and '{&quot;star&quot;: &lt;c0&gt;' in page and '"star": <c0>' not in page
    for name in re.findall(r'src="(.+?)"', page):
        assert Image.open(tmp_path / 'demo' / name).width == 512
