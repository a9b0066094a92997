"""Make a checkpoint of VisionLLM from public pretrained weights, and report loaded and new weights.

    python tools/convert_weights.py CONFIG --detector DEFORMABLE_DETR.pth --out work_dirs/start.pth
    python tools/train.py CONFIG --cfg-options load_from=work_dirs/start.pth

Weights that no source has are left out and start as they do without the file (docs/weights.md).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _launch import import_plugin, read_config, require_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from visionllm_mm.models import VisionLLM

NAME = 'convert_weights.py'
LLM_BASE = 'task_decoder.llm.base.'
# A constant of the model. It states the vocabulary of the file, and VisionLLM loads no checkpoint without it.
CONSTANT = 'task_decoder.vocabulary_sizes'
NO_SUCH_PART = 'the model has no such part'
# Settings in which two Hugging Face models must agree for the same weights to fit and to mean the same.
ARCHITECTURE = (
    'model_type hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size '
    'hidden_act rms_norm_eps layer_norm_eps rope_theta rope_parameters rope_scaling attention_bias mlp_bias '
    'max_position_embeddings tie_word_embeddings vocab_size'
).split()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model that the weights are for')
    parser.add_argument('--detector', metavar='PTH', help="checkpoint of mmdet's DeformableDETR")
    parser.add_argument(
        '--visionllm',
        metavar='PTH',
        help='checkpoint of a VisionLLM whose backbone, neck and image tokenizer are taken, to give them another LLM '
        'or text encoder',
    )
    parser.add_argument(
        '--backbone',
        metavar='PTH',
        help='weights of the backbone alone, or of a classifier or detector with it, such as the official files of '
        "InternImage; the detector's backbone and neck are left out then",
    )
    parser.add_argument('--text-encoder', metavar='DIR', help='Hugging Face folder of a BERT')
    parser.add_argument('--llm', metavar='DIR', help='Hugging Face folder of a LLaMA such as Alpaca')
    parser.add_argument('--out', required=True, metavar='PTH', help='checkpoint to write; a report goes beside it')
    parser.add_argument('--force', action='store_true', help='write over files of an earlier run')
    parser.add_argument('--verbose', action='store_true', help='list every tensor')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings of the config')
    return parser.parse_args()


def check_arguments(args: argparse.Namespace) -> tuple[Path, Path]:
    """The files to write; stops where a path is wrong."""
    require_file(args.config, 'config')
    for path, what in ((args.detector, 'detector'), (args.visionllm, 'VisionLLM'), (args.backbone, 'backbone')):
        if path:
            require_file(path, what)
    for path, what in ((args.text_encoder, 'text encoder'), (args.llm, 'LLM')):
        if path and not Path(path).expanduser().is_dir():
            sys.exit(f'{NAME}: {what}: no folder {path}')
    if not (args.detector or args.visionllm or args.backbone or args.text_encoder or args.llm):
        sys.exit(f'{NAME}: nothing to convert: give --detector, --visionllm, --backbone, --text-encoder or --llm')
    if args.visionllm and (args.detector or args.backbone):
        sys.exit(f'{NAME}: --visionllm brings backbone and image tokenizer: leave --detector and --backbone out')
    out = Path(args.out)
    if out.suffix != '.pth':
        sys.exit(f'{NAME}: --out has to end in .pth, got {out}')
    report = out.with_suffix('.json')
    existing = [str(path) for path in (out, report) if path.exists()]
    if existing and not args.force:
        sys.exit(f'{NAME}: {", ".join(existing)} exist: --force writes over them')
    return out, report


def read_weights(path: str) -> dict[str, Tensor]:
    """State dict of a file; code that a file may carry is refused."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from visionllm_mm.compat.safe_checkpoints import load_from_local_safely

    try:
        if path.endswith('.safetensors'):
            return load_file(Path(path).expanduser())
        content = load_from_local_safely(path, map_location='cpu')
    except (SafetensorError, EOFError) as error:
        raise ValueError(f'{path} is damaged or incomplete: {error or "it ends too early"}') from error
    for key in ('state_dict', 'model'):  # mmengine's checkpoints; those of classifiers
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    entries = content.items() if isinstance(content, dict) else ()
    # In checkpoints of DDP all names may begin with "module.".
    tensors = {name.removeprefix('module.'): value for name, value in entries if hasattr(value, 'shape')}
    if not tensors:
        raise ValueError(f'{path} holds no weights: neither a state dict nor a checkpoint with one')
    return tensors


def build_model(args: argparse.Namespace) -> VisionLLM:
    """The config's model, with the given folders instead of those that the config names."""
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    cfg = read_config(args.config, args.cfg_options)
    if cfg.model.type != 'VisionLLM':
        raise ValueError(f'{args.config} is a config of {cfg.model.type}, not of VisionLLM')
    for part, folder in (('text_encoder', args.text_encoder), ('llm', args.llm)):
        if folder and cfg.model[part].get('path') is not None:
            cfg.model[part].path = folder
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    model.cfg = cfg
    return model


def backbone_weights(path: str, model: VisionLLM):
    """Weights of the backbone from a file of a backbone, a classifier or a detector."""
    from visionllm_mm.convert.detector import ConvertedWeights

    source = read_weights(path)
    prefix = 'backbone.' if any(name.startswith('backbone.') for name in source) else ''
    own = model.backbone.state_dict()
    wrong = [
        name
        for name, value in own.items()
        if not name.endswith('num_batches_tracked')
        and (prefix + name not in source or source[prefix + name].shape != value.shape)
    ]
    if wrong:
        found = source.get(prefix + wrong[0])
        shape_in_file = 'missing' if found is None else str(tuple(found.shape))
        raise ValueError(
            f'{path} does not fit the backbone, {type(model.backbone).__name__}: {len(wrong)} of {len(own)} tensors '
            f'are missing or of another shape, first {wrong[0]}: {shape_in_file} in the file and '
            f"{tuple(own[wrong[0]].shape)} in the model. Set model.backbone of the config as the file's"
        )
    weights = {f'backbone.{name}': source[prefix + name] for name in own if prefix + name in source}
    used = {prefix + name for name in own}
    return ConvertedWeights(weights, {name: 'not of the backbone' for name in source if name not in used})


def folder_weights(kind: str, folder: str, settings: dict, module: nn.Module, prefix: str):
    """Weights of a Hugging Face folder for a part that the config builds from config=; none where it has path=.

    Args:
        kind: text_encoder or llm.
        folder: the Hugging Face folder.
        settings: the settings of the part in the config.
        module: the part of the model.
        prefix: prefix of the names of its weights.
    """
    from visionllm_mm.convert.detector import ConvertedWeights

    folder = str(Path(folder).expanduser())
    if settings.get('path') is not None:
        text = f'{folder} fits and is not copied: train with model.{kind}.path={folder}'
        return ConvertedWeights(unused=dict.fromkeys(module.unused_weights, NO_SUCH_PART), notes=[text])
    source = type(module)(path=folder)
    if source.tokenizer.get_vocab() != module.tokenizer.get_vocab():
        raise ValueError(
            f'{folder} has a tokenizer of {len(source.tokenizer)} words and the config another of '
            f'{len(module.tokenizer)}: set model.{kind}.tokenizer={folder}'
        )
    source_model, own_model = (part.encoder if kind == 'text_encoder' else part.base for part in (source, module))
    for name in ARCHITECTURE:
        values = [getattr(part.config, name, None) for part in (source_model, own_model)]
        if values[0] != values[1]:
            raise ValueError(
                f'{name} is {values[0]} in {folder} and {values[1]} in this model: set model.{kind}.config.{name}'
            )
    saved = source_model.state_dict()
    # peft moves the weights that it adapts one level deeper.
    names = {name: name.replace('.base_layer.', '.') for name in own_model.state_dict() if '.lora_' not in name}
    note = f'{kind}: with path= instead of config= the config reads the folder itself, without a copy here'
    weights = {prefix + name: saved[plain] for name, plain in names.items()}
    return ConvertedWeights(weights, dict.fromkeys(source.unused_weights, NO_SUCH_PART), [note])


def convert(args: argparse.Namespace, model: VisionLLM) -> dict[str, tuple]:
    """Option of each source -> (file, ConvertedWeights)."""
    from visionllm_mm.convert.detector import convert_detector, take_vision_parts

    parts, found = model.cfg.model, {}
    if args.detector:
        try:
            weights = convert_detector(read_weights(args.detector), model, with_backbone=not args.backbone)
        except KeyError as error:
            raise ValueError(f'{args.detector} has no {error}, which a detector of this kind has') from error
        except ValueError as error:
            raise ValueError(f'{args.detector}: {error}') from error
        found['detector'] = (args.detector, weights)
    if args.visionllm:
        try:
            weights = take_vision_parts(read_weights(args.visionllm), model)
        except ValueError as error:
            raise ValueError(f'{args.visionllm}: {error}') from error
        found['visionllm'] = (args.visionllm, weights)
    if args.backbone:
        found['backbone'] = (args.backbone, backbone_weights(args.backbone, model))
    if args.text_encoder:
        part = (parts.text_encoder, model.text_encoder, 'text_encoder.encoder.')
        found['text_encoder'] = (args.text_encoder, folder_weights('text_encoder', args.text_encoder, *part))
    if args.llm:
        part = (parts.llm, model.task_decoder.llm, LLM_BASE)
        found['llm'] = (args.llm, folder_weights('llm', args.llm, *part))
    return found


def part_of(name: str) -> str:
    return 'llm' if name.startswith('task_decoder.llm.') else name.split('.')[0]


def read_by_config(name: str, model: VisionLLM) -> str | None:
    """The file from which the config itself loads a weight, if any."""
    parts = model.cfg.model
    if name.startswith('backbone.') and (parts.backbone.get('init_cfg') or {}).get('type') == 'Pretrained':
        return parts.backbone.init_cfg.checkpoint
    if name.startswith('text_encoder.'):
        return parts.text_encoder.get('path')
    if name.startswith(LLM_BASE) and '.lora_' not in name:
        return parts.llm.get('path')
    return None


def make_report(args: argparse.Namespace, model: VisionLLM, found: dict[str, tuple]) -> dict:
    """The model's tensors that were loaded, are read by the config or are new, and the source tensors not used."""
    origin = {name: option for option, (_, converted) in found.items() for name in converted.weights}
    tensors = {}
    for name, value in model.state_dict().items():
        if name == CONSTANT or name.endswith('base_source'):
            continue
        status = 'loaded' if name in origin else 'config' if read_by_config(name, model) else 'new'
        tensors[name] = dict(
            part=part_of(name),
            status=status,
            source=origin.get(name) or read_by_config(name, model),
            parameters=value.numel(),
        )
    sources = {}
    for option, (path, converted) in found.items():
        sources[option] = dict(path=path, notes=converted.notes, unused=converted.unused)
    return dict(config=args.config, sources=sources, tensors=tensors)


def print_report(report: dict, verbose: bool) -> None:
    tensors = report['tensors'].values()
    print(f'{"part":<16}' + ''.join(f'{status:>26}' for status in ('loaded', 'read by the config', 'new')))
    for part in [*dict.fromkeys(entry['part'] for entry in tensors), 'all']:
        line = f'{part:<16}'
        for status in ('loaded', 'config', 'new'):
            counts = [e['parameters'] for e in tensors if e['status'] == status and part in (e['part'], 'all')]
            line += f'{len(counts):>8} {f"({sum(counts):,})":>17}'
        print(line)
    print('(tensors and, in brackets, numbers in them)')
    for option, source in report['sources'].items():
        for reason, count in Counter(source['unused'].values()).items():
            some = [name for name, why in source['unused'].items() if why == reason]
            print(f'--{option}: {count} tensors not used, {some[0]}{" ..." if count > 1 else ""}: {reason}')
        for note in source['notes']:
            print(f'--{option}: {note}')
    new = [name for name, entry in report['tensors'].items() if entry['status'] == 'new']
    groups = Counter('.'.join(name.split('.')[:2]) for name in new)
    print('new: ' + ', '.join(f'{group} ({count})' for group, count in groups.items()))
    if verbose:
        for name, entry in report['tensors'].items():
            print(f'{entry["status"]:<7} {name} {entry["parameters"]}' + (f' {entry["source"] or ""}').rstrip())
        for option, source in report['sources'].items():
            for name in source['unused']:
                print(f'unused  {name} of --{option}')


def main() -> None:
    args = parse_args()
    out, report_file = check_arguments(args)
    import_plugin()
    from visionllm_mm.atomic_files import write_files

    try:
        model = build_model(args)
        found = convert(args, model)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(f'{NAME}: {error}')
    own = model.state_dict()
    state = {name: value.clone() for _, converted in found.values() for name, value in converted.weights.items()}
    state[CONSTANT] = own[CONSTANT]
    if args.llm and 'task_decoder.llm.base_source' in own:
        # Names the frozen LLM: the checkpoint is refused where the config has another.
        state['task_decoder.llm.base_source'] = own['task_decoder.llm.base_source']
    report = make_report(args, model, found)
    meta = dict(converted=dict(config=args.config, sources={key: path for key, (path, _) in found.items()}))
    write_files({out: dict(meta=meta, state_dict=state), report_file: report})
    print_report(report, args.verbose)
    print(f"wrote {out}, and every tensor's name in {report_file}")


if __name__ == '__main__':
    main()
