"""Weights of other models, brought into ours, and files of packages on PyPI."""
