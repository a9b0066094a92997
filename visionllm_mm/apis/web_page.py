"""A web page for questions about pictures: a tab per task, free instructions, and a conversation."""

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
_MAX_ANSWERS = 256
"""Number of the latest answers that can be downloaded."""
_NO_ANSWER = '(no answer)'
_NOTE_STYLE = 'background: #fff4d6; color: #222; border-left: 4px solid #b26a00; padding: 0.6em 1em; margin: 0'
_COLUMN = 480
"""Least width of a column in px: in narrower ones gradio hides tabs in a menu. Two that do not fit are stacked."""
_DELETE_CACHE = 3600, 86400
"""Seconds: every hour, uploads and pictures that are older than a day are deleted."""


class _SharedInferencer:
    """One inferencer for several users; it answers one question at a time.

    Args:
        inferencer: the model.
        folder: folder for the latest answers as JSON.
    """

    def __init__(self, inferencer: VisionLLMInferencer, folder: Path) -> None:
        self.inferencer = inferencer
        self.folder = folder
        self.lock = threading.Lock()
        self.answers = deque()

    def ask(self, image: str | None, ask: Callable[..., dict], score: float = 0.3) -> tuple[np.ndarray, dict, float]:
        """Calls a method of the inferencer; returns the rendered picture (RGB), the prediction and the seconds it took.

        Args:
            image: path of the picture; None where none was chosen.
            ask: the method; it takes the path and the keyword arguments of rendering.
            score: the lowest score of the objects that are rendered, in [0, 1].

        Raises:
            gr.Error: when there is no answer; the page shows the reason as a message.
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
            reason = str(error).replace(image, Path(image).name)  # users must not see paths of the server
            raise gr.Error(html.escape(reason), print_exception=False) from error
        except Exception as error:
            _LOG.exception('a question was not answered')
            raise gr.Error(
                'This could not be answered; the log of the server states the reason.', print_exception=False
            ) from error
        return result['visualization'][0], result['predictions'][0], seconds

    def answer(self, image: str | None, ask: Callable[..., dict], score: float) -> tuple:
        """The values of the output components of the page."""
        picture, prediction, seconds = self.ask(image, ask, score)
        shown = {key: value for key, value in prediction.items() if key != 'img_path'}
        file = Path(tempfile.mkdtemp(dir=self.folder)) / 'answer.json'
        file.write_text(json.dumps(shown, indent=1))
        self.answers.append(file.parent)
        if len(self.answers) > _MAX_ANSWERS:
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
    note: str = '',
) -> gr.Blocks:
    """Builds the page; its ``launch`` serves it.

    Args:
        inferencer: the model.
        classes: initial class set.
        point_names: initial names of points.
        folder: folder for answers as JSON.
        examples: paths of pictures to choose from.
        note: what users must know of the model, as plain text at the head of the page.
    """
    shared = _SharedInferencer(inferencer, folder)
    max_points = inferencer.model.vocabulary.max_points
    with gr.Blocks(title='VisionLLM', analytics_enabled=False, delete_cache=_DELETE_CACHE) as page:
        gr.Markdown('# VisionLLM\nAsk a picture: by task, or by an instruction of your own.')
        if note:
            gr.HTML(f'<p style="{_NOTE_STYLE}">{html.escape(note)}</p>', elem_id='note')
        with gr.Row():
            with gr.Column(min_width=_COLUMN):
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
                    label='Class set of Detect, Segment, Keypoints: choose, or type a name and press Enter',
                    elem_id='classes',
                )
                score = gr.Slider(0, 1, 0.3, step=0.05, label='Lowest score that is shown', elem_id='score')
                asks = _task_tabs(shared, image, names, score, point_names, max_points)
                _chat_tab(shared, image, asks.pop('tabs'))
            shown = _outputs()
        for name, (button, answer, inputs) in asks.items():
            button.click(
                answer, [image, score, *inputs], shown, concurrency_id='model', concurrency_limit=1, api_name=name
            )
    return page


def _path_of(upload: ImageData | None) -> str | None:
    """The path of an uploaded file. gradio itself would open the file, and report an invalid one as "Error" alone."""
    return upload and upload.path


def _outputs() -> list[gr.components.Component]:
    with gr.Column(min_width=_COLUMN):
        return [
            gr.Image(label='Answer', interactive=False, height=320, elem_id='drawn', format='png'),
            gr.Textbox(label='Instruction, as the model reads it', lines=3, elem_id='instruction', interactive=False),
            gr.Textbox(label='Output format, as the model reads it', elem_id='format', interactive=False),
            gr.Textbox(
                label='Answer, as the model generates it', lines=6, max_lines=10, elem_id='said', interactive=False
            ),
            gr.Textbox(label='Time', elem_id='seconds', interactive=False),
            gr.DownloadButton('Download as JSON', interactive=False, elem_id='json'),
        ]


def _task_tabs(
    shared: _SharedInferencer,
    image: gr.Image,
    names: gr.Dropdown,
    score: gr.Slider,
    point_names: Sequence[str],
    max_points: int,
) -> dict:
    """A tab per task: name -> (button, event handler, further inputs of it); and the tabs themselves."""
    model = shared.inferencer
    asks = {}
    with gr.Tabs() as tabs:
        with gr.Tab('Detect'):
            asks['detect'] = (_button('detect'), _answering(shared, lambda names: (model.detect, names)), [names])
        with gr.Tab('Segment'):
            points = gr.Slider(3, max_points, max_points, step=1, label='Points of a polygon', elem_id='points')
            asks['segment'] = (
                _button('segment'),
                _answering(shared, lambda names, count: (model.segment, names, int(count))),
                [names, points],
            )
        with gr.Tab('Ground'):
            expression = gr.Textbox(label='What to find', value='the largest object', elem_id='expression')
            asks['ground'] = (_button('ground'), _answering(shared, lambda text: (model.ground, text)), [expression])
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
                _answering(shared, lambda names, wanted: (model.keypoints, names, wanted)),
                [names, wanted],
            )
        with gr.Tab('Caption'):
            words = gr.Number(0, label='Most words (0: any number)', precision=0, minimum=0, elem_id='words')
            asks['caption'] = (
                _button('caption'),
                _answering(shared, lambda words: (model.caption, words or None)),
                [words],
            )
        with gr.Tab('Instruction'):
            text = gr.Textbox(
                label='Your instruction, with <image> where the picture goes',
                lines=4,
                elem_id='own',
                value='Boxes of {"star": <c0>, "ring": <c1>} in <image> please, as (c, x1, y1, x2, y2), range 64.',
            )
            asks['instruction'] = (_button('instruction'), _answering(shared, lambda text: (model, text)), [text])
    asks['tabs'] = tabs
    return asks


def _button(name: str) -> gr.Button:
    return gr.Button('Ask', variant='primary', elem_id=f'ask_{name}')


def _answering(shared: _SharedInferencer, call: Callable[..., tuple]) -> Callable[..., tuple]:
    """An event handler; ``call`` maps its inputs to a method and the arguments of it that follow the image."""

    def answer(image: str | None, score: float, *inputs) -> tuple:
        method, *arguments = call(*inputs)
        return shared.answer(image, lambda path, **kwargs: method(path, *arguments, **kwargs), score)

    return answer


def _chat_tab(shared: _SharedInferencer, image: gr.Image, tabs: gr.Tabs) -> None:
    with tabs, gr.Tab('Chat'):
        chat = gr.Chatbot(label='About this picture', height=260, elem_id='chat', render_markdown=False, buttons=[])
        question = gr.Textbox(label='Question', placeholder='How many stars are there?', elem_id='question')

        def answer(path: str | None, text: str, turns: list[dict]) -> tuple[list[dict], str]:
            texts = [_plain(turn['content']) for turn in turns]
            # Questions without an answer are not part of the conversation.
            pairs = [pair for pair in zip(texts[::2], texts[1::2], strict=True) if pair[1] != _NO_ANSWER]
            first, *rest = [*(part for pair in pairs for part in pair), text]
            _, prediction, _ = shared.ask(
                path, lambda path, **kwargs: shared.inferencer.answer(path, first, history=rest, **kwargs)
            )
            reply = prediction['text'] or _NO_ANSWER
            return [*turns, dict(role='user', content=text), dict(role='assistant', content=reply)], ''

        submission = question.submit(
            answer, [image, question, chat], [chat, question], concurrency_id='model', api_name='chat'
        )
        gr.Button('Start again', elem_id='forget').click(list, None, chat, cancels=submission, api_visibility='private')
        # The conversation, and a question without an answer yet, are about the previous picture.
        image.change(list, None, chat, cancels=submission, api_visibility='private')


def _plain(content: str | list) -> str:
    """The text of a message, which gradio returns in parts."""
    if isinstance(content, str):
        return content
    return ' '.join(part['text'] for part in content if part.get('type') == 'text')
