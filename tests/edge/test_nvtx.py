"""NVTX ranges: what is called of a shared library that has NVTX's names; no GPU has seen them."""

import ctypes
import shutil
import subprocess

import pytest

from edge.nvtx import open_nvtx, ranged

_RECORDER = """
#include <string.h>
static char calls[1000];
int nvtxRangePushA(const char *name) { strcat(strcat(calls, "+"), name); return 0; }
int nvtxRangePop(void) { strcat(calls, "-"); return 0; }
const char *recorded(void) { return calls; }
"""


@pytest.fixture
def recorder(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a library with NVTX's names")
    (tmp_path / "recorder.c").write_text(_RECORDER)
    made = str(tmp_path / "librecorder.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, str(tmp_path / "recorder.c")], check=True)
    return made


def test_each_call_is_a_range_also_one_that_fails(recorder):
    library = open_nvtx(["libnone.so.1", recorder])
    library.recorded.restype = ctypes.c_char_p
    assert ranged(library, "infer", lambda given: given + 1)(1) == 2
    with pytest.raises(ZeroDivisionError):
        ranged(library, "prepare", lambda given: 1 // given)(0)
    assert library.recorded() == b"+infer-+prepare-"


def test_without_a_library_or_with_one_that_has_no_ranges_a_task_is_itself():
    assert open_nvtx(["libnone.so.1"]) is None and open_nvtx(["libc.so.6"]) is None
    assert ranged(None, "infer", len) is len
