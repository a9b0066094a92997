_base_ = ['./default_runtime.py']

# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(optimizer_file=dict(type='OptimizerFileHook'))
