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

# Read by each Python of the board at its start: an onnxruntime in which TensorRT seems to run, on the CPU
FAKE_TENSORRT = b"""
import onnxruntime, os
RealOptions, RealSession = onnxruntime.SessionOptions, onnxruntime.InferenceSession
class Options(RealOptions):
    def add_session_config_entry(self, key, value): pass
class Session:
    def __init__(self, path, options=None, providers=(), enable_fallback=1):
        self.real = RealSession(path, options, providers=["CPUExecutionProvider"])
        self.asked = [each if isinstance(each, str) else each[0] for each in providers]
        for _, given in [each for each in providers if not isinstance(each, str)]:
            if DIES and "trt_int8_enable" in given:
                os.kill(os.getpid(), 9)
            if KEEPS:
                open(os.path.join(given["trt_engine_cache_path"], "kernel.engine"), "w").close()
    def get_providers(self): return self.asked
    def disable_fallback(self): pass
    def get_inputs(self): return self.real.get_inputs()
    def run(self, names, feeds): return self.real.run(names, feeds)
onnxruntime.SessionOptions, onnxruntime.InferenceSession = Options, Session
onnxruntime.get_available_providers = lambda: ["TensorrtExecutionProvider", "CPUExecutionProvider"]
"""


def fake_tensorrt(keeps, dies=False):
    """Files of a release. keeps: what it builds; dies: its process, where it builds INT8."""
    given = "KEEPS, DIES = {}, {}\n".format(keeps, dies).encode()
    return {"runtime/sitecustomize.py": given + FAKE_TENSORRT}


def float_forms():
    """The tiny network in float under the names of the forms that engines other than cpu-u8 run."""
    with open(os.path.join(FILES, "tiny.float.onnx"), "rb") as file:
        data = file.read()
    return {"model.{}.onnx".format(form): data for form in ("float", "s8", "s8_identity")}


def engine_board(folder, more=()):
    """The board; its release's golden vectors hold, in float too. more: other files of its release."""
    board = new_board(os.path.join(folder, "board"))._replace(machine="x86_64")
    changes = dict(float_forms(), **{"runtime/openvino/__init__.py": FAKE_OPENVINO})
    changes.update(more)
    install(board, release(folder, 1, changes), lambda folder: None)
    return board
