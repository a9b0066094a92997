"""A page to ask pictures with the mouse: a tab per task, free instructions, and a conversation."""

import html
import json
import logging
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData

from .exports import to_text
from .images import check_image_file
from .inferencer import VisionLLMInferencer

_LOG = logging.getLogger(__name__)
_MOST_ANSWERS = 256
"""So many of the latest answers can be downloaded."""
_NO_ANSWER = '(no answer)'
_FORGET = 3600, 86400
"""Once an hour, uploads and pictures older than a day are deleted, s."""


class _Desk:
    """One inferencer that several people ask; one question at a time, each with its own answer.

    Args:
        inferencer: the model.
        folder: where the latest answers lie as JSON.
    """

    def __init__(self, inferencer: VisionLLMInferencer, folder: Path) -> None:
        self.inferencer = inferencer
        self.folder = folder
        self.lock = threading.Lock()
        self.answers = deque()

    def ask(self, image: str | None, ask: Callable[..., dict], score: float = 0.3) -> tuple[np.ndarray, dict, float]:
        """Calls a method of the inferencer: the drawn picture (RGB), the prediction and the seconds that it took.

        Args:
            image: path of the picture; None where none was chosen.
            ask: the method; takes the path and the arguments of drawing, the others are filled in.
            score: the lowest score of what is drawn, in [0, 1].

        Raises:
            gr.Error: with the reason, as a message on the page, when it can't be answered.
        """
        if not image:
            raise gr.Error('Choose or upload a picture first.', print_exception=False)
        try:
            check_image_file(image, self.inferencer.max_pixels)
            with self.lock:
                start = time.perf_counter()
                result = ask(image, return_vis=True, pred_score_thr=score)
                seconds = time.perf_counter() - start
        except (ValueError, TypeError, FileNotFoundError) as error:
            reason = str(error).replace(image, Path(image).name)  # where it lies on the server is nobody's business
            raise gr.Error(html.escape(reason), print_exception=False) from error
        except Exception as error:
            _LOG.exception('a question was not answered')
            raise gr.Error(
                'This could not be answered; the log of the server says why.', print_exception=False
            ) from error
        return result['visualization'][0], result['predictions'][0], seconds

    def answer(self, image: str | None, ask: Callable[..., dict], score: float) -> tuple:
        """What the output part of the page shows."""
        picture, prediction, seconds = self.ask(image, ask, score)
        shown = {key: value for key, value in prediction.items() if key != 'img_path'}
        file = Path(tempfile.mkdtemp(dir=self.folder)) / 'answer.json'
        file.write_text(json.dumps(shown, indent=1))
        self.answers.append(file.parent)
        if len(self.answers) > _MOST_ANSWERS:
            shutil.rmtree(self.answers.popleft())
        return (
            picture,
            prediction['instruction'],
            prediction['output_format'],
            to_text(prediction, score),
            f'{seconds:.2f} s',
            gr.DownloadButton(value=str(file), interactive=True),
        )


def build_page(
    inferencer: VisionLLMInferencer,
    classes: Sequence[str],
    point_names: Sequence[str],
    folder: Path,
    examples: Sequence[str] = (),
) -> gr.Blocks:
    """The page; ``launch`` serves it.

    Args:
        inferencer: the model.
        classes: class set to begin with.
        point_names: names of points to begin with.
        folder: for answers as JSON.
        examples: paths of pictures to choose from.
    """
    desk = _Desk(inferencer, folder)
    most = inferencer.model.vocabulary.max_points
    with gr.Blocks(title='VisionLLM', analytics_enabled=False, delete_cache=_FORGET) as page:
        gr.Markdown('# VisionLLM\nAsk a picture: by task, or in your own words.')
        with gr.Row():
            with gr.Column():
                image = gr.Image(
                    type='filepath', label='Picture', sources=['upload', 'clipboard'], height=320, elem_id='picture'
                )
                image.preprocess = _path_of
                if examples:
                    gr.Examples([[path] for path in examples], image, label='Examples')
                names = gr.Dropdown(
                    list(classes),
                    value=list(classes),
                    multiselect=True,
                    allow_custom_value=True,
                    label='Class set: choose, or type a name and press Enter',
                    elem_id='classes',
                )
                score = gr.Slider(0, 1, 0.3, step=0.05, label='Show what is at least as sure', elem_id='score')
                asks = _task_tabs(desk, image, names, score, point_names, most)
                _chat_tab(desk, image, asks.pop('tabs'))
            shown = _outputs()
        for name, (button, answer, inputs) in asks.items():
            button.click(
                answer, [image, score, *inputs], shown, concurrency_id='model', concurrency_limit=1, api_name=name
            )
    return page


def _path_of(upload: ImageData | None) -> str | None:
    """An uploaded file as it is. gradio would open it, and answer a bad one with "Error" alone."""
    return upload and upload.path


def _outputs() -> list[gr.components.Component]:
    with gr.Column():
        return [
            gr.Image(label='Answer', interactive=False, height=320, elem_id='drawn', format='png'),
            gr.Textbox(label='Instruction, as the model reads it', lines=3, elem_id='instruction', interactive=False),
            gr.Textbox(label='Output format, as the model reads it', elem_id='format', interactive=False),
            gr.Textbox(label='Answer, as the model says it', lines=6, elem_id='said', interactive=False),
            gr.Textbox(label='Time', elem_id='seconds', interactive=False),
            gr.DownloadButton('Download as JSON', interactive=False, elem_id='json'),
        ]


def _task_tabs(
    desk: _Desk, image: gr.Image, names: gr.Dropdown, score: gr.Slider, point_names: Sequence[str], most: int
) -> dict:
    """A tab per task: name -> (button, what answers it, its further inputs); and the tabs themselves."""
    model = desk.inferencer
    asks = {}
    with gr.Tabs() as tabs:
        with gr.Tab('Detect'):
            asks['detect'] = (_button('detect'), _answering(desk, lambda names: (model.detect, names)), [names])
        with gr.Tab('Segment'):
            points = gr.Slider(3, most, most, step=1, label='Points of an outline', elem_id='points')
            asks['segment'] = (
                _button('segment'),
                _answering(desk, lambda names, count: (model.segment, names, int(count))),
                [names, points],
            )
        with gr.Tab('Ground'):
            expression = gr.Textbox(label='What to find', value='the largest object', elem_id='expression')
            asks['ground'] = (_button('ground'), _answering(desk, lambda text: (model.ground, text)), [expression])
        with gr.Tab('Keypoints'):
            wanted = gr.Dropdown(
                list(point_names),
                value=list(point_names),
                multiselect=True,
                allow_custom_value=True,
                label='Points, in order',
                elem_id='point_names',
            )
            asks['keypoints'] = (
                _button('keypoints'),
                _answering(desk, lambda names, wanted: (model.keypoints, names, wanted)),
                [names, wanted],
            )
        with gr.Tab('Caption'):
            words = gr.Number(None, label='At most so many words (empty: any)', precision=0, elem_id='words')
            asks['caption'] = (
                _button('caption'),
                _answering(desk, lambda words: (model.caption, words or None)),
                [words],
            )
        with gr.Tab('Instruction'):
            text = gr.Textbox(
                label='In your own words, with <image> where the picture goes',
                lines=4,
                elem_id='own',
                value='Boxes of {"star": <c0>, "ring": <c1>} in <image> please, as (c, x1, y1, x2, y2), range 64.',
            )
            asks['instruction'] = (_button('instruction'), _answering(desk, lambda text: (model, text)), [text])
    asks['tabs'] = tabs
    return asks


def _button(name: str) -> gr.Button:
    return gr.Button('Ask', variant='primary', elem_id=f'ask_{name}')


def _answering(desk: _Desk, call: Callable[..., tuple]) -> Callable[..., tuple]:
    """An event handler; ``call`` says of its inputs which function it asks, with what besides the image."""

    def answer(image: str | None, score: float, *inputs) -> tuple:
        method, *arguments = call(*inputs)
        return desk.answer(image, lambda path, **kwargs: method(path, *arguments, **kwargs), score)

    return answer


def _chat_tab(desk: _Desk, image: gr.Image, tabs: gr.Tabs) -> None:
    with tabs, gr.Tab('Chat'):
        chat = gr.Chatbot(label='About this picture', height=260, elem_id='chat', render_markdown=False, buttons=[])
        question = gr.Textbox(label='Question', placeholder='How many stars are there?', elem_id='question')

        def answer(path: str | None, text: str, turns: list[dict]) -> tuple[list[dict], str]:
            said = [_plain(turn['content']) for turn in turns]
            # What was not answered is no part of the conversation.
            said = [part for pair in zip(said[::2], said[1::2], strict=True) if pair[1] != _NO_ANSWER for part in pair]
            first, *rest = [*said, text]
            _, prediction, _ = desk.ask(
                path, lambda path, **kwargs: desk.inferencer.answer(path, first, history=rest, **kwargs)
            )
            reply = prediction['text'] or _NO_ANSWER
            return [*turns, dict(role='user', content=text), dict(role='assistant', content=reply)], ''

        asked = question.submit(
            answer, [image, question, chat], [chat, question], concurrency_id='model', api_name='chat'
        )
        gr.Button('Start again', elem_id='forget').click(list, None, chat, cancels=asked, api_visibility='private')
        # What was said, and is still to be answered, is about the picture before.
        image.change(list, None, chat, cancels=asked, api_visibility='private')


def _plain(content: str | list) -> str:
    """The words of a message, which gradio hands back in parts."""
    if isinstance(content, str):
        return content
    return ' '.join(part['text'] for part in content if part.get('type') == 'text')
