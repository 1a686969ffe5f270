"""The models of this package in PyTorch, layer for layer, with the same names; for exports and for comparisons.

A network is a function of the linen module that it repeats: sizes stand there alone. PyTorch is imported when the first
model is built, never with these modules. `tests/parity/test_torch_models.py` holds both sides together.
"""
