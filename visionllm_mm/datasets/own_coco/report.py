"""What the check of an annotation file found: one line per reason, with a count and the first case."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .values import shorten

ERROR, LEFT_OUT, NOTE = 'error', 'left out', 'note'
_PLURALS = dict(box='boxes', category='categories', entry='entries')


def count_of(count: int, kind: str) -> str:
    """``1 image``, ``2 images``."""
    return f'{count} {kind}' if count == 1 else f'{count} {_PLURALS.get(kind, kind + "s")}'


def list_names(names: Sequence[str]) -> str:
    """The first names of a list, in one line."""
    shown = ', '.join(name[:40] if name.isprintable() else shorten(name) for name in names[:10])
    return f'{shown}, and {len(names) - 10} more' if len(names) > 10 else shown


@dataclass
class Finding:
    """All entries with one fault.

    Attributes:
        level: ``error``: the file is refused; ``left out``: these entries are; ``note``: they are used.
        kind: what is counted, such as ``annotation``.
        reason: the fault, as it follows the kind: ``of an unknown category``.
        first: the first entry and its value.
        remedy: what to do; may be empty.
        count: how many entries have the fault.
    """

    level: str
    kind: str
    reason: str
    first: str
    remedy: str = ''
    count: int = 1

    @property
    def title(self) -> str:
        """Count and fault: ``7 annotations of an unknown category``."""
        return f'{count_of(self.count, self.kind)} {self.reason}' if self.kind else self.reason

    def __str__(self) -> str:
        parts = [self.title]
        if self.first:
            parts.append(f' ({"first: " if self.count > 1 else ""}{self.first})')
        return ''.join(parts) + (f'. {self.remedy}' if self.remedy else '')


@dataclass
class Doubt:
    """An annotation or image to look at.

    Attributes:
        text: what is wrong with it.
        box: (x, y, width, height) in px of the image file; None: it has none that can be drawn.
    """

    text: str
    box: Sequence[float] | None = None


@dataclass
class Report:
    """What of an annotation file is used, repaired, left out and refused.

    Attributes:
        file: the annotation file.
        num_images: images that are used.
        num_boxes: objects that are used, crowds not counted.
        unused: names of the categories without an object.
        findings: what was found, by level, kind and reason, in the order of appearance.
        doubts: what to look at, by the path of the picture.
    """

    file: str
    num_images: int = 0
    num_boxes: int = 0
    unused: list[str] = field(default_factory=list)
    findings: dict[tuple, Finding] = field(default_factory=dict)
    doubts: dict[Path, list[Doubt]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self,
        level: str,
        kind: str,
        reason: str,
        first: str = '',
        remedy: str = '',
        *,
        path: Path | None = None,
        box: Sequence[float] | None = None,
    ) -> None:
        """Counts an entry with a fault.

        Args:
            level: see :class:`Finding`.
            kind: see :class:`Finding`.
            reason: see :class:`Finding`.
            first: the entry and its value; the first of each reason is shown.
            remedy: see :class:`Finding`.
            path: the picture, where looking at it helps.
            box: see :class:`Doubt`.
        """
        finding = self.findings.setdefault((level, kind, reason), Finding(level, kind, reason, first, remedy, 0))
        finding.count += 1
        if path is not None:
            self.doubts[path].append(Doubt(f'{level}: {first or kind}, {reason}', box))

    def add_many(self, level: str, kind: str, reason: str, count: int, first: str = '', remedy: str = '') -> None:
        """Counts several entries with one fault at once; see :meth:`add`."""
        self.findings[level, kind, reason] = Finding(level, kind, reason, first, remedy, count)

    def add_nothing_left(self, kind: str, count: int) -> None:
        """Refuses the file, because none of its entries of a kind can be used.

        Args:
            kind: see :class:`Finding`.
            count: how many there are.
        """
        left_out = [finding for finding in self.of(LEFT_OUT) if finding.kind == kind]
        if not count or not left_out:
            self.add(ERROR, '', f'it has no {kind}s')
        else:
            most = max(left_out, key=lambda finding: finding.count)
            self.add(ERROR, '', f'none of its {count_of(count, kind)} can be used: {most}')

    def of(self, level: str) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings.values() if finding.level == level]

    @property
    def errors(self) -> list[Finding]:
        """Why the file is refused; empty: it is not."""
        return self.of(ERROR)

    def summary(self) -> str:
        """One line: what is used, and how much is not."""
        if self.errors:
            return f'{self.file}: refused: {count_of(len(self.errors), "error")}'
        parts = [f'{count_of(self.num_images, "image")}, {count_of(self.num_boxes, "box")} used']
        if left_out := self.of(LEFT_OUT):
            parts.append('left out: ' + ', '.join(finding.title for finding in left_out))
        if self.unused:
            without = count_of(len(self.unused), 'category')
            parts.append(f'{without} without an object: {list_names(self.unused)}')
        return f'{self.file}: ' + '; '.join(parts)

    def lines(self) -> list[str]:
        """The summary, then one line per reason: errors first."""
        return [
            self.summary(),
            *(f'  {level}: {finding}' for level in (ERROR, LEFT_OUT, NOTE) for finding in self.of(level)),
        ]

    def stop_on_errors(self) -> None:
        """Refuses a file with errors.

        Raises:
            ValueError: names the file, the first error and how many there are.
        """
        if self.errors:
            more = len(self.errors) - 1
            hint = f' ({count_of(more, "more error")}: tools/check_dataset.py lists all)' if more else ''
            raise ValueError(f'{self.file}: {self.errors[0]}{hint}')


def with_value(subject: str, key: str, value: object) -> str:
    """``annotation 12: bbox [3, 4, 0, 5]``, for ``first`` of a finding."""
    return f'{subject}: {key} {shorten(value)}'
