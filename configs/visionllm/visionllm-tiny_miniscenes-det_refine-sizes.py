# On trial: the tokenizer refines centre and size of the objects, as Deformable DETR does with box refinement.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

model = dict(
    image_tokenizer=dict(refine_sizes=True),
    criterion=dict(
        loss_size=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0)))
