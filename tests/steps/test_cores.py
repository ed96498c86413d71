import os

import pytest

from steps.cores import usable


@pytest.mark.parametrize(
    ("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("6400000 100000", 64)]
)
def test_a_containers_limit_counts_as_cores(tmp_path, monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert usable(tmp_path / "cpu.max") == cores
    assert usable(tmp_path / "not there") == 64
