"""Configs and checkpoints of earlier checkouts: refused with one line that states what to change."""

from collections.abc import Iterable, Mapping

OPTIONS = {
    'task_decoder': 'hints, token_projector and added_tokens',
    'denoising': "auxiliary=dict(denoising=dict(type='Denoising', ...))",
    'image_tokenizer.proposals': 'image_tokenizer.as_two_stage',
    'image_tokenizer.query_selection': 'image_tokenizer.as_two_stage',
    'image_tokenizer.refine_sizes': 'image_tokenizer.as_two_stage',
    'criterion.proposal_assigner': "auxiliary=dict(proposals=dict(type='ProposalLoss', assigner=...))",
    'criterion.loss_outline': "auxiliary=dict(polygons=dict(type='QueryPolygonLoss', loss=...))",
    'criterion.loss_asked': "auxiliary=dict(phrases=dict(type='PhraseLoss', ...))",
    'criterion.loss_format': "auxiliary=dict(formats=dict(type='FormatLoss', ...))",
    'test_cfg.words': 'test_cfg.text',
}
"""Option of VisionLLM, with that of a part behind a dot -> what took its place."""

TYPES = {
    'AddOutlines': 'AddPolygons',
    'AskedObjectsLoss': 'PhraseLoss',
    'DescriptionWarmupHook': 'SimulatedTokensWarmupHook',
    'DrawQuestions': 'RandomQuestions',
    'DrawRelation': 'RandomRelation',
    'ReportFailuresHook': 'TolerantValLoop and TolerantTestLoop, types of val_cfg and test_cfg',
    'ScrambleWording': 'ScrambleInstruction',
    'WordLoss': 'TextLoss',
}
"""Registered name -> what took its place."""

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


def old_types(config: object) -> list[str]:
    """Registered names of earlier checkouts in a config, at any depth, each with what took its place."""
    found = []
    if isinstance(config, Mapping):
        name = config.get('type')
        found = [f'{name} is now {TYPES[name]}'] if isinstance(name, str) and name in TYPES else []
        config = list(config.values())
    if isinstance(config, list | tuple):
        found += [line for part in config for line in old_types(part)]
    return list(dict.fromkeys(found))


def refuse_old_options(unknown: Mapping, **parts: Mapping | None) -> None:
    """Refuses options that VisionLLM does not have.

    Args:
        unknown: options that its constructor does not know.
        parts: options of its parts, of which those of earlier checkouts are refused.

    Raises:
        TypeError: with what took the place of the options.
    """
    options = [*unknown, *(f'{part}.{name}' for part, inside in parts.items() for name in inside or ())]
    known = [f'{name} is now {OPTIONS[name]}' for name in options if name in OPTIONS]
    if known:
        raise TypeError(
            f'the config is of an earlier checkout: in model, {"; ".join(known)} (CHANGELOG.md has all names)'
        )
    if unknown:
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
