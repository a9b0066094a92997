"""Additions to the losses: one file each, one line of a config each."""
