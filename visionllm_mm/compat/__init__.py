"""Work-arounds for the libraries underneath: everything that mends them is in this folder.

* ``environment``: the versions, and whether mmcv's compiled ops are built.
* ``ops_stand_in``: takes the place of the ops where they are not built.
* ``ops_finder``: lets Python find the stand-in; an installation has a copy that runs at every start of Python.
* ``safe_checkpoints``: checkpoints of mmengine load as data only.
* ``renamed``: configs and checkpoints of earlier checkouts are refused with what to change.
* ``repeated_samples``: repeats of an image within an epoch have random numbers of their own.
* ``lvis_numpy2``: mmdet's LVISMetric runs with NumPy 2.
* ``quiet``: lines that tell the user nothing are left out.
"""
