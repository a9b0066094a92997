"""Checks the outer form of an annotation file, and names the formats that are no COCO."""

from .report import ERROR, Report
from .values import shorten

LISTS = ('images', 'annotations', 'categories')
# Keys by which other formats are known -> their names and how to convert them.
_OF_DICTS = (
    (
        {'shapes', 'imagePath'},
        'a file of LabelMe, one per picture: convert them all with its labelme2coco.py',
    ),
    ({'_via_img_metadata'}, 'a project of VIA: take its menu Annotation, Export Annotations (COCO format)'),
    ({'items', 'categories'}, 'a file of Datumaro: export it as COCO'),
    ({'questions', 'annotations'}, 'a file of questions'),
)
_OF_ENTRIES = (
    ({'image_id', 'score'}, 'a file of predictions: name the file of annotations'),
    ({'data', 'annotations'}, 'an export of Label Studio: export it as COCO'),
    ({'image', 'annotations'}, 'a file of CreateML: convert it to COCO format'),
    ({'regions', 'filename'}, 'a file of VIA: take its menu Annotation, Export Annotations (COCO format)'),
    ({'image', 'conversations'}, 'a file of conversations'),
    ({'shapes'}, 'a list of files of LabelMe: convert them with its labelme2coco.py'),
)


def check_layout(content: object, report: Report) -> dict[str, list[dict]] | None:
    """The lists ``images``, ``annotations`` and ``categories`` of a file, with their entries that are objects.

    Args:
        content: the parsed JSON.
        report: takes what is found.

    Returns:
        None where the file has another form.
    """
    if not isinstance(content, dict) or not set(LISTS) <= content.keys():
        report.add(ERROR, '', f'it is no COCO-format annotation file: {_name_format(content)}', '', '')
        return None
    lists = {}
    for name in LISTS:
        entries = content[name]
        if not isinstance(entries, list):
            first = f'{name}: {shorten(entries)}'
            report.add(ERROR, '', f'"{name}" is no list', first, 'COCO format has a list of objects there')
            return None
        lists[name] = [entry for entry in entries if isinstance(entry, dict)]
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                first, remedy = f'number {index}: {shorten(entry)}', 'Write an object {...} or take it out'
                report.add(ERROR, 'entry', f'of "{name}" is no object', first, remedy)
    return lists


def _name_format(content: object) -> str:
    entries = content if isinstance(content, list) else list(content.values()) if isinstance(content, dict) else []
    first = next((entry for entry in entries if isinstance(entry, dict)), {})
    for keys, description in _OF_DICTS:
        if isinstance(content, dict) and keys <= content.keys():
            return description
    for keys, description in _OF_ENTRIES:
        if keys <= first.keys():
            return description
    if isinstance(content, dict):
        missing = ' and '.join(f'"{name}"' for name in LISTS if name not in content)
        return f'it lacks {missing}; its keys are {shorten(list(content))}'
    return f'at its top is a {type(content).__name__}, not an object with "images", "annotations", "categories"'
