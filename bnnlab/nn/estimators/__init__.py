"""Gradient estimators, one module each: the forward pass is always sign, the backward pass is the method."""
