"""Instructions that ask for text, and their answers."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...instructions import build_text_instruction, check_text, choose_templates


class TextInstruction(BaseTransform):
    """Writes an instruction that asks for text.

    Added keys: ``instruction`` and, while training, ``answer``: a tuple of the text to generate and, in a conversation,
    the further questions and answers.

    Args:
        training: whether the template is sampled at random and an answer is required.
        templates: templates, or a file of them as ``tools/expand_templates.py`` writes it; None: the task's own.
            Evaluation uses the one with index ``template_index``.
        template_index: index of the template for evaluation.
    """

    task: str

    def __init__(
        self, training: bool = False, templates: Sequence[str] | str | None = None, template_index: int = 0
    ) -> None:
        self.training = training
        self.templates = choose_templates(self.task, templates)
        if not 0 <= template_index < len(self.templates):
            raise ValueError(f'template_index must be 0 .. {len(self.templates) - 1}, got {template_index}')
        self.template_index = template_index

    def question(self, results: dict) -> str | None:
        """The question to fill in; None: the template has no placeholder for one."""
        return None

    def transform(self, results: dict) -> dict:
        index = np.random.randint(len(self.templates)) if self.training else self.template_index
        results['instruction'] = build_text_instruction(self.templates[index], self.question(results))
        if self.training:
            known = [text for text in results.get('gt_caption', ()) if text.strip()]
            if not known:
                raise ValueError(
                    f"{results.get('img_path')} has no text to learn from: give the annotation file's "
                    'entry a caption or an answer, or take it out'
                )
            results['answer'] = (known[np.random.randint(len(known))].strip(),)
            check_text(results['answer'][0], f'a text of {results.get("img_path")}')
        return results


LIMIT_PROB = 0.3
"""Share of the training captions whose instruction states a largest number of words, which the caption keeps."""


@TRANSFORMS.register_module()
class CaptionInstruction(TextInstruction):
    """Asks for a caption. While training it needs ``gt_caption``, captions of which one is sampled at random.

    Args:
        args: see :class:`TextInstruction`.
        max_words: the largest number of words of the caption while evaluating; None: any number.
        kwargs: see :class:`TextInstruction`.
    """

    task = 'caption'

    def __init__(self, *args, max_words: int | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if max_words is not None and max_words < 1:
            raise ValueError(f'max_words must be at least 1, got {max_words}')
        self.max_words = max_words

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        limit = self.max_words
        if self.training:
            slack = np.random.randint(4)
            stated = np.random.random_sample() < LIMIT_PROB
            limit = len(results['answer'][0].split()) + slack if stated else None
        if limit is not None:
            results['instruction'] = f'In at most {limit} words. {results["instruction"]}'
        return results


@TRANSFORMS.register_module()
class QuestionInstruction(TextInstruction):
    """Asks ``question``. While training it needs ``gt_caption``, correct answers of which one is sampled at random.

    ``history`` holds the turns of a conversation from the first answer to the current question. Where it is given, the
    correct answers are those to the current question; while training all answers of the history are targets, too.

    Args:
        args: see :class:`TextInstruction`.
        shuffle_turns: whether the questions of a conversation are in random order while training. They must not depend
            on each other.
        kwargs: see :class:`TextInstruction`.
    """

    task = 'question'

    def __init__(self, *args, shuffle_turns: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.shuffle_turns = shuffle_turns

    def transform(self, results: dict) -> dict:
        history = results.pop('history', ()) if self.training else ()
        if self.training and self.shuffle_turns and history:
            answer = results['gt_caption'][np.random.randint(len(results['gt_caption']))]
            turns = [results['question'], *history, answer]
            order = np.random.permutation(len(turns) // 2)
            turns = [turns[2 * i + side] for i in order for side in (0, 1)]
            results.update(question=turns[0], gt_caption=[turns[-1]])
            if 'question_phrases' in results:
                results['question_phrases'] = [results['question_phrases'][i] for i in order]
            history = turns[1:-1]
        results = super().transform(results)
        if self.training:
            results['answer'] = (*history, *results['answer'])
        return results

    def longest_instructions(self, questions: Sequence[str]) -> list[str]:
        """Every template that may be used, with each of these questions."""
        templates = self.templates if self.training else self.templates[self.template_index : self.template_index + 1]
        return [build_text_instruction(template, question) for template in templates for question in questions]

    def question(self, results: dict) -> str:
        if 'question' not in results:
            raise ValueError('QuestionInstruction needs a question: use ConversationDataset, or set the key question')
        if not isinstance(results['question'], str):
            raise TypeError(f'the question must be a string, got {results["question"]!r}')
        return results['question']
