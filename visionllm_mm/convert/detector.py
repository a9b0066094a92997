"""Vision parts from other models: mmdet's DeformableDETR under the names of VisionLLM (paper, section 4.1: the image
tokenizer of stage 1 starts from a pretrained Deformable DETR), and another VisionLLM."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..models.image_tokenizer import LanguageGuidedImageTokenizer
from ..models.visionllm import VisionLLM

TOKENIZER = 'image_tokenizer.'
HEAD_LAYERS = (0, 2, 4)  # the linear layers of a box head and of mmdet's regression branch

REASONS = {
    'bbox_head.cls_branches': 'predicts a class; an image token predicts whether its object is asked for',
    'bbox_head.reg_branches': 'of the proposals, which read transformed features there and plain ones here',
    'memory_trans': 'transforms features for the proposals, which read plain ones here',
    'pos_trans': 'makes the queries from proposals in another way',
    'query_embedding': "the model's queries start at proposals and not at learned points",
    'reference_points_fc': "the model's queries start at proposals and not at learned points",
    'backbone': 'the backbone is taken from another file',
    'neck': 'belongs to a backbone that is not taken',
    'data_preprocessor': 'the config has the normalization of images',
}


@dataclass
class ConvertedWeights:
    """What another model's checkpoint gives.

    Attributes:
        weights: by the names of VisionLLM.
        unused: names of the source whose weights are not used, with the reason.
        notes: what to know about weights that were taken over.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert_detector(source: Mapping[str, Tensor], model: VisionLLM, with_backbone: bool = True) -> ConvertedWeights:
    """Weights of a DeformableDETR for a model.

    Args:
        source: state dict of mmdet's DeformableDETR (3.x), with or without box refinement, of one or two stages.
        model: the model that they are for; it is not changed.
        with_backbone: whether backbone and neck are taken, too.

    Raises:
        ValueError: when there is no DeformableDETR in the source, or one of other sizes; the message names both
            numbers and the setting of the config.
    """
    _check_kind(source)
    _check_sizes(source, model.image_tokenizer)
    result, used = ConvertedWeights(), set()
    own = model.state_dict()
    for prefix in ('level_embed', 'encoder.', 'decoder.'):
        _copy(source, own, prefix, TOKENIZER, result, used)
    if with_backbone:
        for part in ('backbone.', 'neck.'):
            _copy(source, own, part, '', result, used)
    _convert_queries(source, model.image_tokenizer, result, used)
    _convert_box_heads(source, model.image_tokenizer, result, used)
    result.unused = {name: _reason(name) for name in source if name not in used}
    result.notes += _notes_on_geometry(source, model.image_tokenizer)
    return result


def take_vision_parts(source: Mapping[str, Tensor], model: VisionLLM) -> ConvertedWeights:
    """Backbone, neck and image tokenizer of a VisionLLM for a model with another LLM or text encoder.

    Args:
        source: state dict of a VisionLLM.
        model: the model that they are for; it is not changed.

    Raises:
        ValueError: when the source is no VisionLLM, or when its vision parts have other sizes.
    """
    parts = ('backbone.', 'neck.', TOKENIZER)
    if not all(any(name.startswith(part) for name in source) for part in parts):
        raise ValueError(
            f'the checkpoint holds no VisionLLM: it has the parts {sorted({name.split(".")[0] for name in source})}'
        )
    own, result = model.state_dict(), ConvertedWeights()
    for name in [*own, *(name for name in source if name not in own)]:
        there, here = source.get(name), own.get(name)
        shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (there, here)]
        if not name.startswith(parts):
            if there is not None:
                result.unused[name] = 'no vision part'
        elif shapes[0] == shapes[1]:
            result.weights[name] = there
        elif name.startswith(f'{TOKENIZER}text_projection.') and there is not None:
            result.unused[name] = 'reads a text encoder of another width'
        else:
            found = ['missing' if shape is None else str(shape) for shape in shapes]
            raise ValueError(
                f'{name} is {found[0]} in the checkpoint and {found[1]} in this model: set model.'
                f'{name.split(".")[0]} of the config as it was when the checkpoint was made'
            )
    return result


def _check_kind(source: Mapping[str, Tensor]) -> None:
    if any(name.startswith('bbox_head.transformer.') for name in source):
        raise ValueError(
            'the checkpoint has the names of mmdet 2.x (bbox_head.transformer...): take the one of mmdet '
            "3.x's model zoo"
        )
    needed = (
        'level_embed',
        'encoder.layers.0.self_attn.sampling_offsets.weight',
        'decoder.layers.0.cross_attn.sampling_offsets.weight',
        'bbox_head.reg_branches.0.0.weight',
    )
    missing = [name for name in needed if name not in source]
    queries = [name for name in ('query_embedding.weight', 'pos_trans_fc.weight') if name in source]
    if missing or len(queries) != 1 or any(name.startswith('decoder.ref_point_head') for name in source):
        parts = sorted({name.split('.')[0] for name in source})
        lacks = f', without {", ".join(missing)}' if missing else ', as of a later relative such as DINO'
        raise ValueError(f'the checkpoint holds no DeformableDETR of mmdet 3.x: it has the parts {parts}{lacks}')
    if 'bbox_head.reg_branches.0.4.weight' not in source or 'bbox_head.reg_branches.0.6.weight' in source:
        raise ValueError(
            'the detector has other than 2 hidden layers in its regression branches '
            '(bbox_head.num_reg_fcs); the box heads of the image tokenizer have 2'
        )


def _num_layers(names: Mapping[str, Tensor], part: str) -> int:
    start = f'{part}.layers.'
    return len({name.removeprefix(start).split('.')[0] for name in names if name.startswith(start)})


def _check_sizes(source: Mapping[str, Tensor], tokenizer: LanguageGuidedImageTokenizer) -> None:
    own = tokenizer.state_dict()
    if source['level_embed'].ndim != 2:
        raise ValueError(f"the detector's level_embed has {source['level_embed'].ndim} dimensions instead of 2")
    sizes = [
        ('the width', source['level_embed'].shape[1], tokenizer.embed_dims, 'embed_dims'),
        ('the number of feature levels', *(len(x['level_embed']) for x in (source, own)), 'num_feature_levels'),
    ]
    for part, attention in (('encoder', 'self_attn'), ('decoder', 'cross_attn')):
        offsets, hidden = f'{part}.layers.0.{attention}.sampling_offsets.bias', f'{part}.layers.0.ffn.layers.0.0.bias'
        sizes += [
            (f'the number of {part} layers', *(_num_layers(x, part) for x in (source, own)), f'{part}.num_layers'),
            (
                f'the hidden width of the {part}',
                *(len(x[hidden]) for x in (source, own)),
                f'{part}.layer_cfg.ffn_cfg.feedforward_channels',
            ),
            (
                f'heads x sampling points of the {part}',
                *(len(x[offsets]) // (2 * len(x['level_embed'])) for x in (source, own)),
                f'{part}.layer_cfg.{attention}_cfg.num_heads, num_points',
            ),
        ]
    for what, there, here, key in sizes:
        if there != here:
            setting = key if key == 'embed_dims' else f'model.image_tokenizer.{key}'
            raise ValueError(
                f'{what} is {there} in the detector and {here} in this model: set {setting} of the '
                "config as the detector's, or take another detector"
            )


def _copy(
    source: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    prefix: str,
    start: str,
    result: ConvertedWeights,
    used: set[str],
) -> None:
    """Takes a part over whose names and shapes are the same on both sides; all of it has to be there."""
    for name, value in own.items():
        if not name.startswith(start + prefix):
            continue
        there = source.get(name.removeprefix(start))
        if there is None and name.endswith('num_batches_tracked'):
            continue
        if there is None or there.shape != value.shape:
            found = 'missing' if there is None else str(tuple(there.shape))
            part = f'{start}{prefix}'.strip('.')
            raise ValueError(
                f'{name} is {found} in the detector and {tuple(value.shape)} in this model: set model.{part} of the '
                "config as the detector's"
                + (
                    ', or give weights of the backbone of their own with --backbone; the '
                    "detector's backbone and neck are left out then"
                    if not start
                    else ''
                )
            )
        result.weights[name] = there
        used.add(name.removeprefix(start))


def _convert_queries(
    source: Mapping[str, Tensor], tokenizer: LanguageGuidedImageTokenizer, result: ConvertedWeights, used: set[str]
) -> None:
    """Contents of the queries and, where the model learns them, too, their positions.

    mmdet keeps position and content of a query in one row. Queries are in no order and no data is at hand to tell
    which find more, so a model of fewer tokens takes the first ones.
    """
    queries, count = source.get('query_embedding.weight'), tokenizer.num_tokens
    if queries is None:
        return
    position, content = queries.chunk(2, dim=1)
    if tokenizer.as_two_stage:
        rows = torch.arange(count) % len(queries)
    elif count <= len(queries):
        rows = torch.arange(count)
        result.weights[f'{TOKENIZER}query_position.weight'] = position[rows]
        for name in ('reference_points_fc.weight', 'reference_points_fc.bias'):
            result.weights[TOKENIZER + name] = source[name]
            used.add(name)
    else:
        raise ValueError(
            f'the detector has {len(queries)} queries and this model {count} image tokens at learned '
            f'points: set model.image_tokenizer.num_tokens={len(queries)} or less'
        )
    result.weights[f'{TOKENIZER}query_embedding.weight'] = content[rows]
    used.add('query_embedding.weight')
    if tokenizer.as_two_stage:
        result.notes.append('of the queries the contents alone are taken: the boxes come from proposals')
    if len(queries) != count:
        took = f'the first {count} are taken' if count < len(queries) else 'they are repeated'
        result.notes.append(f'the detector has {len(queries)} queries, this model {count} image tokens: {took}')


def _is_refined(source: Mapping[str, Tensor], layers: int) -> bool:
    """Whether each decoder layer has a regression branch of its own; without box refinement they share one."""
    start = 'bbox_head.reg_branches.'
    first = {name: value for name, value in source.items() if name.startswith(f'{start}0.')}
    return any(
        not torch.equal(value, source[name.replace(f'{start}0.', f'{start}{i}.', 1)])
        for name, value in first.items()
        for i in range(1, layers)
    )


def _convert_box_heads(
    source: Mapping[str, Tensor], tokenizer: LanguageGuidedImageTokenizer, result: ConvertedWeights, used: set[str]
) -> None:
    """Regression branches to box heads.

    Rows are cx, cy, w, h. Sizes are taken where both sides predict them relative to a size; a detector's first layer
    without proposals predicts them from nothing. A detector without box refinement has one branch that starts from the
    first point in each layer: here it becomes the last layer's, and the points stay where they are until then, so
    that the decoder looks where it looked before.
    """
    layers, two_stage = tokenizer.decoder.num_layers, 'pos_trans_fc.weight' in source
    refined = _is_refined(source, layers)
    for i in range(layers):
        relative = two_stage or (refined and i > 0)
        rows = 4 if tokenizer.as_two_stage and relative else 2
        for j in HEAD_LAYERS:
            for kind in ('weight', 'bias'):
                name = f'bbox_head.reg_branches.{i}.{j}.{kind}'
                used.add(name)
                value = source[name]
                if j == HEAD_LAYERS[-1]:
                    if not refined and i < layers - 1:
                        continue
                    value = torch.cat([value[:rows], torch.zeros_like(value[rows : tokenizer.box_dims])])
                result.weights[f'{TOKENIZER}place_heads.{i}.{j}.{kind}'] = value
    if not refined and layers > 1:
        result.notes.append(
            'the detector was trained without box refinement: its regression branch becomes the last '
            'box head, and the earlier ones move nothing at first'
        )
    if tokenizer.as_two_stage and not two_stage:
        part = 'the first layer' if refined else 'the last layer'
        result.notes.append(
            f"{part}'s branch predicts sizes from nothing: centers alone are taken, sizes start unchanged"
        )


def _notes_on_geometry(source: Mapping[str, Tensor], tokenizer: LanguageGuidedImageTokenizer) -> list[str]:
    """Where the decoder looks depends on whether its reference is a point or a box."""
    layers, two_stage = tokenizer.decoder.num_layers, 'pos_trans_fc.weight' in source
    refined = _is_refined(source, layers)
    boxes = [two_stage or (refined and i > 0) for i in range(layers)]
    other = [i for i in range(layers) if boxes[i] != tokenizer.as_two_stage]
    if not other:
        return []
    units = 'points, as learned from boxes' if not tokenizer.as_two_stage else 'boxes, as learned from points'
    return [
        f'decoder layers {", ".join(map(str, other))} take sampling offsets around {units} by the detector: their '
        'unit is another (cells of the feature map around points, parts of the box around boxes), so their '
        'states are not those of the detector at first'
    ]


def _reason(name: str) -> str:
    return next(
        (reason for start, reason in REASONS.items() if name.startswith(start)), 'nothing in the model has this name'
    )
