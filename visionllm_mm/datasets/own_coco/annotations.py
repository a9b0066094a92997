"""Checks the annotations of an annotation file: what they refer to, boxes, outlines, flags."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .boxes import RawBox, are_outside, are_relative, limit_box, other_form, overlap, read_box
from .categories import Categories
from .images import Images
from .outlines import Outline, read_outline, unknown_outline
from .report import ERROR, LEFT_OUT, NOTE, Report, with_value
from .values import Ids, as_flag, as_number, id_key

_LEAST_OVERLAP = 0.3
"""An outline whose own box overlaps less with the box is that of another object, or has other coordinates."""


@dataclass
class Candidate:
    """An annotation whose image and category are known.

    Attributes:
        entry: as it stands in the file.
        subject: how messages name it.
        image: number of its image.
        category: number of its category.
        box: its box as it stands in the file.
        crowd: whether it is marked as a crowd.
    """

    entry: dict
    subject: str
    image: int
    category: int
    box: RawBox
    crowd: bool


@dataclass
class AnnotationCheck:
    """Turns the annotations of a file into those that are used.

    Args:
        images: the images of the file.
        categories: the categories that are used.
        dropped: numbers of the file's categories that the classes of the data set leave out on purpose.
        report: takes what is found.
        with_masks: whether outlines are wanted.
    """

    images: Images
    categories: Categories
    dropped: set[int]
    report: Report
    with_masks: bool = False
    used: list[dict] = field(default_factory=list)
    first_of: dict[tuple, str] = field(default_factory=dict)

    def run(self, entries: list[dict]) -> list[dict]:
        """The annotations that are used, numbered from 1 on: pycocotools takes what matches number 0 for unmatched.

        Args:
            entries: ``annotations`` of the file.
        """
        self._check_ids(entries)
        found = [self._read(index, entry) for index, entry in enumerate(entries)]
        candidates = [candidate for candidate in found if candidate is not None]
        self._check_all_boxes(candidates)
        only_crowds = bool(candidates) and all(candidate.crowd for candidate in candidates)
        if only_crowds:
            # CVAT writes every mask that was painted with a brush as a crowd.
            reason = 'marked as crowd, as all others: read as single objects'
            self.report.add_many(NOTE, 'annotation', reason, len(candidates), candidates[0].subject)
        for candidate in candidates:
            candidate.crowd &= not only_crowds
            annotation = self._check(candidate)
            if annotation is not None:
                self.used.append(annotation | dict(id=len(self.used) + 1))
        self._summarize(entries)
        return self.used

    def _check_ids(self, entries: list[dict]) -> None:
        seen = Counter()
        for index, entry in enumerate(entries):
            key = id_key(entry.get('id'))
            if key is None:
                first = with_value(f'annotation {index} of the list', 'id', entry.get('id'))
                self.report.add(NOTE, 'annotation', 'without a usable id: numbered', first)
                continue
            seen[key] += 1
            if seen[key] > 1:
                remedy = 'Give every annotation an id of its own; files that were joined have ids twice'
                self.report.add(ERROR, 'annotation', 'with an id that another has', f'annotation {key}', remedy)

    def _read(self, index: int, entry: dict) -> Candidate | None:
        key = id_key(entry.get('id'))
        subject = f'annotation {index} of the list' if key is None else f'annotation {key}'
        image = self._refer(entry, 'image_id', self.images.ids, subject)
        if image is None:
            return None
        if image not in self.images.used:
            self.report.add(LEFT_OUT, 'annotation', 'of images that are left out', subject)
            return None
        category = self._refer(entry, 'category_id', self.categories.ids, subject)
        if category is None:
            return None
        if category not in self.categories.used:
            reason = (
                'of categories that the classes do not name' if category in self.dropped else 'of a refused category'
            )
            self.report.add(LEFT_OUT, 'annotation', reason, with_value(subject, 'category_id', entry['category_id']))
            return None
        path = self.images.paths[image]
        if as_flag(entry.get('ignore')) is not False:
            first = with_value(subject, 'ignore', entry['ignore'])
            self._add(LEFT_OUT, 'marked with "ignore"', first, path, read_box(entry.get('bbox')))
            return None
        if (mode := entry.get('bbox_mode')) is not None and as_number(mode) != 1:
            first, remedy = with_value(subject, 'bbox_mode', mode), 'Write bbox as [x, y, width, height] in px'
            self._add(
                LEFT_OUT, "with another bbox_mode than 1, Detectron2's for x, y, width, height", first, remedy=remedy
            )
            return None
        crowd = as_flag(entry.get('iscrowd'))
        if crowd is None:
            first = with_value(subject, 'iscrowd', entry['iscrowd'])
            self._add(NOTE, 'with another iscrowd than 0 or 1: read as 0', first, path)
        return Candidate(entry, subject, image, category, read_box(entry.get('bbox')), bool(crowd))

    def _refer(self, entry: dict, name: str, ids: Ids, subject: str) -> int | None:
        """The number of the image or category that an annotation names."""
        what, value = name.removesuffix('_id'), entry.get(name)
        key, number = id_key(value), ids.find(id_key(value))
        if key is None:
            reason, remedy = f'without {"an image" if what == "image" else "a category"}', f'Write {name}'
            self.report.add(LEFT_OUT, 'annotation', reason, with_value(subject, name, value), remedy)
        elif number is None:
            remedy = 'Add it to the file, or correct the id'
            self.report.add(LEFT_OUT, 'annotation', f'of an unknown {what}', with_value(subject, name, value), remedy)
        elif isinstance(value, str) and ids.are_numbers:
            first = with_value(subject, name, value)
            self.report.add(NOTE, 'annotation', f'with {name} as text: read as a number', first)
        return number

    def _check_all_boxes(self, candidates: list[Candidate]) -> None:
        """Refuses boxes in another form than x, y, width, height in px, which single boxes do not show."""
        known = [candidate for candidate in candidates if candidate.box.values is not None]
        boxes = [candidate.box.values for candidate in known]
        sizes = [(image['width'], image['height']) for image in (self.images.used[each.image] for each in known)]
        if are_relative(boxes):
            reason = f'the {len(known)} boxes have relative coordinates: most of their values lie between 0 and 1'
            remedy = 'Multiply x and width by the width of the image, y and height by its height'
        elif form := other_form(boxes, sizes):
            reason = f'{len(known)} boxes read like {form}: as x, y, width, height many reach beyond their images'
            remedy = 'Write bbox as x and y of the top-left corner, width and height, in px'
        elif are_outside(boxes, sizes):
            reason = f'many of its {len(known)} boxes lie outside of their images: they seem to be of larger pictures'
            remedy = 'Scale the boxes to the pictures, or take the pictures that were annotated'
            outside = [box[0] >= size[0] or box[1] >= size[1] for box, size in zip(boxes, sizes, strict=True)]
            known = known[outside.index(True) :]
        else:
            return
        self.report.add(ERROR, '', reason, with_value(known[0].subject, 'bbox', known[0].entry['bbox']), remedy)

    def _check(self, candidate: Candidate) -> dict | None:
        """The annotation as it is used; None: it is left out."""
        image, entry = self.images.used[candidate.image], candidate.entry
        path, (width, height) = self.images.paths[candidate.image], (image['width'], image['height'])
        outline = Outline()
        if self.with_masks or candidate.box.is_missing:
            outline = read_outline(entry.get('segmentation'), height, width)
        box = self._check_box(candidate, outline, path, width, height)
        if box is None:
            return None
        if outline.segmentation and overlap(box, outline.box(height, width)) < _LEAST_OVERLAP:
            outline = Outline(problem='whose outline lies elsewhere than its box')
        annotation = {key: value for key, value in entry.items() if key not in ('segmentation', 'ignore')}
        annotation |= dict(image_id=candidate.image, category_id=candidate.category, bbox=list(box))
        annotation['iscrowd'] = int(candidate.crowd)
        annotation['area'] = self._check_area(candidate, box, outline, height, width)
        self._note_oddities(candidate, box, path)
        if self.with_masks:
            annotation['segmentation'] = outline.segmentation or unknown_outline(box, height, width)
            if outline.segmentation is None:
                first = with_value(candidate.subject, 'segmentation', entry.get('segmentation'))
                self._add(NOTE, f'{outline.problem}: box kept, outline unknown', first, path, candidate.box)
            elif outline.problem:
                self._add(NOTE, f'{outline.problem}: this part is left out', candidate.subject, path, candidate.box)
        return annotation

    def _note_oddities(self, candidate: Candidate, box: tuple[float, ...], path: Path) -> None:
        """Notes what is used as it stands, and may be wrong."""
        attributes = candidate.entry.get('attributes')
        rotation = as_number(attributes.get('rotation')) if isinstance(attributes, dict) else None
        if rotation and rotation % 360:
            first = with_value(candidate.subject, 'rotation', rotation)
            reason, remedy = 'with a rotation: its box is used as if upright', 'Write the box around the turned object'
            self._add(NOTE, reason, first, path, RawBox(box), remedy)
        same = self.first_of.setdefault((candidate.image, candidate.category, box), candidate.subject)
        if same != candidate.subject:
            first = f'{candidate.subject}: as {same}'
            self._add(NOTE, 'with image, category and box of another', first, path, RawBox(box), 'Take out repetitions')

    def _check_box(
        self, candidate: Candidate, outline: Outline, path: Path, width: int, height: int
    ) -> tuple[float, ...] | None:
        raw, bbox = candidate.box, candidate.entry.get('bbox')
        first = with_value(candidate.subject, 'bbox', bbox)
        values = raw.values
        if raw.is_missing and outline.segmentation is not None:
            values = outline.box(height, width)
            self._add(NOTE, 'without a bbox: made of the outline', candidate.subject, path, RawBox(values))
        elif raw.is_missing:
            self._add(LEFT_OUT, 'without a bbox', first, path, remedy='Write bbox as [x, y, width, height] in px')
            return None
        elif raw.problem:
            self._add(LEFT_OUT, raw.problem, first, path, remedy='Write bbox as [x, y, width, height] in px')
            return None
        if raw.was_text:
            self._add(NOTE, 'with a bbox of texts: read as numbers', first, path)
        box, problem, beyond = limit_box(values, width, height)
        if problem:
            first += f', image {width} x {height}'
            self._add(LEFT_OUT, problem, first, path, raw, 'Boxes are [x, y, width, height] in px of the file')
            return None
        if beyond > 1:
            first += f', image {width} x {height}'
            self._add(NOTE, 'whose box reaches beyond the image: cut off there', first, path, raw)
        return box

    def _check_area(
        self, candidate: Candidate, box: tuple[float, ...], outline: Outline, height: int, width: int
    ) -> float:
        value = candidate.entry.get('area')
        area = as_number(value)
        _, _, w, h = candidate.box.values or box
        if area is not None and 1 <= area <= (w + 1) * (h + 1):
            return area
        if value is not None:
            first = with_value(candidate.subject, 'area', value)
            self._add(NOTE, 'with a bad area: computed', first)
        return outline.area(height, width) if outline.segmentation else box[2] * box[3]

    def _summarize(self, entries: list[dict]) -> None:
        objects = [annotation for annotation in self.used if not annotation['iscrowd']]
        self.report.num_boxes = len(objects)
        present = {annotation['category_id'] for annotation in objects}
        self.report.unused = [entry['name'] for key, entry in self.categories.used.items() if key not in present]
        if crowds := len(self.used) - len(objects):
            reason = 'marked as crowd: not trained on, ignored in evaluation'
            remedy = 'Set iscrowd to 0 where it is a single object, as in masks that CVAT exports'
            self.report.add_many(NOTE, 'annotation', reason, crowds, '', remedy)
        if not objects and not self.report.errors:
            self.report.add_nothing_left('annotation', len(entries))
        elif objects and self.with_masks and all(_is_unknown(annotation) for annotation in objects):
            remedy = 'Write segmentation as polygons or RLE, or take a config of boxes'
            self.report.add(ERROR, '', f'none of its {len(objects)} objects has an outline', '', remedy)

    def _add(
        self,
        level: str,
        reason: str,
        first: str,
        path: Path | None = None,
        box: RawBox | None = None,
        remedy: str = '',
    ) -> None:
        values = box.values if box is not None else None
        self.report.add(level, 'annotation', reason, first, remedy, path=path, box=values)


def _is_unknown(annotation: dict) -> bool:
    return isinstance(annotation['segmentation'], dict) and 'unknown' in annotation['segmentation']
