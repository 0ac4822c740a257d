"""Python and the packages that a release needs, each imported in a process of its own."""

import os
import re
import signal
import sys
from typing import List, Mapping

from edge.doctor.finding import Done, Finding, child, hint, ok, wrong

_SIGILL = -int(signal.SIGILL)
# y = x + x over float32 (1, 4); opset 13, IR 7, as a release's models. Made with onnx.helper
_MODEL = "CAcSADo9Cg4KAXgKAXgSAXkiA0FkZBIBZ1oTCgF4Eg4KDAgBEggKAggBCgIIBGITCgF5Eg4KDAgBEggKAggBCgIIBEIECgAQDQ=="
_PROVIDERS = "import cv2, onnxruntime as o; print(o.__version__, *o.get_available_providers())"
_INFER = """
import base64, sys
import cv2, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(base64.b64decode(sys.argv[1]), options, providers=[sys.argv[2]])
(y,) = session.run(None, {"x": numpy.ones((1, 4), numpy.float32)})
print(session.get_providers()[0], float(y.sum()))
"""
_OPENCV = """
import cv2, re
found = re.search("GStreamer: +(YES|NO)", cv2.getBuildInformation())
print(cv2.__version__, found.group(1) if found else "NO", cv2.__file__)
"""
_REMOTE = ("AzureExecutionProvider",)  # sends the pictures away; edgewise never uses it


def python() -> Finding:
    said = "{}.{}.{} at {}".format(*sys.version_info[:3], sys.executable)
    if sys.version_info < (3, 6):
        return wrong("python", said, "install Python 3.6 or later as python3")
    return ok("python", said)


def pip() -> Finding:
    done = child("-m", "pip", "--version")
    version = re.match(r"pip (\d+)\.(\d+)\S*", done.out)
    if version is None:
        return hint("pip", "there is none", "to install packages: `sudo apt install python3-pip`")
    if (int(version.group(1)), int(version.group(2))) < (19, 3):  # the first that knows manylinux2014
        return hint(
            "pip",
            "{} is too old to find wheels for onnxruntime".format(version.group()),
            "before installing: `python3 -m pip install --user 'pip==21.3.1'`",
        )
    return ok("pip", version.group())


def numpy(environment: Mapping[str, str]) -> Finding:
    """environment: without OPENBLAS_CORETYPE, which edgewise sets for itself."""
    code = "import numpy; print(numpy.__version__, numpy.__file__)"
    plain = {name: value for name, value in environment.items() if name != "OPENBLAS_CORETYPE"}
    done = child("-c", code, environment=plain)
    if done.code != _SIGILL:
        return _imported("numpy", done, "`sudo apt install python3-numpy`")
    again = child("-c", code, environment=dict(plain, OPENBLAS_CORETYPE="ARMV8"))
    if again.code != 0:
        return wrong("numpy", "its import ends by an illegal instruction", "install numpy 1.19.4, or the system's own")
    return hint(
        "numpy",
        "{}, which ends by an illegal instruction unless OPENBLAS_CORETYPE=ARMV8 is set".format(again.out),
        "edgewise sets it; for other programs: `echo export OPENBLAS_CORETYPE=ARMV8 >> ~/.bashrc`",
    )


def cryptography(environment: Mapping[str, str]) -> Finding:
    code = (
        "import cryptography; from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K;"
        " K.generate(); print(cryptography.__version__)"
    )
    done = child("-W", "ignore", "-c", code, environment=environment)
    return _imported("cryptography", done, "`edgewise flash --bootstrap` from the desk brings it")


def opencv(environment: Mapping[str, str]) -> List[Finding]:
    """Whether it imports, has GStreamer for CSI cameras, and is not pip's in front of the system's."""
    done = child("-c", _OPENCV, environment=environment)
    if done.code != 0:
        remedy = "`sudo apt install python3-opencv`: pip's has no GStreamer"
        if "static TLS" in done.last:  # opencv#14884
            remedy = "import cv2 before other packages, as edgewise does, or set LD_PRELOAD to the library it names"
        return [_imported("opencv", done, remedy)]
    version, gstreamer, path = done.out.split(" ", 2)
    said = "{} at {}".format(version, path)
    if gstreamer == "YES":
        return [ok("opencv", said + ", with GStreamer")]
    system = "/usr/lib/python3/dist-packages", "/usr/lib/python{}.{}/dist-packages".format(*sys.version_info[:2])
    shadowed = [folder for folder in system if _has_opencv(folder) and not path.startswith(folder)]
    if shadowed:
        remedy = "`python3 -m pip uninstall opencv-python opencv-python-headless`: there is one in " + shadowed[0]
        return [hint("opencv", said + ", without GStreamer, in front of the system's", remedy)]
    return [ok("opencv", said + ", without GStreamer: USB cameras and films only")]


def _has_opencv(folder: str) -> bool:
    return os.path.isdir(folder) and any(re.match(r"cv2(\.|$)", name) for name in os.listdir(folder))


def onnxruntime(environment: Mapping[str, str]) -> List[Finding]:
    """Whether it imports, and whether each provider really runs: what it names is only what was compiled in."""
    done = child("-W", "ignore", "-c", _PROVIDERS, environment=environment)
    remedy = "`edgewise flash --bootstrap` from the desk brings it; for a Jetson's GPU NVIDIA's own wheel"
    return [_imported("onnxruntime", done, remedy)] + [provider(name, environment) for name in _named(done)]


def providers(environment: Mapping[str, str]) -> List[str]:
    """The execution providers that were compiled in; none where onnxruntime cannot be imported."""
    return _named(child("-W", "ignore", "-c", _PROVIDERS, environment=environment))


def _named(done: Done) -> List[str]:
    return [name for name in done.out.split()[1:] if name not in _REMOTE] if done.code == 0 else []


def provider(full_name: str, environment: Mapping[str, str]) -> Finding:
    """Whether it runs a tiny network."""
    name = full_name.replace("ExecutionProvider", "")
    done = child("-W", "ignore", "-c", _INFER, _MODEL, full_name, environment=environment)
    said = done.out.rpartition("\n")[2]  # onnxruntime prints before it where it takes another
    if done.code == 0 and said == full_name + " 8.0":
        return ok(name, "runs")
    found = _failure(done) if done.code != 0 else "onnxruntime took {} instead".format(said.split(" ")[0])
    if full_name == "CPUExecutionProvider":
        return wrong(name, "it does not run: " + found, "install onnxruntime again")
    return hint(name, "it is compiled in and does not run: " + found, "edgewise uses the CPU; see to CUDA and TensorRT")


def _imported(name: str, done: Done, remedy: str) -> Finding:
    if done.code == 0:
        return ok(name, done.out)
    return wrong(name, "it cannot be used: " + _failure(done), remedy)


def _failure(done: Done) -> str:
    if done.code < 0:
        return "the process was ended by signal {}".format(-done.code)
    return done.last or "it ended with {}".format(done.code)
