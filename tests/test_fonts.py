"""Letters of any script are drawn by a font that has them, or named."""

import shutil

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from visionllm_mm import fonts
from visionllm_mm.visualization import InstructionVisualizer, write_below


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No letter is known yet, and the system has no fonts beside Matplotlib's."""
    monkeypatch.setattr(fonts, '_font_of', {})
    monkeypatch.setattr(fonts, '_named_packages', set())
    monkeypatch.setattr(fonts, '_system_fonts', lambda: ())
    lines = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, *args: lines.append(text))
    return lines


@pytest.fixture
def font_of_stars(tmp_path, monkeypatch):
    """A system with a font for one Chinese letter, a filled square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(['.notdef', 'star'])
    builder.setupCharacterMap({ord('星'): 'star'})
    builder.setupGlyf({'.notdef': TTGlyphPen(None).glyph(), 'star': pen.glyph()})
    builder.setupHorizontalMetrics({'.notdef': (900, 0), 'star': (900, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(dict(familyName='Star Test', styleName='Regular'))
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / 'StarTest-Regular.ttf'
    builder.save(path)
    known = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(fonts, '_system_fonts', lambda: (str(tmp_path / 'broken.ttf'), str(path)))
    (tmp_path / 'broken.ttf').write_bytes(b'no font')
    yield str(path)
    font_manager.fontManager.ttflist[:] = known


def _label(text):
    visualizer = InstructionVisualizer(name='fonts', vis_backends=[])
    visualizer.set_image(np.full((60, 200, 3), 255, np.uint8))
    visualizer.draw_texts(text, np.array([10, 10]), 20, colors='k')
    return visualizer.get_image()


def test_accents_and_many_scripts_need_no_other_font(fresh):
    text = 'élancé čeština ж ελ نجمة 😀'
    assert fonts.drawable(text) == text and fonts.families(text) == ['sans-serif'] and not fresh
    assert {letters for letters, _ in fonts.runs('élancé', 12)} == {'élancé'}
    assert fonts.drawable('e\u0301') == 'é'


def test_letters_without_a_font_are_named_once(fresh):
    assert fonts.drawable('星 star 한') == '□ star □'
    assert fresh == [
        'no font here has 星 (U+661F) 한 (U+D55C): such letters are drawn as □. Install a font that has them; in '
        'Debian and Ubuntu: apt install fonts-noto-cjk'
    ]
    assert fonts.drawable('星字') == '□□' and len(fresh) == 1, 'once for the fonts of one package'
    fonts.drawable('字' + ''.join(map(chr, range(0x0E01, 0x0E20))))
    assert len(fresh) == 2 and fresh[1].endswith('apt install fonts-noto-core')
    assert fresh[1].count('U+') == 8 and ' ...: such letters' in fresh[1]
    assert fonts.drawable('a\u200b\u3000b\x07') in ('a\u200b b', 'a b') and len(fresh) == 2


@pytest.mark.parametrize('draw', [_label, lambda text: write_below(np.full((9, 200, 3), 255, np.uint8), [text])])
def test_letters_are_taken_from_another_font(fresh, font_of_stars, draw):
    drawn = draw('a星b')
    assert not fresh and fonts.families('a星b') == ['sans-serif', 'Star Test']
    assert [letters for letters, _ in fonts.runs('a星b', 12)] == ['a', '星', 'b']
    square, box = (draw(text) < 100 for text in ('星', '□'))
    assert square.sum() > 1.5 * box.sum(), 'a filled square, and no outline of one'
    assert (drawn < 100).sum() > square.sum()


def test_matplotlib_knows_fonts_that_were_installed_after_its_list_was_made(font_of_stars):
    assert font_of_stars not in {entry.fname for entry in font_manager.fontManager.ttflist}
    fonts.drawable('星')
    fonts.families('星')
    assert font_of_stars in {entry.fname for entry in font_manager.fontManager.ttflist}


def test_system_fonts_are_found(tmp_path, monkeypatch):
    monkeypatch.undo()
    for name in ('B-Bold.ttf', 'A-Regular.ttf', 'NotoColorEmoji-Regular.ttf', 'LastResort.ttf'):
        shutil.copy(f'{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf', tmp_path / name)
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [str(path) for path in tmp_path.iterdir()])
    fonts._system_fonts.cache_clear()
    names = [path.rpartition('/')[2] for path in fonts._system_fonts()]
    fonts._system_fonts.cache_clear()
    assert names == ['A-Regular.ttf', 'B-Bold.ttf']
