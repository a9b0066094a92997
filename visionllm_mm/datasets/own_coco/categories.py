"""Checks the categories of an annotation file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...instructions import check_names, similar_names
from .report import ERROR, NOTE, Report, list_names, with_value
from .values import Ids, id_key, shorten


@dataclass
class Categories:
    """Categories of a file.

    Attributes:
        ids: numbers of all categories of the file.
        used: entries of those that are used, by number, in the order of their labels.
    """

    ids: Ids
    used: dict[int, dict] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of their labels."""
        return tuple(entry['name'] for entry in self.used.values())


def check_categories(entries: list[dict], counts: Mapping[int | str | None, int], report: Report) -> Categories:
    """Reads ids and names.

    Of several categories with one name the one with objects is used: some exporters add their project's name.

    Args:
        entries: ``categories`` of the file.
        counts: annotations of each category, by :func:`id_key`.
        report: takes what is found.
    """
    keys = [id_key(entry.get('id')) for entry in entries]
    categories = Categories(Ids(key for key in keys if key is not None))
    ids, seen = categories.ids, {}
    sizes = {}
    for key, count in counts.items():
        sizes[ids.find(key)] = sizes.get(ids.find(key), 0) + count
    for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        number = ids.find(key)
        if key is None:
            first = with_value(f'category {index} of the list', 'id', entry.get('id'))
            report.add(ERROR, 'category', 'without an id', first, 'Number them')
        elif number in seen:
            first = f'category {key}: {shorten(seen[number])} and {shorten(entry.get("name"))}'
            report.add(ERROR, 'category', 'with an id that another has', first, 'Give each an id of its own')
        else:
            seen[number] = entry.get('name')
            if _check_name(entry.get('name'), key, report):
                categories.used[number] = entry | dict(id=number)
    if not entries:
        report.add(ERROR, '', 'it lists no categories', '', 'Name at least one in "categories"')
    elif not ids.are_numbers:
        report.add(NOTE, '', 'the ids of the categories are texts: they are numbered', shorten(keys[0]))
    _check_shift(ids, keys, counts, report)
    _drop_empty_namesakes(categories, sizes, report)
    if not report.errors and (pairs := similar_names(categories.names)):
        first = f'{shorten(pairs[0][0])} and {shorten(pairs[0][1])}'
        reason = 'of class names that the model can hardly tell apart'
        report.add_many(NOTE, 'pair', reason, len(pairs), first, 'Rename or merge the categories')
    return categories


def _check_shift(ids: Ids, keys: list, counts: Mapping[int | str | None, int], report: Report) -> None:
    """Refuses annotations that count the categories from 0 where the list counts from 1, or the other way round."""
    used = sorted(key for key, count in counts.items() if count and isinstance(key, int))
    unknown, known = [key for key in used if ids.find(key) is None], set(keys)
    for offset in (-1, 1):
        if unknown and all(key - offset in known for key in used):
            first = f'category_id {unknown[0]} is unknown; ids are {shorten(keys)}'
            reason = f'its annotations name categories by ids that seem to be 1 too {"low" if offset < 0 else "high"}'
            remedy = 'Count categories and category_id from one number, or take these annotations out'
            report.add(ERROR, '', reason, first, remedy)


def _check_name(name: object, key: int | str, report: Report) -> bool:
    try:
        check_names([name], 'names')
    except (TypeError, ValueError) as error:
        first = f'{with_value(f"category {key}", "name", name)}; {str(error)[:120]}'
        report.add(ERROR, 'category', 'without a usable name', first, 'Name it in plain words')
        return False
    return True


def _drop_empty_namesakes(categories: Categories, sizes: Mapping[int | None, int], report: Report) -> None:
    of_name = {}
    for number, entry in categories.used.items():
        of_name.setdefault(entry['name'].strip(), []).append(number)
    for name, numbers in of_name.items():
        with_objects = [number for number in numbers if sizes.get(number)]
        kept = (with_objects or numbers)[0]
        first = f'{shorten(name)}: ids {", ".join(map(str, numbers[:5]))}'
        if len(with_objects) > 1:
            reason = 'of categories is listed twice, each with objects'
            report.add(ERROR, 'name', reason, first, 'Merge the categories or rename one')
        for number in set(numbers) - {kept}:
            if len(with_objects) <= 1:
                del categories.used[number]
                report.add(NOTE, 'category', 'with the name of another and without an object: dropped', first)


def match_classes(
    categories: Categories, classes: Sequence[str], counts: Mapping[int | str | None, int], report: Report
) -> Categories:
    """The categories of a data set's classes, in the order of these, whatever the order in the file.

    Args:
        categories: those of the file.
        classes: class names of the data set.
        counts: see :func:`check_categories`.
        report: takes what is found; an error where names seem to be misspelled: the file lacks classes and has
            objects of others.
    """
    by_name = {entry['name']: entry for entry in categories.used.values()}
    missing = [name for name in classes if name not in by_name]
    with_objects = {categories.ids.find(key) for key, count in counts.items() if count}
    others = [name for name, entry in by_name.items() if name not in classes and entry['id'] in with_objects]
    if missing and (others or len(missing) == len(classes)):
        reason = f'{shorten(missing)} are not in it, but its categories are {shorten(list(by_name))}'
        report.add(ERROR, '', reason, '', 'Write the names as the training data do, or set metainfo=dict(classes=...)')
        return categories
    if missing:
        report.add(NOTE, '', f'it lists no category for {list_names(missing)}: without an object', '')
    in_file = [name for name in by_name if name in classes]
    if in_file != [name for name in classes if name in by_name]:
        report.add(NOTE, '', 'its categories stand in another order than the classes: they are read by name', '')
    free = max(categories.used, default=0) + 1
    used = {}
    for name in classes:
        entry = by_name.get(name)
        if entry is None:
            entry, free = dict(id=free, name=name), free + 1
        used[entry['id']] = entry
    return Categories(categories.ids, used)
