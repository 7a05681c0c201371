"""The importer of the authors' results wiki, on a small wiki of the kinds of log that it has."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnlab.paper.matching import match
from bnnlab.paper.wiki import read_wiki

RESNET_2018 = {
    "activation_method": "det_sign",
    "augmentation_level": "3",
    "batch_size": "128",
    "clip_threshold": "1.0",
    "dataset": "cifar10",
    "epochs": "150",
    "fp_downsample_sc": "True",
    "gpus": "0",
    "lr": "0.01",
    "lr_factor": "0.3",
    "lr_steps": "75,100,125",
    "model": "resnet18_e2",
    "optimizer": "adam",
    "pool_downsample_sc": "True",
    "seed": "123",
    "wd": "0.0",
    "data_dir": "/home/someone/data",
    "logging_dir": "meta/tblogs')",
    "resume": "None",
}
DENSENET_2020 = {
    "num_params": "5131496",
    "num_params_q": "4202496",
    "model_size": "19.58",
    "model_size_q": "4.04",
    "flops_total": "3790000000",
    "flops_fp": "201910000",
    "flops_q": "3587400000",
    "flops_combined": "257960000",
    "augmentation": "medium",
    "batch_size": "32",
    "block_config": "6,6,6,5",
    "clip_threshold": "1.3",
    "dataset": "imagenet",
    "downsample_structure": "bn,max_pool,relu,fp_conv",
    "epochs": "120",
    "gpus": "0,1",
    "growth_rate": "64",
    "init_features": "64",
    "initial_layers": "grouped_stem",
    "lr": "0.002",
    "lr_mode": "cosine",
    "model": "densenet_flex",
    "optimizer": "radam",
    "reduction": "2.7,2.7,2.2",
}
DETAILS = """# Details

```bash
python image_classification.py \\
--model resnet18_e2 \\
--lr 0.01 \\
--lr-steps "75,100,125" \\
--batch-size 256 \\
--pool-downsample-sc
```
[log](post_process.csv)
"""


def log(options, epochs, *, start=1, repeat_last_names=False):
    """A log as the authors' script writes it; `epochs` are (val top-1, val top-5, train top-1)."""
    metrics = ["val_acc", "val_acc_top_k_5", "train_acc", "train_acc_top_k_5"]
    out = io.StringIO()
    writer = csv.writer(out)
    names = [*options, "epoch", "time", "exp_folder_name", *metrics]
    writer.writerow([*names, *metrics] if repeat_last_names else names)
    for number, (top1, top5, train) in enumerate(epochs, start):
        cells = [*options.values(), number, f" {10 + number}.5", "run'", top1, top5, train, train]
        writer.writerow([*cells, top1, top5, train, train] if repeat_last_names else cells)
    return out.getvalue()


def write(root, folder, text, details=DETAILS):
    path = root / "experiment" / folder
    path.mkdir(parents=True)
    if text is not None:
        (path / "post_process.csv").write_text(text)
    if details is not None:
        (path / "details.md").write_text(details)


def read_one(tmp_path, text, details=None):
    write(tmp_path, "mnes/44db0eb425328a2f8958173346c79005", text, details)
    wiki = read_wiki(tmp_path)
    assert wiki.skipped == ()
    (run,) = wiki.runs
    return run


CURVE = [(4000 / 9984, 9000 / 9984, 0.35), (8749 / 9984, 9938 / 9984, 0.9), (8700 / 9984, 9940 / 9984, 0.95)]


def test_a_log_of_2018_becomes_the_run_of_its_table_row(tmp_path):
    run = read_one(tmp_path, log(RESNET_2018, CURVE), DETAILS)
    assert (run.id, run.folder) == ("mnes-44db0eb4", "experiment/mnes/44db0eb425328a2f8958173346c79005")
    assert [(epoch.epoch, epoch.seconds) for epoch in run.epochs] == [(1, 11.5), (2, 12.5), (3, 13.5)]
    assert run.epochs[1].metrics == pytest.approx(
        {"val/top1": 8749 / 9984, "val/top5": 9938 / 9984, "train/top1": 0.9, "train/top5": 0.9}
    )
    assert run.metrics == pytest.approx(
        {
            "test/top1": 8700 / 9984,
            "test/top1_best": 8749 / 9984,
            "test/top5": 9940 / 9984,
            "test/top5_best": 9940 / 9984,
        }
    )
    found = match(run.config, "cifar10_ablation")
    assert (found.row.run_id, found.reasons) == ("01686f78", ())
    assert run.notes == ("the command page says batch_size 256, the log 128: the log is right",)
    assert run.record.run_key == "reference-mnes-44db0eb4" != run.config.run_key
    assert run.record.provenance["kind"] == "reference"


def test_a_log_of_2020_brings_sizes_and_counts(tmp_path):
    run = read_one(tmp_path, log(DENSENET_2020, [(30000 / 49984, 40000 / 49984, 0.5)]))
    assert (run.config.model.name, run.config.model.stem) == ("binary_densenet28", "grouped")
    assert run.metrics["model/size_mib"] == 4.04
    assert run.metrics["model/params_fp"] == 5131496 - 4202496
    assert run.metrics["model/macs_binary"] == 3587400000
    assert match(run.config, "authors_2020").row.run_id == "3eb4f582"


def test_paths_of_other_machines_are_left_out(tmp_path):
    run = read_one(tmp_path, log(RESNET_2018, CURVE))
    assert not [value for value in run.options.values() if "/" in value or value == "None"]
    assert run.options["lr_steps"] == "75,100,125"


def test_repeated_column_names_are_read_once(tmp_path):
    run = read_one(tmp_path, log(RESNET_2018, CURVE, repeat_last_names=True))
    assert [epoch.metrics["val/top1"] for epoch in run.epochs] == pytest.approx([top1 for top1, _, _ in CURVE])


def test_a_resumed_run_keeps_what_it_went_on_from(tmp_path):
    again = log(RESNET_2018 | {"lr": "0.003"}, [(8000 / 9984, 0.9, 0.8), (8100 / 9984, 0.9, 0.9)], start=2)
    run = read_one(tmp_path, log(RESNET_2018, CURVE) + again.split("\n", 1)[1])
    assert [epoch.metrics["val/top1"] * 9984 for epoch in run.epochs] == pytest.approx([4000, 8000, 8100])
    assert run.config.training.optimizer.lr == 0.01, "the rate it started from"
    assert run.notes == ("2 epochs are logged twice: the later rows are kept",)


def test_a_log_that_starts_late_says_so(tmp_path):
    run = read_one(tmp_path, log(RESNET_2018, CURVE, start=22))
    assert run.epochs[0].epoch == 22
    assert run.notes == ("the log starts at epoch 22: the run was resumed from one that is not in it",)


def test_rows_without_an_accuracy_are_left_out(tmp_path):
    lines = log(RESNET_2018, CURVE).splitlines()
    broken = lines[2].replace(str(CURVE[1][0]), "None")
    run = read_one(tmp_path, "\n".join([*lines[:2], broken, "", lines[3]]))
    assert [epoch.epoch for epoch in run.epochs] == [1, 3]
    assert run.notes == ("1 rows without an epoch or a validation accuracy are left out",)


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        ({"model": "resnet18_e1"}, {"name": "resnet_e18", "variant": "e1", "downsampling": "fp"}),
        ({"model": "resnet34_e1", "fp_downsample_sc": "False"}, {"name": "resnet_e34", "downsampling": "binary"}),
        ({"model": "resnet18_v1", "fp_downsample_sc": "False"}, {"name": "resnet_v1_18"}),
        ({"model": "resnet18_v2-scaled"}, {"name": "xnor_resnet18", "variant": "v2"}),
        (
            {"model": "densenet37", "growth_rate": "64", "reduction": "1,1.4,1.4", "fp_downsample_sc": "False"},
            {"name": "binary_densenet_flex", "blocks": (4, 4, 4, 4), "transition": "binary_pool"},
        ),
        (
            {"model": "densenet21", "growth_rate": "128", "reduction": "2", "add_relu_to_downsample": "True"},
            {"name": "binary_densenet_flex", "reduction": (2.0, 2.0, 2.0), "transition": "relu_fp_pool"},
        ),
    ],
)
def test_networks_are_recognised(tmp_path, changes, model):
    config = read_one(tmp_path, log(RESNET_2018 | changes, CURVE)).config
    assert {key: getattr(config.model, key) for key in model} == model


@pytest.mark.parametrize(
    ("changes", "binarization"),
    [
        ({"approximation": "xnor"}, {"scaling": "xnor"}),
        ({"model": "resnet18_e2-scaled"}, {"scaling": "xnor"}),
        ({"use_approx_sign": "True"}, {"estimator": "approx_sign", "weight_estimator": "approx_sign"}),
        (
            {"activation_method": "sign_approx_sign", "weight_quantization": "det_sign"},
            {"estimator": "approx_sign", "weight_estimator": "ste"},
        ),
        ({"clip_threshold": "1.3"}, {"window": 1.3}),
    ],
)
def test_binarization_is_recognised(tmp_path, changes, binarization):
    config = read_one(tmp_path, log(RESNET_2018 | changes, CURVE)).config
    assert {key: getattr(config.model.binarization, key) for key in binarization} == binarization


@pytest.mark.parametrize(("images", "total"), [(49920, 128), (49984, 64)])
def test_the_granularity_of_the_accuracies_tells_the_batch_size(tmp_path, images, total):
    options = RESNET_2018 | {"dataset": "imagenet", "batch_size": "64", "gpus": "0,1", "model": "resnet18_e1"}
    curve = [(round(hits / images, 6), 0.9, 0.5) for hits in (25001, 25147, 26003, 27777, 30101)]
    assert read_one(tmp_path, log(options, curve)).config.training.batch_size == total


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"model": "densenext21"}, "no configuration of bnnlab: network 'densenext21'"),
        ({"model": "alexnet"}, "no configuration of bnnlab: network 'alexnet'"),
        ({"dataset": "mnist"}, "no configuration of bnnlab: data set 'mnist'"),
        ({"lr_steps": ""}, "no configuration of bnnlab: option 'lr_steps'"),
    ],
)
def test_what_bnnlab_does_not_have_is_imported_without_a_configuration(tmp_path, changes, note):
    run = read_one(tmp_path, log(RESNET_2018 | changes, CURVE))
    assert run.config is None
    assert note in run.notes
    assert len(run.epochs) == 3


def test_what_cannot_be_read_is_named_and_the_rest_imported(tmp_path):
    write(tmp_path, "mnes/aaaaaaaa", log(RESNET_2018, CURVE))
    write(tmp_path, "mnes/bbbbbbbb", None)
    write(tmp_path, "mnes/cccccccc", "a,b\n1,2\n")
    write(tmp_path, "first_exps/0", log(RESNET_2018, []))
    write(tmp_path, "first_exps/1", "")
    wiki = read_wiki(tmp_path)
    assert [run.id for run in wiki.runs] == ["mnes-aaaaaaaa"]
    assert {skipped.folder: skipped.reason for skipped in wiki.skipped} == {
        "experiment/first_exps/0": "post_process.csv has no epoch with a validation accuracy",
        "experiment/first_exps/1": "post_process.csv has no columns epoch and val_acc",
        "experiment/mnes/bbbbbbbb": "post_process.csv is missing",
        "experiment/mnes/cccccccc": "post_process.csv has no columns epoch and val_acc",
    }


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(list(RESNET_2018)), absent=st.sets(st.sampled_from(["seed", "wd", "resume", "data_dir"])))
def test_columns_are_read_by_name_whatever_the_header(tmp_path_factory, order, absent):
    """The wiki has ten different headers: other orders, other columns left out."""
    options = {name: RESNET_2018[name] for name in order if name not in absent}
    run = read_one(tmp_path_factory.mktemp("wiki"), log(options, CURVE))
    plain = read_one(tmp_path_factory.mktemp("wiki"), log(RESNET_2018, CURVE))
    assert run.config == plain.config
    assert run.metrics == plain.metrics
    assert run.epochs == plain.epochs


def test_a_folder_that_is_no_wiki_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no 'experiment' folder"):
        read_wiki(tmp_path)
