"""Weights of other models, brought into ours."""
