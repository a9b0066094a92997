# The released model, `checkpoints/visionllm-tiny_miniscenes-multitask.pth`: visionllm_tiny with features at a quarter
# of the image size, which still resolve the tips of a star, one encoder layer instead of two, and an LLM of four
# layers, for comparisons such as "the leftmost star", in which the LLM finds the stars and then compares them.
_base_ = ['./visionllm_tiny.py']

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[32, 64, 128, 256]),
    image_tokenizer=dict(encoder=dict(num_layers=1)),
    llm=dict(config=dict(num_hidden_layers=4)),
    # Hints for an LLM that starts from random weights (visionllm_mm/small_llm).
    hints=dict(type='SmallLLMHints', num_phrases=3, point_places=True, objectness=True),
    auxiliary=dict(
        # Boxes are exact after stage 1, polygons are not.
        polygons=dict(
            type='QueryPolygonLoss',
            loss=dict(type='LocationTokenLoss', loss_weight=2.0, sigma=0.5, error_weight=40.0),
        ),
        phrases=dict(type='PhraseLoss', loss_weight=5.0),
        formats=dict(type='FormatLoss', loss_weight=1.0),
    ),
    format_source='llm',
    test_cfg=dict(text=dict(max_length=60)),
)
