"""Language-guided image tokenizer: feature scales and language to image tokens (paper, section 3.3)."""

import torch
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.detectors import DeformableDETR
from mmdet.models.layers import (
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerEncoder,
    SinePositionalEncoding,
)
from mmdet.models.layers.transformer.utils import inverse_sigmoid
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..structures import ImageTokens, Proposals
from .layers.cross_modal_fusion import CrossModalFusion
from .layers.encoder_proposals import EncoderProposals, best_positions, box_head, objectness_head
from .layers.position_embedding import sine_embedding


@MODELS.register_module()
class LanguageGuidedImageTokenizer(nn.Module):
    """Cross-attention fusion per scale, then a Deformable DETR whose queries become the image tokens.

    The layers are mmdet's own. Unlike a detector's, the heads predict only whether a token describes something that the
    instruction asks for, and where its center is; both on every decoder layer, with refinement of the center from
    layer to layer.

    Args:
        num_tokens: M (paper: 100).
        text_dims: width of the language features.
        encoder: arguments of mmdet's DeformableDetrTransformerEncoder, as in a DeformableDETR config.
        decoder: arguments of mmdet's DeformableDetrTransformerDecoder.
        positional_encoding: arguments of mmdet's SinePositionalEncoding.
        num_feature_levels: L.
        as_two_stage: off, as in the paper, the queries start at learned points. On, as in two-stage Deformable DETR
            with box refinement, the encoder proposes boxes, the queries start at the best of them, and heads and
            reference points have sizes, which guide where the decoder looks. The contents of the queries stay learned
            ("mixed query selection" of DINO, arXiv 2203.03605).
    """

    # mmdet's own flattening of feature levels; it uses positional_encoding and level_embed below.
    pre_transformer = DeformableDETR.pre_transformer
    get_valid_ratio = staticmethod(DeformableDETR.get_valid_ratio)

    def __init__(
        self,
        num_tokens: int,
        text_dims: int,
        encoder: dict,
        decoder: dict,
        positional_encoding: dict,
        num_feature_levels: int = 4,
        as_two_stage: bool = False,
    ) -> None:
        super().__init__()
        self.positional_encoding = SinePositionalEncoding(**positional_encoding)
        self.encoder = DeformableDetrTransformerEncoder(**encoder)
        self.decoder = DeformableDetrTransformerDecoder(**decoder)
        self.embed_dims = self.encoder.embed_dims
        dims, layers = self.embed_dims, self.decoder.num_layers
        if 2 * self.positional_encoding.num_feats != dims:
            raise ValueError(
                f'positional_encoding.num_feats must be half of embed_dims = {dims}, '
                f'got {self.positional_encoding.num_feats}'
            )
        self.num_tokens = num_tokens
        self.as_two_stage = as_two_stage
        self.box_dims = 4 if as_two_stage else 2
        self.level_embed = nn.Parameter(torch.empty(num_feature_levels, dims))
        self.query_embedding = nn.Embedding(num_tokens, dims)
        if as_two_stage:
            self.query_position = nn.Linear(2 * dims, dims)
        else:
            self.query_position = nn.Embedding(num_tokens, dims)
            self.reference_points_fc = nn.Linear(dims, 2)
        self.text_projection = nn.Linear(text_dims, dims)
        self.fusions = nn.ModuleList(CrossModalFusion(dims) for _ in range(num_feature_levels))
        self.objectness_heads = nn.ModuleList(objectness_head(dims) for _ in range(layers))
        self.place_heads = nn.ModuleList(box_head(dims, self.box_dims) for _ in range(layers))
        self.proposals = EncoderProposals(dims) if as_two_stage else None
        self.init_weights()

    def init_weights(self) -> None:
        """Initial weights as Deformable DETR's."""
        for part in (self.encoder, self.decoder):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()
        nn.init.normal_(self.level_embed)
        if not self.as_two_stage:
            nn.init.xavier_uniform_(self.reference_points_fc.weight)
            nn.init.zeros_(self.reference_points_fc.bias)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Weights with another number of tokens: the contents of the queries are repeated, or the first ones used.

        Raises:
            ValueError: when the queries also have learned points, which can't be repeated.
        """
        name = f'{prefix}query_embedding.weight'
        saved = state_dict.get(name)
        if saved is not None and len(saved) != self.num_tokens:
            if not self.as_two_stage:
                raise ValueError(
                    f'the checkpoint has {len(saved)} image tokens at learned points and this model '
                    f'{self.num_tokens}: set image_tokenizer.num_tokens={len(saved)}'
                )
            state_dict[name] = saved[torch.arange(self.num_tokens, device=saved.device) % len(saved)]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self,
        features: tuple[Tensor, ...],
        language: Tensor,
        language_padding: Tensor,
        data_samples: list,
        extra_boxes: Tensor | None = None,
    ) -> ImageTokens:
        """Makes the image tokens of a batch, in float32 also within autocast.

        mmcv's deformable attention on GPUs knows no bfloat16, and a point with its 8 bits would be coarser than a
        location token.

        Args:
            features: L maps (B, D, H_l, W_l).
            language: (B, words, ``text_dims``).
            language_padding: (B, words) bool, True = padding.
            data_samples: B samples with ``batch_input_shape`` and ``img_shape`` (px), which say what is padding.
            extra_boxes: (B, Q, 4), centers and sizes that Q further tokens start from, each of which sees no other
                token; None: none. For a tokenizer of two stages.

        Returns:
            The tokens, with objectness and centers of every decoder layer.
        """
        with torch.autocast(language.device.type, enabled=False):
            language = self.text_projection(language.float())  # (B, words, text_dims) -> (B, words, D)
            fused = [
                fuse(level.float(), language, language_padding)
                for fuse, level in zip(self.fusions, features, strict=True)
            ]
            memory, proposals, decoder_inputs = self._encode(fused, data_samples)
            first = self._first_references(proposals, decoder_inputs['spatial_shapes'], len(memory))
            if extra_boxes is not None:
                first = torch.cat([extra_boxes, first], dim=1)  # (B, Q + M, 4)
            tokens = self._decode(memory, first, decoder_inputs)
        count = first.shape[1] - self.num_tokens
        main = _slice(tokens, count, None)
        main.proposals = proposals
        main.extra = _slice(tokens, 0, count) if count else None
        return main

    def _encode(self, fused: list[Tensor], data_samples: list) -> tuple[Tensor, Proposals | None, dict]:
        """Encoded features (B, E, D) of all scales, what they propose, and further inputs of the decoder."""
        inputs, decoder_inputs = self.pre_transformer(fused, data_samples)
        padding, shapes, ratios = inputs['feat_mask'], inputs['spatial_shapes'], inputs['valid_ratios']
        memory = self.encoder(
            query=inputs['feat'],
            query_pos=inputs['feat_pos'],
            key_padding_mask=padding,
            spatial_shapes=shapes,
            level_start_index=inputs['level_start_index'],
            valid_ratios=ratios,
        )
        proposals = None
        if self.as_two_stage:
            proposals = self.proposals(memory, padding, shapes, ratios, data_samples)
        decoder_inputs['key_padding_mask'] = decoder_inputs.pop('memory_mask')
        return memory, proposals, decoder_inputs

    def _first_references(self, proposals: Proposals | None, spatial_shapes: Tensor, batch: int) -> Tensor:
        """Where the queries start: (B, M, 2 or 4) in [0, 1]."""
        if proposals is None:
            return self.reference_points_fc(self.query_position.weight).sigmoid().expand(batch, -1, -1)
        if proposals.objectness.shape[1] < self.num_tokens:
            raise ValueError(
                f'the feature scales have {proposals.objectness.shape[1]} positions, fewer than '
                f'num_tokens = {self.num_tokens}: resize images to a larger scale or lower num_tokens'
            )
        best = best_positions(proposals.objectness.detach(), spatial_shapes, self.num_tokens)
        # (B, E, 4), (B, M) -> (B, M, 4)
        return proposals.boxes_cxcywh.detach().gather(1, best[..., None].expand(-1, -1, 4))

    def _decode(self, memory: Tensor, first: Tensor, decoder_inputs: dict) -> ImageTokens:
        """Tokens that start from ``first`` (B, Q + M, 2 or 4); each of the first Q sees itself alone."""
        size, device = first.shape[1], memory.device
        count = size - self.num_tokens
        # Contents are repeated for the Q extra queries: (M, D) -> (B, Q + M, D).
        rows = torch.cat([torch.arange(count) % self.num_tokens, torch.arange(self.num_tokens)]).to(device)
        query = self.query_embedding.weight[rows].expand(len(memory), -1, -1)
        self_attn_mask = None
        if count:
            self_attn_mask = ~torch.eye(size, dtype=torch.bool, device=device)
            self_attn_mask[count:, count:] = False
        if self.as_two_stage:
            query_pos = self.query_position(sine_embedding(first, self.embed_dims // 2))
        else:
            query_pos = self.query_position.weight.expand_as(query)
        states, references = self.decoder(
            query=query,
            query_pos=query_pos,
            value=memory,
            reference_points=first,
            reg_branches=self.place_heads,
            self_attn_mask=self_attn_mask,
            **decoder_inputs,
        )
        references = torch.cat([first[None], references[:-1]])
        boxes = torch.stack(
            [
                (head(state) + inverse_sigmoid(reference)).sigmoid()
                for head, state, reference in zip(self.place_heads, states, references, strict=True)
            ]
        )  # (layers, B, Q + M, 2 or 4)
        objectness = torch.stack(
            [head(state).squeeze(-1) for head, state in zip(self.objectness_heads, states, strict=True)]
        )
        sizes = boxes[..., 2:] if self.as_two_stage else None
        return ImageTokens(states, boxes[..., :2], objectness, sizes)


def _slice(tokens: ImageTokens, start: int, stop: int | None) -> ImageTokens:
    """Some of the tokens."""
    sizes = None if tokens.sizes_norm is None else tokens.sizes_norm[:, :, start:stop]
    return ImageTokens(
        tokens.embeddings[:, :, start:stop],
        tokens.centers_norm[:, :, start:stop],
        tokens.objectness[:, :, start:stop],
        sizes,
    )
