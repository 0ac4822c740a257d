"""A profile: each frame's stages in order, and onnxruntime's own events on the same clock."""

import json
import os

import cv2
import numpy as np
from tiny_board import on_board, stripes, tiny_board


def test_a_run_writes_a_trace_in_which_the_engines_runs_lie_within_the_loops(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(stripes(6, 1, True)):
        assert cv2.imwrite(str(pictures / "{}.png".format(number)), image)
    root, path = tiny_board(str(tmp_path)), str(tmp_path / "trace.json")
    code, _ = on_board(root, "run", pictures, "--profile", path)
    assert code == 0
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    ours = {name: [e for e in events if e["pid"] == 0 and e["name"] == name] for name in ("read", "prepare", "infer")}
    assert [len(found) for found in ours.values()] == [6, 6, 6]
    for read, prepare, infer in zip(*ours.values()):
        assert read["ts"] + read["dur"] <= prepare["ts"] + 1 and prepare["ts"] + prepare["dur"] <= infer["ts"] + 1e3
    runs = [e for e in events if e["pid"] == 1 and e["name"] == "model_run"]
    within = [
        any(i["ts"] - 2e3 <= e["ts"] and e["ts"] + e["dur"] <= i["ts"] + i["dur"] + 2e3 for i in ours["infer"])
        for e in runs
    ]
    assert len(runs) >= 6 and np.sum(within) >= 6
    assert [name for name in os.listdir(str(tmp_path)) if "onnxruntime" in name] == []
