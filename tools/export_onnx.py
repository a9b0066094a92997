"""Exports backbone, neck and image tokenizer to ONNX.

    python tools/export_onnx.py --out work_dirs/tokenizer.onnx

Inputs: image (1, 3, H, W), normalized as the config's data_preprocessor does; language (1, T, text width) and
language_padding (1, T; True = padding), the output of the text encoder, which is computed once per instruction, padded
with zeros to T. H, W and T are fixed by --size and --words. Outputs, of the last decoder layer:
embeddings (1, M, D), centers and sizes (1, M, 2) in [0, 1], objectness (1, M) logits. The LLM, whose keys and values
grow while it answers, stays in PyTorch.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from types import SimpleNamespace

from _launch import import_plugin, parse_with_model

OUTPUTS = ('embeddings', 'centers', 'objectness', 'sizes')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='work_dirs/tokenizer.onnx', help='file to write')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(128, 128), metavar=('H', 'W'), help='of the image, px (default: 128 128)'
    )
    parser.add_argument(
        '--words', type=int, default=64, help='T, the largest number of tokens of an instruction (default: 64)'
    )
    return parse_with_model(parser, device=False)


def fill_up(language, padding, words: int):
    """Language features (1, L, width) and their padding mask (1, L), padded to T tokens."""
    import torch
    from torch.nn import functional as F

    missing = words - language.shape[1]
    if missing < 0:
        raise ValueError(f'the instruction has {language.shape[1]} tokens, more than the {words} of the exported model')
    more = torch.ones(1, missing, dtype=torch.bool)
    return F.pad(language.detach(), (0, 0, 0, missing)), torch.cat([padding, more], dim=1)


def as_module(model, size: tuple[int, int]):
    """Backbone, neck and image tokenizer of a model as a module of tensors alone, for images without padding."""
    from torch import nn

    class ImageTokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.neck, self.tokenizer = model.backbone, model.neck, model.image_tokenizer

        def forward(self, image, language, language_padding):
            samples = [
                SimpleNamespace(
                    metainfo=dict(batch_input_shape=size, img_shape=size), batch_input_shape=size, img_shape=size
                )
                for _ in range(image.shape[0])
            ]
            tokens = self.tokenizer(self.neck(self.backbone(image)), language, language_padding, samples)
            outputs = (tokens.embeddings[-1], tokens.centers_norm[-1], tokens.objectness[-1])
            return outputs if tokens.sizes_norm is None else (*outputs, tokens.sizes_norm[-1])

    return ImageTokens().eval()


def main() -> None:
    args = parse_args()
    import_plugin()
    import torch
    from mmdet.apis import init_detector

    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise SystemExit("export_onnx.py: it needs onnx: pip install 'visionllm-mmdet[onnx]'") from error
    model = init_detector(args.config, args.weights, device='cpu', cfg_options={})
    size = tuple(args.size)
    language, padding = fill_up(*model.text_encoder(['Find every star in the picture']), args.words)
    outputs = list(OUTPUTS if model.image_tokenizer.as_two_stage else OUTPUTS[:-1])
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # tracing warns of constants, which are right: sizes are fixed
        # The exporter that is based on torch.export fails on mmcv's deformable attention.
        torch.onnx.export(
            as_module(model, size),
            (torch.zeros(1, 3, *size), language, padding),
            args.out,
            dynamo=False,
            opset_version=17,
            input_names=['image', 'language', 'language_padding'],
            output_names=outputs,
        )
    print(f'{args.out}: {Path(args.out).stat().st_size / 2**20:.1f} MB')


if __name__ == '__main__':
    main()
