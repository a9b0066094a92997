# The long schedule: like the short one, with more epochs.
_base_ = ['./deformable-detr_r18_miniscenes.py']

train_cfg = dict(max_epochs=12, val_interval=2)
