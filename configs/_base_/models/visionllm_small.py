# visionllm_tiny.py behind a backbone that has seen ImageNet, for photographs: boxes and polygons. $LLM and $BERT name
# a pretrained LLM and text encoder.
_base_ = ['./visionllm_tiny.py', './efficientnet_lite0.py', './own_llm.py']

model = dict(
    data_preprocessor={{_base_.lite0_preprocessor}},
    backbone={{_base_.lite0_backbone}},
    neck=dict(in_channels={{_base_.lite0_channels}}),
    text_encoder={{_base_.own_text_encoder}},
    image_tokenizer=dict(num_tokens=100),
    token_projector=dict(octaves=6),
    llm={{_base_.own_llm}},
    added_tokens={{_base_.own_added_tokens}},
    # For an LLM from random weights: which point of the polygon a query is (visionllm_mm/small_llm).
    hints=dict(type='SmallLLMHints', point_places=True),
    auxiliary=dict(
        polygons=dict(
            type='QueryPolygonLoss', loss=dict(type='LocationTokenLoss', loss_weight=1.0, sigma=0.5, error_weight=20.0)
        )
    ),
    # After a short training several tokens still answer one object.
    test_cfg=dict(nms_iou_threshold=0.6),
)
