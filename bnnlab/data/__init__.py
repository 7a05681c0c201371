"""Data sets, one module each, and what they share. May import torch and data-set libraries."""
