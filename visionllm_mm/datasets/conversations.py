"""Conversations about images in the format of LLaVA-Instruct (paper, section 4.1)."""

from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.logging import print_log

from .json_file import read_json
from .text_datasets import TextDataset

IMAGE_MARK = '<image>'


@DATASETS.register_module()
class ConversationDataset(TextDataset):
    """Conversations: one sample each while training; in ``test_mode`` one per answer, with the turns before it.

    The annotation file is a list of ``{"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."},
    {"from": "gpt", "value": "..."}, ...]}``; ``question_types``, one per answer, is optional.

    Samples have ``img_path``, ``img_id`` (position of the conversation), the first ``question``, its ``history`` (the
    file's turns from the first answer to the current question: (answer, question, ...), empty for the first question),
    ``gt_caption`` ([answer]), ``question_type`` ('' where the file names none) and ``turn`` (0 for the first question).

    Args:
        args: see :class:`TextDataset`.
        max_bad: number of invalid conversations that are left out, with a line in the log; one more is an error.
        kwargs: see :class:`TextDataset`.

    Raises:
        FileNotFoundError: when the annotation file is missing.
        ValueError: when a conversation has no image, no or more than one ``<image>``, an empty question or answer,
            speakers that do not take turns, or not as many question types as answers; the message names it.
    """

    def __init__(self, *args, max_bad: int = 0, **kwargs) -> None:
        self.max_bad = max_bad
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'no annotation file {path}')
        entries = read_json(path)
        if not isinstance(entries, list):
            raise ValueError(f'{path} is no list of conversations: at its top is a {type(entries).__name__}')
        samples, bad = [], []
        for number, entry in enumerate(entries):
            try:
                samples += self._make_samples(entry, number)
            except ValueError as error:
                bad.append(str(error))
                if len(bad) > self.max_bad:
                    raise
        if bad:
            print_log(f'{path}: {len(bad)} bad conversations are left out; the first: {bad[0]}', logger='current')
        return self.with_objects(samples)

    def _make_samples(self, entry: dict, number: int) -> list[dict]:
        name = entry.get('id', number)
        missing = [key for key in ('image', 'conversations') if key not in entry]
        if missing:
            raise ValueError(f'conversation {name!r} has no {" and no ".join(missing)}')
        turns = entry['conversations']
        for turn in turns:
            if not isinstance(turn, dict) or not all(isinstance(turn.get(key), str) for key in ('from', 'value')):
                raise ValueError(f'conversation {name!r}: every turn needs "from" and "value", two strings, got {turn}')
        speakers = [turn['from'] for turn in turns]
        if not turns or speakers != ['human', 'gpt'] * (len(turns) // 2):
            raise ValueError(f'conversation {name!r}: human and gpt must take turns, got {speakers}')
        marks = sum(turn['value'].count(IMAGE_MARK) for turn in turns)
        if marks != 1:
            raise ValueError(f'conversation {name!r} must hold {IMAGE_MARK} once, not {marks} times')
        texts = [turn['value'].replace(IMAGE_MARK, ' ').strip() for turn in turns]
        if not all(texts):
            raise ValueError(f'conversation {name!r}: turn {texts.index("")} is empty')
        types = entry.get('question_types', [''] * (len(texts) // 2))
        if len(types) != len(texts) // 2:
            raise ValueError(
                f'conversation {name!r} has {len(texts) // 2} answers, but {len(types)} question_types: {types}'
            )
        image = str(Path(self.data_prefix.get('img', '')) / entry['image'])
        samples = [
            dict(
                img_path=image,
                img_id=number,
                question=texts[0],
                history=tuple(texts[1 : 2 * i + 1]),
                gt_caption=[texts[2 * i + 1]],
                question_type=kind,
                turn=i,
            )
            for i, kind in enumerate(types)
        ]
        return samples if self.test_mode else samples[-1:]
