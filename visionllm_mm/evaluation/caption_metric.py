"""BLEU and CIDEr of captions, by pycocoevalcap (paper, table 2)."""

import contextlib
import io
import logging
import re
import shutil
from collections.abc import Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log


def tokenize_simply(text: str) -> str:
    """Words and numbers in lower case, in any script; for most captions the same as COCO's PTB tokenizer."""
    return ' '.join(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower()))


@METRICS.register_module()
class CaptionMetric(BaseMetric):
    """BLEU-1 .. BLEU-4 and CIDEr of ``pred_text`` against all captions in ``gt_caption``.

    Unlike mmdet's COCOCaptionMetric it also works without Java. The names of its results state the tokenizer where it
    is not COCO's: ``CIDEr`` with Java, ``CIDEr (simple tokenizer)`` without. Images without a reference caption are
    left out, and the log states how many.

    Args:
        tokenizer: ``ptb`` (COCO's; needs Java), ``simple``, or ``auto``: ptb where there is Java.
        kwargs: see mmengine's BaseMetric.

    Raises:
        RuntimeError: for ``ptb`` without Java.
        ValueError: for an unknown tokenizer, or when no image has a reference caption.
    """

    default_prefix = 'caption'

    def __init__(self, tokenizer: str = 'auto', **kwargs) -> None:
        super().__init__(**kwargs)
        has_java = shutil.which('java') is not None
        if tokenizer not in ('auto', 'ptb', 'simple'):
            raise ValueError(f"tokenizer must be 'auto', 'ptb' or 'simple', got {tokenizer!r}")
        if tokenizer == 'ptb' and not has_java:
            raise RuntimeError(
                "COCO's tokenizer needs Java, which is not on the PATH: install a Java runtime, or set "
                "tokenizer='simple' (the names of its results state it)"
            )
        self.tokenizer = 'ptb' if has_java and tokenizer == 'auto' else tokenizer.replace('auto', 'simple')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            captions = [text for text in sample.get('gt_caption', ()) if text.strip()]
            self.results.append((sample['pred_text'], captions))

    def compute_metrics(self, results: list) -> dict[str, float]:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider

        known = [result for result in results if result[1]]
        if not known:
            raise ValueError(f'none of {len(results)} images has a caption to compare with')
        if len(known) < len(results):
            print_log(
                f'{len(results) - len(known)} of {len(results)} images have no caption to compare with and are '
                'left out',
                logger='current',
                level=logging.WARNING,
            )
        results = known
        # By position: several questions may be about one image.
        predictions = self._tokenize({i: [text] for i, (text, _) in enumerate(results)})
        captions = self._tokenize({i: texts for i, (_, texts) in enumerate(results)})
        with contextlib.redirect_stdout(io.StringIO()):
            bleu, _ = Bleu(4).compute_score(captions, predictions)
            cider, _ = Cider().compute_score(captions, predictions)
        label = '' if self.tokenizer == 'ptb' else ' (simple tokenizer)'
        scores = {f'BLEU-{n}{label}': value for n, value in enumerate(bleu, 1)}
        return scores | {f'CIDEr{label}': float(cider)}

    def _tokenize(self, texts: dict[int, list[str]]) -> dict[int, list[str]]:
        if self.tokenizer == 'simple':
            return {image: [tokenize_simply(text) for text in group] for image, group in texts.items()}
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        return PTBTokenizer().tokenize(
            {image: [dict(caption=text) for text in group] for image, group in texts.items()}
        )
