# The long schedule: like the short one, with more epochs.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

train_cfg = dict(max_epochs=12, val_interval=2)
