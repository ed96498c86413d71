import os
import subprocess
import sys

import pytest
import torch

from geneface.devices import device_named, enough_memory
from steps.errors import InputError


def test_threads_sleep_while_they_wait_unless_told_otherwise():
    code = "import geneface.devices, os; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **given}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


@pytest.mark.parametrize("name", ["cuda:2", "mps", "meta", "cpu:1", "gpu7", ""])
def test_a_device_that_is_not_here_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [str(device_named(there)) for there in ("cpu", "cuda", "cuda:1", "auto")] == ["cpu", "cuda", "cuda:1", "cuda"]
    with pytest.raises(InputError) as raised:
        device_named(name)
    assert raised.value.code == "device_unavailable" and repr(name) in str(raised.value)


def test_a_gpu_without_room_is_named_and_one_that_fails_is_not_taken_for_it():
    for full in (torch.OutOfMemoryError("CUDA out of memory."), torch.AcceleratorError("CUDA error: out of memory")):
        with pytest.raises(InputError) as raised, enough_memory():
            raise full
        assert raised.value.code == "out_of_memory"
    with pytest.raises(torch.AcceleratorError), enough_memory():
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
