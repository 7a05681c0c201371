"""`bnnlab models`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab models resnet_e18 --input-size 32 --classes 10")(models)


def models(
    name: Annotated[
        str | None, typer.Argument(help="One network, layer by layer; all of them if left out.", show_default=False)
    ] = None,
    input_size: Annotated[int, typer.Option(min=4, help="Height and width of the images, in pixels.")] = 224,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 1000,
    json: Json = False,
) -> None:
    """Show what networks cost: parameters, deployed MiB, 1-bit and float MACs."""
    from bnnlab.cli.model_tables import layer_table, model_table
    from bnnlab.cli.output import print_json, say
    from bnnlab.models.config import MODELS
    from bnnlab.sweep.mistakes import nearest

    if name is not None and name not in MODELS:
        close = nearest(name, list(MODELS))
        say(f"unknown model '{name}'.  allowed: {', '.join(sorted(MODELS))}")
        if close:
            say(f"Did you mean '{close}'?")
        raise typer.Exit(2)
    from bnnlab.models.summary import summary
    from bnnlab.paper.matching import published_for_model

    names = [name] if name else list(MODELS)
    rows = [{**summary(n, input_size=input_size, classes=classes), "published": published_for_model(n)} for n in names]
    if json:
        print_json(rows)
    elif name:
        layer_table(rows[0], input_size, classes)
    else:
        model_table(rows, input_size, classes)
