# The long schedule: the same as the short one but for its length.
_base_ = ['./deformable-detr_r18_miniscenes.py']

train_cfg = dict(max_epochs=12, val_interval=2)
