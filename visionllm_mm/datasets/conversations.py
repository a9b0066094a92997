"""Conversations about images in the format of LLaVA-Instruct (paper, section 4.1)."""

import json
from itertools import cycle
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

IMAGE_MARK = '<image>'


@DATASETS.register_module()
class ConversationDataset(BaseDataset):
    """One sample per answer; the question of a later turn is preceded by what was said before.

    The annotation file is a list of ``{"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."},
    {"from": "gpt", "value": "..."}, ...]}``; ``question_types``, one per answer, is optional.

    Samples have ``img_path``, ``img_id`` (position of the conversation), ``question``, ``gt_caption`` ([answer]),
    ``question_type`` ('' where the file names none) and ``turn`` (0 for the first question). What was said before are
    the file's questions and answers, as ``Human: ... Assistant: ... Human: ...``.

    Args:
        max_words: the most words of a question with what was said before; the earliest turns are left out first, and
            the question itself never. None: all is kept.
        max_bad: how many bad conversations are left out, with a line in the log, before one is an error.
        kwargs: of mmengine's BaseDataset.

    Raises:
        FileNotFoundError: when the annotation file is missing.
        ValueError: when a conversation has no image, no or more than one ``<image>``, an empty question or answer,
            speakers that do not take turns, or another number of question types than of answers; the message names it.
    """

    def __init__(self, *args, max_words: int | None = None, max_bad: int = 0, **kwargs) -> None:
        self.max_words = max_words
        self.max_bad = max_bad
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'no annotation file {path}')
        samples, bad = [], []
        for number, entry in enumerate(json.loads(path.read_text())):
            try:
                samples += self._turns(entry, number)
            except ValueError as error:
                bad.append(str(error))
                if len(bad) > self.max_bad:
                    raise
        if bad:
            print_log(f'{path}: {len(bad)} bad conversations are left out; the first: {bad[0]}', logger='current')
        return samples

    def _turns(self, entry: dict, number: int) -> list[dict]:
        name = entry.get('id', number)
        missing = [key for key in ('image', 'conversations') if key not in entry]
        if missing:
            raise ValueError(f'conversation {name!r} has no {" and no ".join(missing)}')
        turns = entry['conversations']
        speakers = [turn['from'] for turn in turns]
        if not turns or speakers != ['human', 'gpt'] * (len(turns) // 2):
            raise ValueError(f'conversation {name!r}: human and gpt must take turns, got {speakers}')
        marks = sum(turn['value'].count(IMAGE_MARK) for turn in turns)
        if marks != 1:
            raise ValueError(f'conversation {name!r} must hold {IMAGE_MARK} once, not {marks} times')
        said = [turn['value'].replace(IMAGE_MARK, ' ').strip() for turn in turns]
        if not all(said):
            raise ValueError(f'conversation {name!r}: turn {said.index("")} is empty')
        types = entry.get('question_types', [''] * (len(said) // 2))
        if len(types) != len(said) // 2:
            raise ValueError(f'conversation {name!r} has {len(said) // 2} answers, but {len(types)} question_types: '
                             f'{types}')
        image = str(Path(self.data_prefix.get('img', '')) / entry['image'])
        return [
            dict(img_path=image, img_id=number, question=self._ask(said[:2 * i + 1]), gt_caption=[said[2 * i + 1]],
                 question_type=kind, turn=i) for i, kind in enumerate(types)
        ]

    def _ask(self, said: list[str]) -> str:
        """The last of the turns as a question; where there are earlier ones, with them and their speakers."""
        while self.max_words and len(said) > 1 and sum(len(text.split()) for text in said) > self.max_words:
            said = said[2:]
        if len(said) == 1:
            return said[0]
        speakers = cycle(('Human', 'Assistant'))
        return ' '.join(f'{speaker}: {text}' for speaker, text in zip(speakers, said, strict=False))
