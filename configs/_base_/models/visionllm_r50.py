# VisionLLM-R50 as the paper describes it: ResNet-50, BERT-Base, a Deformable DETR of 6 + 6 layers with 100 queries as
# the image tokenizer, and a LLaMA-7B (Alpaca) that is frozen but for LoRA.
# $BERT and $LLM name them on the Hugging Face hub, or are folders. $LLM may be any model of LLaMA's architecture:
# Llama 3.x, SmolLM2, TinyLlama, Qwen 2 and 3. The vocabulary comes from the configs of the data.
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

from visionllm_mm.config_files import from_environment  # noqa: E402

embed_dims = 256
num_levels = 4

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
        depth=50,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(
        type='ChannelMapper',
        in_channels=[512, 1024, 2048],
        kernel_size=1,
        out_channels=embed_dims,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=num_levels,
    ),
    text_encoder=dict(type='TextEncoder', path=from_environment('BERT', 'google-bert/bert-base-uncased')),
    image_tokenizer=dict(
        type='LanguageGuidedImageTokenizer',
        num_tokens=100,
        num_feature_levels=num_levels,
        encoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=embed_dims, num_levels=num_levels),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=1024, ffn_drop=0.1),
            ),
        ),
        decoder=dict(
            num_layers=6,
            return_intermediate=True,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=embed_dims, num_heads=8, attn_drop=0.1, dropout_layer=dict(type='Dropout', drop_prob=0.1)
                ),
                cross_attn_cfg=dict(embed_dims=embed_dims, num_levels=num_levels),
                ffn_cfg=dict(embed_dims=embed_dims, feedforward_channels=1024, ffn_drop=0.1),
            ),
            post_norm_cfg=None,
        ),
        positional_encoding=dict(num_feats=embed_dims // 2, normalize=True, offset=-0.5),
    ),
    llm=dict(
        type='CausalLM',
        path=from_environment('LLM', 'chavinlo/alpaca-native'),
        freeze=True,
        dtype='bfloat16',
        # The paper states no rank; r = 64 on all projections of the attention is the usual reading.
        lora=dict(r=64, lora_alpha=16, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj']),
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
        loss_class=dict(type='ClassTokenLoss', loss_weight=1.0, none_weight=0.1),
        # One-hot targets.
        loss_location=dict(type='LocationTokenLoss', loss_weight=1.0, sigma=0.0),
    ),
    test_cfg=dict(max_per_img=100),
)

# The models at the paths above, for tools/plan_memory.py, which loads no weights: LLaMA-7B and BERT-Base.
planning = dict(
    llm=dict(
        path='chavinlo/alpaca-native',
        model_type='llama',
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        vocab_size=32000,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    ),
    text_encoder=dict(
        path='google-bert/bert-base-uncased',
        model_type='bert',
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        vocab_size=30522,
        max_position_embeddings=512,
    ),
)
