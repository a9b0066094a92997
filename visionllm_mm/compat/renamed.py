"""Configs and checkpoints of earlier checkouts: refused with one line that states what to change."""

from collections.abc import Iterable

OPTIONS = {
    'task_decoder': 'hints, token_projector and added_tokens',
    'denoising': "auxiliary=dict(denoising=dict(type='Denoising', ...))",
}
"""Option of VisionLLM -> what took its place."""

WEIGHTS = {
    'task_decoder.asked_words.': 'task_decoder.hints.phrases.',
    'task_decoder.point_places.outline.': 'task_decoder.hints.point_places.polygon.',
    'task_decoder.point_places.': 'task_decoder.hints.point_places.',
    'task_decoder.projector.objectness': 'task_decoder.hints.objectness',
}
"""Beginning of a name in a checkpoint -> what took its place; the first that fits counts."""


def rename_weight(name: str) -> str:
    """The name of today for a weight of an earlier checkout."""
    for old, new in WEIGHTS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def refuse_old_options(options: Iterable[str]) -> None:
    """Raises a TypeError for options that VisionLLM does not have."""
    known = [f'{name} is now {OPTIONS[name]}' for name in options if name in OPTIONS]
    if known:
        raise TypeError(
            f'the config is of an earlier checkout: in model, {"; ".join(known)} (CHANGELOG.md has all names)'
        )
    if unknown := list(options):
        raise TypeError(f'VisionLLM has no option {", ".join(unknown)}')


def refuse_old_weights(names: Iterable[str]) -> None:
    """Raises a ValueError where a checkpoint has weights under names of earlier checkouts."""
    old = [name for name in names if rename_weight(name) != name]
    if old:
        raise ValueError(
            f'the checkpoint is of an earlier checkout: {len(old)} weights have other names now, the first is '
            f'{old[0]}, now {rename_weight(old[0])}. Rename them with `python tools/publish_weights.py '
            'CHECKPOINT NEW.pth`'
        )
