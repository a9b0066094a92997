"""Pretrained parts: loading, naming by content, and frozen weights that stay out of checkpoints."""
