# A small model with all mechanisms: ResNet-18 of half width, 2 + 2 Deformable DETR layers, a two-layer BERT and a
# two-layer LLaMA with random weights. The vocabulary comes from the configs of the data.
embed_dims = 128
num_levels = 4
num_tokens = 20
norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    type='VisionLLM',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=32,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(
        type='ChannelMapper',
        in_channels=[64, 128, 256],
        kernel_size=1,
        out_channels=embed_dims,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=num_levels,
    ),
    text_encoder=dict(
        type='TextEncoder',
        tokenizer='builtin',
        config=dict(
            model_type='bert',
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=256,
            max_position_embeddings=512,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
    ),
    image_tokenizer=dict(
        type='LanguageGuidedImageTokenizer',
        num_tokens=num_tokens,
        num_feature_levels=num_levels,
        as_two_stage=True,
        encoder=dict(
            num_layers=2,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=embed_dims, num_levels=num_levels, num_points=2, dropout=0.0),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=256, ffn_drop=0.0),
            ),
        ),
        decoder=dict(
            num_layers=2,
            return_intermediate=True,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=embed_dims, num_heads=8, dropout_layer=None),
                cross_attn_cfg=dict(embed_dims=embed_dims, num_levels=num_levels, num_points=2, dropout=0.0),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=256, ffn_drop=0.0),
            ),
            post_norm_cfg=None,
        ),
        positional_encoding=dict(num_feats=embed_dims // 2, normalize=True, offset=-0.5),
    ),
    llm=dict(
        type='CausalLM',
        tokenizer='builtin',
        freeze=False,
        config=dict(
            model_type='llama',
            hidden_size=256,
            intermediate_size=512,
            initializer_range=0.06,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
    ),
    criterion=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ObjectnessFocalCost', weight=2.0),
                dict(type='CenterL1Cost', weight=5.0),
                dict(type='ClassProbabilityCost', weight=1.0),
            ],
        ),
        loss_objectness=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
        loss_center=dict(type='L1Loss', loss_weight=5.0),
        loss_size=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
        loss_class=dict(type='ClassTokenLoss', loss_weight=1.0, none_weight=0.1),
        loss_location=dict(type='LocationTokenLoss', loss_weight=1.0, sigma=0.5, error_weight=20.0),
        loss_alignment=dict(type='AlignmentLoss', loss_weight=1.0, scale=10.0),
    ),
    auxiliary=dict(
        proposals=dict(type='ProposalLoss', assigner=dict(type='PointAssigner', scale=4, pos_num=3)),
        denoising=dict(type='Denoising', copies=3, noise=0.5),
    ),
    test_cfg=dict(max_per_img=100, objectness_power=0.1, certainty_power=0.5),
)
