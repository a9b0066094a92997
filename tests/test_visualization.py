"""Pictures of named points and of words."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from visionllm_mm.visualization import DRAWING, InstructionVisualizer, write_below

IMAGE = np.full((60, 100, 3), 120, np.uint8)


def _draw(sample, tmp_path, **kwargs):
    visualizer = InstructionVisualizer(name=f'test_{tmp_path.name}', vis_backends=[], save_dir=str(tmp_path))
    visualizer.dataset_meta = dict(classes=('star',), palette=[(255, 0, 0)])
    visualizer.add_datasample('a', IMAGE, sample, draw_gt=False, **kwargs)
    return visualizer.get_image()


def test_answers_stand_below_the_image(tmp_path):
    sample = DetDataSample(metainfo=dict(question='Is there a star?', history=('yes', 'What color is it?')))
    sample.pred_text = 'red'
    drawn = _draw(sample, tmp_path)
    assert drawn.shape[1:] == (100, 3) and (drawn[:60] == IMAGE).all()
    assert (drawn[60:] < 100).any() and (drawn[60:] > 250).mean() > 0.5
    np.testing.assert_array_equal(drawn, write_below(IMAGE, ['What color is it?', 'red']))


def test_long_texts_are_broken_between_words():
    one, three = (write_below(IMAGE, [text]) for text in ('a star', 'a red star and a blue ring and a green heart'))
    assert three.shape[0] > one.shape[0] + 20
    # Nothing is written over the right edge.
    assert (three[60:, -2:] == 255).all()
    assert write_below(IMAGE, []).shape[1] == 100 and write_below(IMAGE, ['x' * 200]).shape[1] == 100


def test_named_points_are_drawn_and_polygons_are_not_drawn_twice(tmp_path):
    sample = DetDataSample()
    points = torch.tensor([[[20.0, 30.0], [70.0, 40.0]]])
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10.0, 80.0, 50.0]]), scores=torch.tensor([0.9]), labels=torch.tensor([0])
    )
    plain = _draw(sample, tmp_path)
    sample.pred_instances.points = points
    marked = _draw(sample, tmp_path)
    changed = np.argwhere((marked != plain).any(axis=2))
    assert len(changed)
    distances = np.linalg.norm(changed[:, None, ::-1] - points[0].numpy(), axis=2)
    assert (distances.min(axis=1) < 6).all() and (distances.min(axis=0) < 3).all()
    np.testing.assert_array_equal(_draw(sample, tmp_path, pred_score_thr=0.95), IMAGE)


def test_long_words_are_broken_between_letters():
    """Chinese has no blanks, and all of a text is shown."""
    short, long = (write_below(IMAGE, ['字' * count]) for count in (3, 60))
    assert (long[60:, -2:] == 255).all() and long.shape[0] > short.shape[0] + 60
    rows = (long[60:] < 100).any(axis=(1, 2))
    assert (np.diff(rows.astype(int)) == 1).sum() >= 6, 'several lines'


def test_equal_samples_give_equal_pictures(tmp_path):
    sample = DetDataSample()
    masks = torch.zeros(3, 60, 100, dtype=torch.bool)
    for i in range(3):
        masks[i, 10:30, 10 + 25 * i : 30 + 25 * i] = True
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10.0, 30.0, 30.0]] * 3),
        scores=torch.ones(3),
        labels=torch.zeros(3).long(),
        masks=masks,
    )
    np.random.seed(3)
    first = _draw(sample, tmp_path)
    drawn_after = np.random.rand()
    np.testing.assert_array_equal(_draw(sample, tmp_path), first)
    np.random.seed(3)
    assert np.random.rand() == drawn_after, 'the numbers of others stay as they are'
    assert len({tuple(first[28, 20 + 25 * i]) for i in range(3)}) == 3, 'objects of one class have colors of their own'


def test_threads_wait_for_each_other(tmp_path):
    visualizer = InstructionVisualizer(name=f'test_{tmp_path.name}', vis_backends=[])
    visualizer.dataset_meta = dict(classes=('star',), palette=[(255, 0, 0)])

    def draw(size: int) -> np.ndarray:
        sample = DetDataSample(
            pred_instances=InstanceData(
                bboxes=torch.tensor([[2.0, 2.0, size, size]]), labels=torch.tensor([0]), scores=torch.ones(1)
            )
        )
        with DRAWING:
            visualizer.add_datasample('a', np.full((size + 20, size + 20, 3), size, np.uint8), sample, draw_gt=False)
            return visualizer.get_image()

    sizes = [30 + 10 * (i % 5) for i in range(12)]
    alone = {size: draw(size) for size in set(sizes)}
    with ThreadPoolExecutor(4) as pool:
        for size, drawn in zip(sizes, pool.map(draw, sizes), strict=True):
            np.testing.assert_array_equal(drawn, alone[size])


def test_small_images_are_drawn_larger(tmp_path):
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10.0, 80.0, 50.0]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([0]),
        label_names=['star'],
        masks=torch.ones(1, 60, 100, dtype=torch.bool),
        mask_rles=[{}],
    )
    visualizer = InstructionVisualizer(name=f'test_{tmp_path.name}', vis_backends=[], min_size=250)
    visualizer.dataset_meta = dict(classes=('star',), palette=[(255, 0, 0)])
    visualizer.add_datasample('a', IMAGE, sample, draw_gt=False)
    drawn = visualizer.get_image()
    assert drawn.shape == (180, 300, 3)
    assert (drawn[75:85, 238:243] != drawn[75:85, 150:155]).any()  # the right side of the box, three times as far
    assert sample.pred_instances.bboxes.tolist() == [[10, 10, 80, 50]] and len(sample.pred_instances.masks[0]) == 60
    visualizer.add_datasample('b', np.full((250, 10, 3), 120, np.uint8), None)
    assert visualizer.get_image().shape == (250, 10, 3)


def test_labels_stay_within_the_picture_and_cover_no_earlier_one():
    visualizer = InstructionVisualizer(name='labels', vis_backends=[])
    visualizer.set_image(np.full((200, 300, 3), 120, np.uint8))
    at = np.array([[10.0, 20.0], [12.0, 22.0], [14.0, 24.0], [280.0, 20.0], [150.0, 195.0], [0.0, 150.0]])
    visualizer.draw_texts(['the first', 'the second', 'the third', 'at the right', 'at the bottom', 'at the left'], at)
    boxes = [text.get_window_extent() for text in visualizer.ax_save.texts]
    for i, box in enumerate(boxes):
        assert box.xmin >= 0 and box.ymin >= 0 and box.xmax <= 300 and box.ymax <= 200, i
        assert not any(box.overlaps(other) for other in boxes[:i]), i
    assert visualizer.ax_save.texts[0].get_position() == (10, 20)  # there was no reason to move it
    # Where the picture is full, labels stay where they are.
    visualizer.set_image(np.full((20, 300, 3), 120, np.uint8))
    visualizer.draw_texts(['one', 'two'], np.array([[10.0, 3.0], [10.0, 3.0]]))
    assert [text.get_position() for text in visualizer.ax_save.texts] == [(10, 3)] * 2


def test_what_reaches_over_the_border_does_not_move_the_picture(tmp_path):
    sample = DetDataSample()
    mask = torch.zeros(1, 60, 100, dtype=torch.bool)
    mask[:, 40:, 70:] = True
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[70.0, 40.0, 110.0, 66.0]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([0]),
        masks=mask,
    )
    drawn = _draw(sample, tmp_path)
    np.testing.assert_array_equal(drawn[:30, :60], IMAGE[:30, :60])
    assert (drawn[50:59, 80:99] != IMAGE[50:59, 80:99]).any(axis=2).all()
    del sample.pred_instances.masks
    sample.pred_instances.points = torch.tensor([[[100.0, 60.0], [float('nan'), 5.0]]])
    np.testing.assert_array_equal(_draw(sample, tmp_path)[:30, :60], IMAGE[:30, :60])


def test_small_objects_of_large_pictures_have_names_that_can_be_read(tmp_path, monkeypatch):
    sizes = []
    write = DetLocalVisualizer.draw_texts
    monkeypatch.setattr(
        DetLocalVisualizer,
        'draw_texts',
        lambda self, texts, positions, size, **kwargs: (
            sizes.append(size),
            write(self, texts, positions, size, **kwargs),
        )[1],
    )
    sample = DetDataSample(
        pred_instances=InstanceData(
            bboxes=torch.tensor([[-2.0, 10.0, 10.0, 20.0]]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
        )
    )
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*out of bounds')
        for factor in (1, 10, 40):
            large = InstructionVisualizer(name=f'test_{tmp_path.name}_{factor}', vis_backends=[], min_size=100 * factor)
            large.dataset_meta = dict(classes=('star',), palette=[(255, 0, 0)])
            large.add_datasample('a', IMAGE, sample, draw_gt=False)
    assert sizes == [6, 12, 13]
