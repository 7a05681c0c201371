"""bnnlab: ablation studies of binary neural networks, from a YAML question to an answer that holds up."""

__version__ = "0.1.0"
