# visionllm_tiny.py with the vision parts of mmdet's Deformable DETR with ResNet-50, box refinement and two stages, so
# that its weights fit (docs/weights.md).
_base_ = ['./visionllm_tiny.py', './own_llm.py']

embed_dims = 256
num_levels = 4

model = dict(
    backbone=dict(
        base_channels=64,
        depth=50,
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
    ),
    neck=dict(in_channels=[512, 1024, 2048], out_channels=embed_dims),
    text_encoder={{_base_.own_text_encoder}},
    image_tokenizer=dict(
        encoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=embed_dims, num_points=4, dropout=0.1),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=1024, ffn_drop=0.1),
            ),
        ),
        decoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=embed_dims,
                    attn_drop=0.1,
                    dropout_layer=dict(_delete_=True, type='Dropout', drop_prob=0.1),
                ),
                cross_attn_cfg=dict(embed_dims=embed_dims, num_points=4, dropout=0.1),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=1024, ffn_drop=0.1),
            ),
        ),
        positional_encoding=dict(num_feats=embed_dims // 2),
    ),
    llm={{_base_.own_llm}},
    added_tokens={{_base_.own_added_tokens}},
)
