"""The Typer app, one file per command: parse, call one function, print. Imports every room, inside functions."""
