"""`bnnlab models`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab models resnet_e18 --set downsampling=binary --input-size 32 --classes 10")(
        models
    )


def models(
    name: Annotated[
        str | None, typer.Argument(help="One network, layer by layer; all of them if left out.", show_default=False)
    ] = None,
    input_size: Annotated[int, typer.Option(min=4, help="Height and width of the images, in pixels.")] = 224,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 1000,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the network; repeatable.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Show what networks cost: parameters, deployed MiB, 1-bit and float MACs."""
    from bnnlab.cli.model_options import read_options
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
    from bnnlab.models.options import concrete_stem
    from bnnlab.models.summary import summary
    from bnnlab.paper.matching import published_for_model

    if set_ and name is None:
        say("--set needs the name of a network: its options are its own")
        raise typer.Exit(2)
    rows = []
    for each in [name] if name else MODELS:
        options = read_options(each, set_ or ())
        row = summary(each, input_size=input_size, classes=classes, options=options)
        stem = concrete_stem(options.get("stem", "auto"), (3, input_size, input_size))
        rows.append({**row, "stem": stem, "published": published_for_model(each, options)})
    if json:
        print_json(rows)
    elif name:
        layer_table(rows[0], input_size, classes)
    else:
        model_table(rows, input_size, classes)
