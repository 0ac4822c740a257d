"""A small run folder with its INT8 folder, for the tests of what reads one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from networks import KINDS, Net, quantized, random_net, smooth_pixels

from edge.base import Rows, make_base, write_base
from edge.contract.files import write_whole
from edge.contract.labels import labels_text
from edge.contract.spec import FORMS, spec_text
from edge.engine import Engine, run_in_batches
from quantize.certificate import certificate, file_hash, measure
from quantize.emit import emit
from quantize.folder import completed, write_report
from quantize.golden import write_golden
from quantize.html import render_report
from quantize.trace import make_plan
from train.data import load_data
from train.predict import predict
from train.recipe import load_recipe
from train.run_folder import begin_run
from train.tensors import write_tensors

SEED, CLASSES, SIDE = 11, 4, 32


def network(channels: int, classes: int) -> Net:
    """What the run's recipe names: a classifier that spreads its answers over the classes."""
    net = random_net(SEED, channels, 3, True, ("residual", "branches", "squeeze"))
    features, _ = predict(net, smooth_pixels(40, SIDE, channels, SEED))
    deviation = features.std(0) + 1e-3
    weight = np.random.default_rng(SEED).normal(size=(classes, features.shape[1])).astype(np.float32) / deviation
    with torch.no_grad():
        net.classifier.weight.copy_(torch.from_numpy(weight))
        net.classifier.bias.copy_(torch.from_numpy(-weight @ features.mean(0)))
    return net


def write_data(path: Path) -> Path:
    """120 pictures of 4 classes to learn from, 40 to test with."""
    targets = np.arange(160) % CLASSES
    pixels = smooth_pixels(160, SIDE, 3, SEED + 1)
    np.savez(
        path, x_train=pixels[:120], y_train=targets[:120], x_test=pixels[120:], y_test=targets[120:],
        names=np.array(["ant", "bee", "<cat>", "dog & co"]),
    )  # fmt: skip
    return path


def write_run(folder: Path) -> Path:
    """RUN with RUN/int8, quantized by calibration alone."""
    data = load_data(str(write_data(folder.parent / "data.npz")), SEED, (SIDE, SIDE), 3)
    net = network(3, CLASSES)
    _, integers, spec = quantized(net, 3, SEED)
    spec = spec._replace(network="folders:network", height=SIDE, width=SIDE)
    recipe = replace(load_recipe("small"), network=spec.network, height=SIDE, width=SIDE, seed=SEED)
    begin_run(folder, recipe, spec, data, resume=False)
    write_tensors(folder / "model.safetensors", net.state_dict())
    int8 = folder / "int8"
    int8.mkdir()
    for form in FORMS:
        emit(integers, spec, form, int8 / f"model.{form}.onnx")
    test = data.test
    measured = measure(net, integers, spec, int8, test.pixels, lambda step, steps: None)
    report = certificate(measured, make_plan(net), integers, test.pixels, test.targets)
    report["pictures"] = {"source": data.source, "labelled": True, "seed": SEED, "split_seed": SEED}
    write_whole(str(int8 / "labels.txt"), labels_text(data.labels).encode())
    write_whole(str(int8 / "spec.json"), spec_text(spec).encode())
    write_golden(int8 / "golden.npz", integers, spec, test.pixels)
    engine = Engine(str(int8 / "model.u8.onnx"))
    parts = (data.train, data.val, data.test)
    rows = (Rows(run_in_batches(engine, part.pixels)[0], part.targets) for part in parts)
    base = make_base(*rows, integers.weight.T.copy(), integers.bias, SEED)
    write_base(str(int8 / "head.npz"), base)
    report = completed(int8, report)
    page = render_report(report, data.labels, test.targets, measured.logits, test.pixels, integers)
    write_whole(str(int8 / "report.html"), page.encode())
    write_report(int8, completed(int8, report))
    return folder


def write_int8(folder: Path, seed: int, kinds: tuple[str, ...] = KINDS) -> Path:
    """An INT8 folder without a run around it and without a base, as a network imported without pictures gives it."""
    net = random_net(seed, 3, 3, True, kinds)
    _, integers, spec = quantized(net, 3, seed)
    pixels = smooth_pixels(24, 16, 3, seed + 1)
    folder.mkdir()
    for form in FORMS:
        emit(integers, spec, form, folder / f"model.{form}.onnx")
    measured = measure(net, integers, spec, folder, pixels, lambda step, steps: None)
    report = certificate(measured, make_plan(net), integers, pixels, None)
    report["pictures"] = {"source": "photos", "labelled": False, "seed": 0}
    write_whole(str(folder / "labels.txt"), labels_text(["a", "b", "c", "d"]).encode())
    write_whole(str(folder / "spec.json"), spec_text(spec).encode())
    write_golden(folder / "golden.npz", integers, spec, pixels)
    write_report(folder, completed(folder, report))
    return folder


def certify_again(folder: Path) -> None:
    """Rewrites report.json's hashes for whatever is in the folder now."""
    path = folder / "report.json"
    report = json.loads(path.read_text())
    report["files"] = {p.name: file_hash(p) for p in sorted(folder.iterdir()) if p != path}
    path.write_text(json.dumps(report, indent=1) + "\n")
