"""Network families, one module each; variants spell out their numbers; one catalogue. May import nn."""
