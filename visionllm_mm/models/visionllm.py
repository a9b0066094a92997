"""The VisionLLM detector: wires the blocks of the paper's figure 3 together."""

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..compat.renamed import refuse_old_options, refuse_old_weights
from ..instructions import Instruction, Vocabulary, parse_instruction
from ..structures import ImageTokens, TrainStep
from .criterion import SetCriterion
from .format_reader import FormatReader
from .image_sizes import FeaturesBySize
from .layers.added_tokens import AddedTokens
from .losses import TextLoss
from .postprocess import SetPostprocessor
from .targets import set_targets
from .text_decoding import answer_logits, generate


@MODELS.register_module()
class VisionLLM(BaseDetector):
    """A large language model as an open-ended decoder for vision tasks.

    Every data sample carries an ``instruction`` (text with ``<image>``) in its metainfo; it alone states what to look
    for and how to answer.

    Args:
        backbone: any mmdet backbone.
        neck: brings the features to the tokenizer's width, e.g. mmdet's ChannelMapper.
        text_encoder: :class:`TextEncoder`.
        image_tokenizer: :class:`LanguageGuidedImageTokenizer`.
        llm: :class:`CausalLM`.
        vocabulary: arguments of :class:`Vocabulary`, the added tokens.
        criterion: arguments of :class:`SetCriterion`, whose losses and assigner are built here, and ``loss_words``,
            :class:`TextLoss`.
        added_tokens: further arguments of :meth:`AddedTokens.for_llm`.
        token_projector: further arguments of :class:`TokenProjector`.
        hints: what is added to the inputs of the LLM; None: :class:`NoHints`, as in the paper.
        auxiliary: additions to the losses by name, see :class:`AuxiliaryLoss`; None as a value switches one off.
        format_source: who reads the output format off an instruction while predicting: ``rule``, the parser, or
            ``llm``, see :class:`FormatReader`. While training, the parser does.
        test_cfg: arguments of :class:`SetPostprocessor`, and in ``text`` those of :func:`generate`.
        train_cfg: unused; mmdet's tools expect it.
        data_preprocessor: as in any mmdet detector.
        init_cfg: as in any mmdet detector.
        renamed: options of earlier checkouts, which are refused.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        text_encoder: dict,
        image_tokenizer: dict,
        llm: dict,
        vocabulary: dict,
        criterion: dict,
        added_tokens: OptConfigType = None,
        token_projector: OptConfigType = None,
        hints: OptConfigType = None,
        auxiliary: OptConfigType = None,
        format_source: str = 'rule',
        test_cfg: OptConfigType = None,
        train_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
        **renamed,
    ) -> None:
        refuse_old_options(renamed, image_tokenizer=image_tokenizer, criterion=criterion, test_cfg=test_cfg)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.vocabulary = Vocabulary(**vocabulary)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.text_encoder = MODELS.build(text_encoder)
        self.image_tokenizer = MODELS.build(dict(image_tokenizer, text_dims=self.text_encoder.embed_dims))
        self.task_decoder = self._build_task_decoder(llm, added_tokens or {}, token_projector or {}, hints or {})
        parts = {name: MODELS.build(cfg) for name, cfg in criterion.items() if name != 'assigner' and cfg is not None}
        self.loss_words = parts.pop('loss_words', None) or TextLoss()
        self.criterion = SetCriterion(TASK_UTILS.build(criterion['assigner']), **parts)
        if format_source not in ('rule', 'llm'):
            raise ValueError(f"format_source must be 'rule' or 'llm', got {format_source!r}")
        self.format_reader = FormatReader(self.task_decoder, self.vocabulary) if format_source == 'llm' else None
        settings = dict(test_cfg or {})
        self.generation = dict(settings.pop('text', {}))
        self.postprocessor = SetPostprocessor(**settings)
        additions = {name: MODELS.build(cfg) for name, cfg in (auxiliary or {}).items() if cfg is not None}
        self.auxiliary = nn.ModuleDict(additions)
        for part in self.auxiliary.values():
            part.check(self)

    def _build_task_decoder(self, llm: dict, added_tokens: dict, token_projector: dict, hints: dict) -> nn.Module:
        llm, tokenizer = MODELS.build(llm), self.image_tokenizer
        tokens = AddedTokens.for_llm(llm, self.vocabulary, **added_tokens)
        sizes = dict(token_dims=tokenizer.embed_dims, llm_dims=llm.embed_dims, box_dims=tokenizer.box_dims)
        projector = dict(type='TokenProjector', word_norm=llm.word_norm) | sizes | token_projector
        hints = dict(type='NoHints', llm=llm, vocabulary=self.vocabulary) | hints
        return MODELS.build(
            dict(
                type='OpenEndedTaskDecoder',
                llm=llm,
                vocabulary=self.vocabulary,
                added_tokens=tokens,
                projector=MODELS.build(projector),
                hints=MODELS.build(hints),
            )
        )

    def train(self, mode: bool = True) -> 'VisionLLM':
        self._forget_formats()
        return super().train(mode)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses weights of another model, which a non-strict load would pass over with a warning."""
        self._forget_formats()
        names = [name.removeprefix(prefix) for name in state_dict if name.startswith(prefix)]
        parts = sorted({name.split('.')[0] for name in names})
        if 'task_decoder' not in parts:
            raise ValueError(
                f'the checkpoint holds no VisionLLM: it has {parts}, but no task_decoder. To begin with the backbone '
                "of another detector set model.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., "
                "prefix='backbone.')"
            )
        refuse_old_weights(names)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _forget_formats(self) -> None:
        if self.format_reader is not None:
            self.format_reader.clear()

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> L maps (B, D, H_l, W_l)."""
        return self.neck(self.backbone(batch_inputs))

    def parse_instructions(self, data_samples: SampleList) -> list[Instruction]:
        """Instructions of B samples; a ValueError where a sample has none, or one that can't be parsed."""
        if any('instruction' not in sample for sample in data_samples):
            raise ValueError(
                'a data sample has no instruction: add a transform such as DetectionInstruction to the '
                "pipeline, and 'instruction' to the meta_keys of the one that packs"
            )
        texts = [sample.instruction for sample in data_samples]
        if self.format_reader is not None and not self.training:
            return self.format_reader(texts)
        return [parse_instruction(text, self.vocabulary) for text in texts]

    def tokenize(
        self,
        features: tuple[Tensor, ...],
        data_samples: SampleList,
        instructions: list[Instruction],
        extra_boxes: Tensor | None = None,
    ) -> ImageTokens:
        """L feature maps (B, D, H_l, W_l) and instructions to image tokens."""
        language, padding = self.text_encoder([instruction.language for instruction in instructions])
        return self.image_tokenizer(features, language, padding, data_samples, extra_boxes)

    def project(self, tokens: ImageTokens) -> tuple[Tensor, Tensor]:
        """Contents (layers, B, M, width), and what the LLM reads of the tokens (B, M, width)."""
        decoder = self.task_decoder
        content = decoder.projector.project_content(tokens.embeddings)
        inputs = decoder.projector(content[-1], tokens.boxes_cxcywh[-1].detach())
        return content, decoder.hints.image_tokens(inputs, tokens.objectness[-1].detach().sigmoid())

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch by name: L_tok + L_dec (+ alignment), or ``loss_words`` where text is asked for.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: B samples with an ``instruction`` and its targets; all ask for objects, or all for text.

        Raises:
            ValueError: also when some images ask for objects and others for text.
        """
        step = self.read(batch_inputs, batch_data_samples)
        losses = self.text_losses(step) if step.asks_for_text else self.set_losses(step)
        for part in self.auxiliary.values():
            losses |= part(self, step)
        return losses

    def read(self, batch_inputs: Tensor, data_samples: SampleList) -> TrainStep:
        """A step up to what the LLM reads of the image tokens."""
        step = TrainStep(data_samples, self.parse_instructions(data_samples))
        if len({instruction.asks_for_text for instruction in step.instructions}) > 1:
            raise ValueError(
                'some images of the batch ask for objects and others for text: train on one task per batch'
            )
        if all('object_names' in sample for sample in data_samples):
            step.names = self.task_decoder.prefix_builder.embed_names([sample.object_names for sample in data_samples])
        if step.names is not None or not step.asks_for_text:
            step.targets = set_targets(data_samples)
        for part in self.auxiliary.values():
            part.prepare(step)
        extra_boxes = None if step.noisy_boxes is None else step.noisy_boxes.boxes_cxcywh
        features = self.extract_feat(batch_inputs)
        step.tokens = self.tokenize(features, data_samples, step.instructions, extra_boxes)
        step.content, step.inputs = self.project(step.tokens)
        return step

    def set_losses(self, step: TrainStep) -> dict[str, Tensor]:
        """L_tok + L_dec of a step that asks for objects; sets its ``matches``."""
        state = self.task_decoder.read(step.instructions, step.inputs)
        step.names = step.names or state.prefix.names
        class_logits = self.task_decoder.class_logits(state)
        step.matches = self.criterion.match(step.tokens, step.targets, class_logits)
        num_points = max(instruction.num_points for instruction in step.instructions)
        point_logits = self.task_decoder.point_logits(state, step.matches.tokens, num_points)
        return self.criterion(step, class_logits, point_logits)

    def text_losses(self, step: TrainStep) -> dict[str, Tensor]:
        """Loss of the text and, where the objects of all images are known, of what the tokens should describe."""
        answers = [sample.answer for sample in step.samples]
        logits, words = answer_logits(self.task_decoder, step.instructions, step.inputs, answers)
        losses = dict(loss_words=self.loss_words(logits, words))
        if step.targets is None:
            return losses
        step.matches = self.criterion.match(step.tokens, step.targets)
        return losses | self.criterion.object_losses(step)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Predictions as mmdet's ``pred_instances``, or as ``pred_text`` where text is asked for.

        ``pred_instances`` has bboxes (xyxy, px), scores, labels and label_names; for named points, or three and more,
        also points (A, N, 2) in px, and for polygons the masks (A, H, W) that they enclose, once more as COCO's RLE in
        mask_rles. ``class_tokens`` (A,) and ``offset_bins`` (A, N, 2) are the most likely tokens of the answers,
        ``<ck>`` and ``<pi>``, i within the range that the instruction states; points are finer, see
        :func:`decode_expected_offsets`.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: samples with an ``instruction``; and with ``class_groups``, pairs of instruction and
                ``class_labels``, where there are more classes than one instruction can name. The groups are asked for
                one by one, and the best ``max_per_img`` of all of them are kept.
            rescale: whether the boxes are in pixels of the original images.

        Raises:
            ValueError: when a sample can't be answered.
        """
        instructions = self.parse_instructions(batch_data_samples)
        features = FeaturesBySize.extract(self.extract_feat, batch_inputs, batch_data_samples)
        for asks_for_text, answer in ((True, self._predict_text), (False, self._predict_objects)):
            rows = [i for i, instruction in enumerate(instructions) if instruction.asks_for_text == asks_for_text]
            if rows:
                samples = [batch_data_samples[i] for i in rows]
                answer(features.of(rows), samples, [instructions[i] for i in rows], rescale)
        return batch_data_samples

    def _predict_text(
        self, features: FeaturesBySize, data_samples: SampleList, instructions: list[Instruction], rescale: bool
    ) -> None:
        _, inputs = self.project(features.tokenize(self.tokenize, data_samples, instructions))
        histories = [sample.get('history', ()) for sample in data_samples]
        texts = generate(self.task_decoder, instructions, inputs, histories=histories, **self.generation)
        for sample, text in zip(data_samples, texts, strict=True):
            sample.pred_text = text

    def _predict_objects(
        self, features: FeaturesBySize, data_samples: SampleList, instructions: list[Instruction], rescale: bool
    ) -> None:
        results = self._find_objects(features, data_samples, instructions, rescale)
        num_groups = [len(sample.get('class_groups', ())) for sample in data_samples]
        for group in range(1, max(num_groups)):
            rows = [i for i, count in enumerate(num_groups) if count > group]
            samples = [self._with_group(data_samples[i], group) for i in rows]
            found = self._find_objects(features.of(rows), samples, self.parse_instructions(samples), rescale)
            for i, more in zip(rows, found, strict=True):
                results[i] = self.postprocessor.keep_best(InstanceData.cat([results[i], more]))
        self.add_pred_to_datasample(data_samples, results)

    @staticmethod
    def _with_group(sample: DetDataSample, group: int) -> DetDataSample:
        text, labels = sample.class_groups[group]
        return DetDataSample(metainfo=sample.metainfo | dict(instruction=text, class_labels=labels))

    def _find_objects(
        self, features: FeaturesBySize, data_samples: SampleList, instructions: list[Instruction], rescale: bool
    ) -> list[InstanceData]:
        tokens = features.tokenize(self.tokenize, data_samples, instructions)
        state = self.task_decoder.read(instructions, self.project(tokens)[1])
        class_logits = self.task_decoder.class_logits(state)
        selection = self.postprocessor.select(tokens, class_logits, state.prefix.names.class_valid)
        num_points = max(instruction.num_points for instruction in instructions)
        point_logits = self.task_decoder.point_logits(state, selection.tokens, num_points)
        return self.postprocessor(tokens, selection, point_logits, instructions, data_samples, rescale)

    def check_instructions(self, texts: list[str]) -> None:
        """Raises a ValueError where an instruction can't be read, or is too long for the text encoder or the LLM."""
        if not texts:
            return
        instructions = [self._read_without_image(text) for text in texts]
        self.text_encoder.check_lengths([instruction.language for instruction in instructions])
        length = self.generation.get('max_length', 50) + self.task_decoder.hints.num_answer_tokens - 1
        answers = [length if i.asks_for_text else len(i.output_format) for i in instructions]
        self.task_decoder.prefix_builder.check_lengths(instructions, self.image_tokenizer.num_tokens, answers)

    def _read_without_image(self, text: str) -> Instruction:
        """What the rules read, and the LLM of a template that states no format."""
        try:
            return parse_instruction(text, self.vocabulary)
        except ValueError:
            if self.format_reader is None:
                raise
            return self.format_reader([text])[0]

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> tuple[Tensor, ...]:
        """Raw outputs: objectness (B, M), centers (B, M, 2), class logits (B, M, K + 1) and point logits of all
        tokens (B, M, N, 2, 2R + 1)."""
        instructions = self.parse_instructions(batch_data_samples)
        tokens = self.tokenize(self.extract_feat(batch_inputs), batch_data_samples, instructions)
        state = self.task_decoder.read(instructions, self.project(tokens)[1])
        all_tokens = torch.arange(self.image_tokenizer.num_tokens, device=batch_inputs.device)
        num_points = max(1, *(instruction.num_points for instruction in instructions))
        points = self.task_decoder.point_logits(state, all_tokens.expand(len(batch_inputs), -1), num_points)
        return tokens.objectness[-1], tokens.centers_norm[-1], self.task_decoder.class_logits(state), points
