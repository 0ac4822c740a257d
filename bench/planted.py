"""The row of planted faults: each is put into a copy of an INT8 folder, and the files alone must give it away."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from bench.rows import Row, all_of
from edge.contract.spec import FORMS
from quantize.claims import Certified, golden_claims, read_forms
from quantize.faults import FAULTS


def faults_row(
    name: str, certified: Certified, command: str, progress: Callable[[int, int], None], forms: Sequence[str] = FORMS
) -> Row:
    """Plants every fault in each of `forms` that has a place for it.

    Hashes are not looked at: a forger would mend them.
    """
    planted, missed = 0, []
    pairs = [(form, fault) for form in forms for fault in FAULTS]
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "int8"
        shutil.copytree(certified.folder, copy)
        for step, (form, fault) in enumerate(pairs, 1):
            model = onnx.load(str(certified.model(form)))
            if FAULTS[fault](model):
                planted += 1
                onnx.save(model, str(copy / certified.model(form).name))
                if not _found(replace(certified, folder=copy)):
                    missed.append(f"{fault} in {form}")
                shutil.copy(certified.model(form), copy)
            progress(step, len(pairs))
    found = planted - len(missed)
    unit = f"of {planted}" + (f"; missed: {', '.join(missed)}" if missed else "")
    return Row(name, found, unit, *all_of(planted, found), command)


def _found(certified: Certified) -> bool:
    integers, claims = read_forms(certified)
    if integers is None or not all(claim.holds for claim in claims):
        return True
    return not all(claim.holds for claim in golden_claims(certified, integers))
