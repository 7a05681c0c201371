"""Searches: what `search:` in a spec asks for, proposed by Optuna, trained and remembered like any study."""
