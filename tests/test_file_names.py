"""Names of files that are made of images, and of images that are missing."""

import unicodedata

import pytest

from visionllm_mm.file_names import below_common_folder, is_url, picture_names, why_missing, without_suffixes


@pytest.mark.parametrize(
    'paths, names',
    [
        ([], []),
        (['a/b/1.png'], ['1.png']),
        (['a/b/1.png', 'a/b/2.png'], ['1.png', '2.png']),
        (['a/b/1.png', 'a/c/1.png', 'a/1.png'], ['b/1.png', 'c/1.png', '1.png']),
        (['a/b/1.png', 'a/b/../b/1.png', './a/b/1.png'], ['1.png', '1.png', '1.png']),
        (['/a/b/1.png', '/c/1.png'], ['a/b/1.png', 'c/1.png']),
        (['https://host/a/1.png', 'https://host/b/1.png'], ['a/1.png', 'b/1.png']),
    ],
)
def test_names_lie_below_the_common_folder(paths, names):
    assert below_common_folder(paths) == names


def test_suffixes_are_kept_where_they_tell_files_apart():
    assert without_suffixes(['a.png', 'b/a.png']) == ['a', 'b/a']
    assert without_suffixes(['a.png', 'a.png']) == ['a', 'a']
    assert without_suffixes(['a.png', 'a.jpg', 'b.png']) == ['a.png', 'a.jpg', 'b.png']


def test_pictures_are_written_in_a_format_with_colors():
    names = ['a/1.JPG', 'a.b/1', '1.pgm', '1.gif', '1.tif', '.png', '1.tif']
    drawn = ['a/1.JPG', 'a.b/1.png', '1.pgm.png', '1.gif.png', '1.tif', '.png.png', '1.tif']
    assert picture_names(names) == drawn
    assert picture_names(['1', '1.png', '2.jpg']) == ['1.png', '1.png.png', '2.jpg.png']


def test_urls():
    assert is_url('https://host/a.png') and is_url('s3://a/b.png') and not is_url('train/http://host/a.png')


@pytest.mark.parametrize(
    'name, file, difference',
    [
        ('train\\a.png', 'train/a.png', 'backslashes instead of slashes'),
        ('train/train/a.png', 'train/a.png', 'a folder that is written twice'),
        ('train/b%20c.png', 'train/b c.png', 'codes of a URL such as %20'),
        ('train/a.png ', 'train/a.png', 'blanks at the end'),
        ('train/a.PNG', 'train/a.png', 'the case or form of letters'),
        ('train/train\\A.png', 'train/a.png', 'backslashes instead of slashes and the case or form of letters'),
        (unicodedata.normalize('NFD', 'train/é.png'), 'train/é.png', 'the case or form of letters'),
    ],
)
def test_similar_names_are_told(tmp_path, name, file, difference):
    (tmp_path / 'train').mkdir()
    for existing in ('a.png', 'b c.png', 'é.png'):
        (tmp_path / 'train' / existing).touch()
    assert why_missing(f'{tmp_path}/{name}') == f': there is {tmp_path}/{file}. The names differ by {difference}'


def test_odd_names_of_files_that_are_nowhere(tmp_path):
    assert why_missing(f'{tmp_path}/a.png') == why_missing('/no/such/a.png') == ''
    assert why_missing(f'{tmp_path}\\a%20.png') == (
        ': its name has backslashes instead of slashes and codes of a URL such as %20'
    )
    assert why_missing(f'{tmp_path}/http://host/a.png').startswith(': its name is a URL behind a folder. Download')
