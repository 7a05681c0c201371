"""Spec, plan, ledger, engine, search. May import experiment and paper."""
