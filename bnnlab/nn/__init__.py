"""Binary layers: gradient estimators, scaling rules, binary convolutions, counts. May import torch only."""
