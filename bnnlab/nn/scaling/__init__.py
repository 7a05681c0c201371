"""Scaling rules, one module each: what multiplies the signed sum y of a binary layer.

Every rule takes y, whose second axis is the layer's output channels, and the ingredients that the catalogue
names.
"""
