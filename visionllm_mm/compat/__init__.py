"""Work-arounds for the libraries underneath: everything that mends them is in this folder.

* ``environment``: the versions, and a stand-in for mmcv's compiled ops where they are not built.
* ``safe_checkpoints``: checkpoints of mmengine load as data only.
* ``renamed``: configs and checkpoints of earlier checkouts are refused with what to change.
* ``lvis_numpy2``: mmdet's LVISMetric runs with NumPy 2.
"""
