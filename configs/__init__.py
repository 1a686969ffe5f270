"""Configs: plain differences from `base.get_config()`."""
