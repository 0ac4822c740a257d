"""A board whose release has a real network in every form, and a package `openvino` that stands in for the real one."""

import os

from release_maker import new_board
from service_board import release
from tiny_board import FILES

from edge.install import install

# What edge/openvino_session.py uses of the package, over onnxruntime. It takes one picture at a time, as asked.
FAKE_OPENVINO = b"""
import numpy, onnxruntime
class Type: f32 = "f32"
class Size:
    def __init__(self, n): self.n = n
    def get_length(self): return self.n
class Entry:
    def __init__(self, node, shape):
        self.any_name, self.element_type, self.shape = node.name, Type.f32, shape
        self.partial_shape = [Size(n) for n in node.shape]
class Model:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.inputs = [Entry(self.session.get_inputs()[0], None)]
    def reshape(self, shape): self.inputs = [Entry(self.session.get_inputs()[0], shape)]
    def create_infer_request(self): return self
    def infer(self, feeds):
        assert all(list(v.shape) == self.inputs[0].shape for v in feeds.values())
        return dict(zip(["features", "logits"], self.session.run(["features", "logits"], feeds)))
class Core:
    def read_model(self, path): return Model(path)
    def compile_model(self, model, device, settings): return model
"""


def float_forms():
    """The tiny network in float under the names of the forms that engines other than cpu-u8 run."""
    with open(os.path.join(FILES, "tiny.float.onnx"), "rb") as file:
        data = file.read()
    return {"model.{}.onnx".format(form): data for form in ("float", "s8", "s8_identity")}


def engine_board(folder, machine="x86_64"):
    """The board; its release's golden vectors hold, in float too."""
    board = new_board(os.path.join(folder, "board"))._replace(machine=machine)
    changes = dict(float_forms(), **{"runtime/openvino/__init__.py": FAKE_OPENVINO})
    install(board, release(folder, 1, changes), lambda folder: None)
    return board
