# Detection on any COCO-format folder, from the released weights of the small multi-task model (or $WEIGHTS):
#   DATA_ROOT=dir python tools/browse_dataset.py configs/visionllm/visionllm-tiny_finetune-coco.py
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_finetune-coco.py
_base_ = ['./visionllm-tiny_custom-coco.py']

load_from = '{{$WEIGHTS:checkpoints/visionllm-tiny_miniscenes-multitask.pth}}'
# The parts that those weights belong to.
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[32, 64, 128, 256]),
    image_tokenizer=dict(encoder=dict(num_layers=1)),
    llm=dict(config=dict(num_hidden_layers=4)),
    task_decoder=dict(
        start_with_question=True, asked_phrases=3, place_points=True, place_octaves=3, tell_objectness=True
    ),
)

max_epochs = 30
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
