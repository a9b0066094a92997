"""Trains the built-in tokenizer, ``visionllm_mm/assets/tokenizer.json``, for models without pretrained weights.

Its text: the instruction templates, class names of well-known data sets as mmdet ships them, and simple sentences.
"""

import argparse
from pathlib import Path

WORDS = (
    'red green blue yellow purple orange cyan pink white black gray brown circle square triangle star ring cross '
    'crescent heart diamond hexagon small large big little left right above below top bottom largest smallest '
    'leftmost rightmost topmost bottommost one two three four five six seven eight nine ten zero yes no many none '
    'empty scene picture image photo object objects shape shapes color colors there here is are the a an of in on '
    'to and with how what which where who does do it its than more less same other next beside near'
)


def corpus() -> list[str]:
    """Lines of training text; frequent words are repeated so that each becomes one token."""
    import mmdet.datasets as datasets

    from visionllm_mm.instructions import (
        DETECTION_TEMPLATES,
        Vocabulary,
        build_instruction,
        point_format,
    )

    names = set(WORDS.split())
    for dataset in ('CocoDataset', 'LVISV1Dataset', 'Objects365V1Dataset', 'VOCDataset'):
        for name in getattr(datasets, dataset).METAINFO['classes']:
            names.add(name.replace('_', ' '))
    names = sorted(names)
    vocabulary = Vocabulary()
    lines = []
    for i, template in enumerate(DETECTION_TEMPLATES * 30):
        some = [names[(31 * i + 17 * k) % len(names)] for k in range(6)]
        lines.append(build_instruction(template, list(dict.fromkeys(some)), point_format(2), vocabulary))
    # A number is one token, so that reading a format needs no composition of digits.
    for word in [*WORDS.split(), *map(str, range(100))]:
        lines += [f'"{word}" {word}. The {word}?', word] * 20
    return lines + [f'"{name}": a {name}' for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='visionllm_mm/assets/tokenizer.json')
    parser.add_argument('--vocab-size', type=int, default=4096)
    args = parser.parse_args()

    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    import visionllm_mm  # noqa: F401 (registers its classes)

    tokenizer = Tokenizer(models.BPE(unk_token='<unk>'))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r'\s+'), behavior='removed'),
            # Words, numbers and runs of punctuation such as '":' are pieces. All have the form with a space before
            # them: a class name and the same word in a question or an answer are the same tokens.
            pre_tokenizers.Split(Regex(r'\p{L}+|\d+|[^\p{L}\d\s]+'), behavior='isolated'),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace(Regex(r' (?=[,.;:?!)\'])'), ''), decoders.Strip(' ', 1, 0)]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=args.vocab_size,
            special_tokens=['<pad>', '<s>', '</s>', '<unk>'],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(args.out)
    print(f'{args.out}: {tokenizer.get_vocab_size()} tokens')


if __name__ == '__main__':
    main()
