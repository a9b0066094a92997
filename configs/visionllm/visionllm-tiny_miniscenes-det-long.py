# The long schedule: the same as the short one but for its length.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

train_cfg = dict(max_epochs=12, val_interval=2)
