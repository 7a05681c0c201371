"""Bit-packed files, the packed runtime, exporters. May import nn and models."""
