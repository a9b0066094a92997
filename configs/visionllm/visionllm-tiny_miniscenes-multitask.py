# Stage 2: all tasks with one set of weights and the backbone frozen, from the weights of stage 1:
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-stage1.py
#   python tools/train.py configs/visionllm/visionllm-tiny_miniscenes-multitask.py
#   python tools/test.py configs/visionllm/visionllm-tiny_miniscenes-multitask.py \
#       work_dirs/visionllm-tiny_miniscenes-multitask/epoch_6.pth
_base_ = [
    '../_base_/models/visionllm_tiny_multitask.py',
    '../_base_/datasets/miniscenes_multitask.py',
    '../_base_/schedules/miniscenes_warmups.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/visionllm-tiny_miniscenes-stage1/epoch_2.pth'
model = dict(vocabulary={{_base_.vocabulary}}, backbone=dict(frozen_stages=4, norm_eval=True))
train_cfg = dict(max_epochs=6, val_interval=6)
optim_wrapper = dict(optimizer=dict(lr=6e-4))
default_hooks = {{_base_.warmups}}
# Which parameters get gradients depends on the task of the batch.
model_wrapper_cfg = dict(type='MMDistributedDataParallel', find_unused_parameters=True)
