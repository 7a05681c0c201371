"""An option list of the authors' code as a `RunConfig`, where bnnlab has the same network, data and
training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bnnlab.experiment.config import RunConfig

_TRUE = {"true", "1", "yes"}
_STEMS = {
    "imagenet": "imagenet",
    "thumbnail": "thumbnail",
    "grouped_stem": "grouped",
    "deepstem_grouped": "grouped",
}
_ESTIMATORS = {"det_sign": "ste", "sign_approx_sign": "approx_sign", "approx_sign": "approx_sign"}
_DENSENETS_2018 = {"13": [1, 1, 1, 1], "21": [2, 2, 2, 2], "37": [4, 4, 4, 4]}
_MELIUSNETS = {
    6_948_392: "meliusnet22",
    6_944_584: "meliusnet22",
    11_332_136: "meliusnet29",
    11_328_328: "meliusnet29",
    26_825_544: "meliusnet42",
    55_555_336: "meliusnet59",
    9_238_984: "meliusnet_a",
    12_239_176: "meliusnet_b",
    12_240_264: "meliusnet_c",
}
"""Told by their parameters: they are logged under the name densenet_flex."""
_IMAGES = {"cifar10": 10_000, "imagenet": 50_000}
"""To validate with."""


class _NotOurs(ValueError):
    """The run needs something that bnnlab does not have."""


def to_config(options: Mapping[str, str], accuracies: Sequence[float]) -> tuple[RunConfig | None, tuple[str, ...]]:
    """The configuration of a logged run, and what is to be said about it; None where there is no such one.

    Args:
        accuracies: the validation accuracies of its epochs, whose granularity tells the batch size.
    """
    notes: list[str] = []
    is_2020 = "num_params" in options
    try:
        run = {
            "model": _model(options, is_2020),
            "data": _data(options, is_2020),
            "training": _training(options, _batch_size(options, accuracies, is_2020, notes)),
            "evaluation": "paper",
            "seed": int(float(options.get("seed", "123"))),
        }
        return RunConfig.model_validate(run), tuple(notes)
    except _NotOurs as error:
        return None, (*notes, str(error))
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
        return None, (*notes, f"no configuration of bnnlab: {what}")
    except (KeyError, ValueError) as error:
        return None, (*notes, f"no configuration of bnnlab: option {error}")


def _model(options: Mapping[str, str], is_2020: bool) -> dict[str, Any]:
    logged = options.get("model", "")
    name = logged.removesuffix("-scaled")
    model: dict[str, Any] = {"binarization": _binarization(options)}
    scaled = logged.endswith("-scaled") or options.get("approximation", "").lower() == "xnor"
    if scaled:
        model["binarization"]["scaling"] = "xnor"
    stem = options.get("initial_layers", "thumbnail" if options.get("dataset") == "cifar10" else "imagenet")
    if stem not in _STEMS:
        raise _NotOurs(f"no configuration of bnnlab: stem '{stem}'")
    model["stem"] = _STEMS[stem]
    parameters = int(float(options.get("num_params", "0")))
    if parameters in _MELIUSNETS and name.endswith("_flex"):
        return model | {"name": _MELIUSNETS[parameters]}
    if name.startswith("densenet"):
        return model | _densenet(name.removeprefix("densenet"), options, is_2020)
    family, _, version = name.partition("_")
    depth = family.removeprefix("resnet")
    if not family.startswith("resnet") or depth not in ("18", "34") or version not in ("e1", "e2", "v1", "v2"):
        raise _NotOurs(f"no configuration of bnnlab: network '{logged}'")
    model["downsampling"] = "fp" if _downsamples_in_fp(options) else "binary"
    if version.startswith("e"):
        return model | {"name": f"resnet_e{depth}", "variant": version}
    if scaled:
        return model | {"name": f"xnor_resnet{depth}", "variant": version}
    return model | {"name": f"resnet_{version}_{depth}"}


def _binarization(options: Mapping[str, str]) -> dict[str, Any]:
    approx = _flag(options, "use_approx_sign")
    chosen = {}
    for field, option in (("estimator", "activation_method"), ("weight_estimator", "weight_quantization")):
        logged = options.get(option, "det_sign")
        if logged not in _ESTIMATORS:
            raise _NotOurs(f"no configuration of bnnlab: {option} '{logged}'")
        # One option of the first code switched activations and weights together.
        chosen[field] = "approx_sign" if approx else _ESTIMATORS[logged]
    return {**chosen, "window": float(options.get("clip_threshold", "1.0"))}


def _densenet(depth: str, options: Mapping[str, str], is_2020: bool) -> dict[str, Any]:
    structure = options.get("downsample_structure", "")
    if "max_pool" in structure:
        transition = "pool_relu_fp"
    elif not _downsamples_in_fp(options):
        transition = "binary_pool"
    else:
        relu = _flag(options, "add_relu_to_downsample") or "relu" in structure
        transition = "relu_fp_pool" if relu else "fp_pool"
    if depth in _DENSENETS_2018 and not is_2020:
        blocks = _DENSENETS_2018[depth]
    elif "block_config" in options:
        blocks = [int(part) for part in options["block_config"].split(",")]
    else:
        raise _NotOurs(f"no configuration of bnnlab: network 'densenet{depth}' without block_config")
    final = {(6, 6, 6, 5): "binary_densenet28", (6, 8, 12, 6): "binary_densenet37", (6, 12, 14, 8): "binary_densenet45"}
    growth_rate, init_features = int(options["growth_rate"]), int(options.get("init_features", "64"))
    if tuple(blocks) in final:
        own = {"name": final[(blocks[0], blocks[1], blocks[2], blocks[3])]}
        return own | {"growth_rate": growth_rate, "init_features": init_features, "transition": transition}
    return {
        "name": "binary_densenet_flex",
        "blocks": blocks,
        "growth_rate": growth_rate,
        "init_features": init_features,
        "reduction": _reduction(options["reduction"]),
        "transition": transition,
    }


def _reduction(logged: str) -> list[float]:
    rates = [float(part) for part in logged.split(",")]
    return rates * 3 if len(rates) == 1 else rates


def _downsamples_in_fp(options: Mapping[str, str]) -> bool:
    return _flag(options, "fp_downsample_sc") or "fp_conv" in options.get("downsample_structure", "")


def _data(options: Mapping[str, str], is_2020: bool) -> dict[str, Any]:
    dataset = options.get("dataset", "")
    if dataset not in _IMAGES:
        raise _NotOurs(f"no configuration of bnnlab: data set '{dataset}'")
    if is_2020:
        level = options.get("augmentation", "medium")
        return {"name": dataset, "augmentation": "pad4_mirror" if dataset == "cifar10" else level}
    if dataset == "imagenet":
        # The level was not handed to the ImageNet loader, whatever the log says: a crop and a mirror.
        return {"name": dataset, "augmentation": "low", "normalization": "none"}
    level = options.get("augmentation_level") or options.get("augmentation") or "3"
    return {"name": dataset, "augmentation": f"level{level[-1]}", "normalization": "none"}


def _training(options: Mapping[str, str], batch_size: int) -> dict[str, Any]:
    mode = options.get("lr_mode", "step")
    warm_up = float(options.get("warmup_epochs", "0"))
    schedule: dict[str, Any] = {"name": mode, "warmup_epochs": warm_up}
    if mode == "step":
        milestones = [int(part) for part in options["lr_steps"].split(",") if part]
        schedule |= {"milestones": milestones, "factor": float(options.get("lr_factor", "0.1"))}
    optimizer = {"name": options.get("optimizer", "adam").lower(), "lr": float(options["lr"])}
    optimizer["weight_decay"] = float(options.get("wd", "0"))
    epochs = int(float(options["epochs"]))
    return {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "schedule": schedule}


def _batch_size(options: Mapping[str, str], accuracies: Sequence[float], is_2020: bool, notes: list[str]) -> int:
    """The total batch size.

    The log gives the total until November 2018 and the size per GPU after that. Accuracies are averages over
    whole batches, so their granularity tells which.
    """
    logged = int(float(options["batch_size"]))
    gpus = max(1, sum(bool(part) for part in options.get("gpus", "0").split(",")))
    readings = [logged * gpus, logged] if is_2020 else [logged, logged * gpus]
    images = _IMAGES.get(options.get("dataset", ""), 0)
    fitting = [size for size in dict.fromkeys(readings) if images and _fits(accuracies, images, size)]
    if len(set(readings)) > 1 and len(fitting) != 1:
        notes.append(f"whether the batch size {logged} is of one of {gpus} GPUs or of all is not certain")
    return fitting[0] if fitting else readings[0]


def _fits(accuracies: Sequence[float], images: int, batch_size: int) -> bool:
    """Whether all accuracies are counts of whole batches of this size, read to six decimals."""
    whole = images // batch_size * batch_size
    totals = {total for total in (whole, whole + batch_size) if total}
    return any(
        all(abs(value * total - round(value * total)) <= 5e-7 * total + 1e-6 for value in accuracies)
        for total in totals
    )


def _flag(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in _TRUE
