"""Machine code in the cache: used again, made again, and not run where it isn't ours alone."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from native_kernels import on_this_cpu, random_tensors, wide_config

from squadlite.native import kept, machine_code
from squadlite.native.cpu import Cpu
from squadlite.native.layout import Layout
from squadlite.native.machine_code import compile_kernels, load_library
from squadlite.native.scorer import NativeScorer

IMAGES: dict[tuple[object, ...], bytes] = {}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SQUADLITE_CACHE", str(folder))
    return folder


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    """What has been compiled since the test began; in truth, only what no test before has."""
    compiled = []

    def compile_and_count(layout: Layout) -> bytes:
        compiled.append(layout)
        key = layout.cpu, layout.shape
        if key not in IMAGES:
            IMAGES[key] = compile_kernels(layout)
        return IMAGES[key]

    monkeypatch.setattr(machine_code, "compile_kernels", compile_and_count)
    return compiled


def logits(cpu: Cpu) -> np.ndarray:
    config = wide_config(cpu)
    scorer = NativeScorer(Layout(config, cpu), random_tensors(config))
    ids = np.arange(20)[None]
    return np.stack(scorer(ids, ids % 2, ids >= 0, threads=1))


def the_file(cache: Path) -> Path:
    (cached,) = cache.iterdir()
    return cached


@on_this_cpu
def test_kernels_are_compiled_once(cpu: Cpu, cache: Path, compilations: list[Layout]) -> None:
    first = logits(cpu)
    assert len(compilations) == 1
    written = the_file(cache).stat()
    np.testing.assert_array_equal(logits(cpu), first)
    assert len(compilations) == 1
    assert the_file(cache).stat().st_mtime_ns == written.st_mtime_ns


@on_this_cpu
@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_damaged_file_is_compiled_anew(
    cpu: Cpu, cache: Path, compilations: list[Layout], place: int
) -> None:
    first = logits(cpu)
    image = bytearray(the_file(cache).read_bytes())
    image[place] ^= 1
    the_file(cache).write_bytes(image)
    np.testing.assert_array_equal(logits(cpu), first)
    assert len(compilations) == 2
    logits(cpu)
    assert len(compilations) == 2


@on_this_cpu
@pytest.mark.parametrize("size", [0, 10, 3000])
def test_a_file_that_ends_early_is_compiled_anew(
    cpu: Cpu, cache: Path, compilations: list[Layout], size: int
) -> None:
    first = logits(cpu)
    os.truncate(the_file(cache), size)
    np.testing.assert_array_equal(logits(cpu), first)
    assert len(compilations) == 2


@on_this_cpu
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("others", [stat.S_IWGRP, stat.S_IWOTH])
def test_code_that_others_could_have_written_is_not_run(
    cpu: Cpu, cache: Path, compilations: list[Layout], others: int
) -> None:
    logits(cpu)
    cached = the_file(cache)
    cached.chmod(cached.stat().st_mode | others)
    logits(cpu)
    assert len(compilations) == 2
    # What has been written in its place is ours alone.
    assert not the_file(cache).stat().st_mode & others
    logits(cpu)
    assert len(compilations) == 2


@on_this_cpu
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such owners")
def test_code_of_another_owner_is_not_run(
    cpu: Cpu, compilations: list[Layout], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits(cpu)
    ours = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: ours + 1)
    logits(cpu)
    assert len(compilations) == 2


@on_this_cpu
def test_without_a_cache_that_can_be_written_kernels_still_run(
    cpu: Cpu, cache: Path, compilations: list[Layout]
) -> None:
    first = logits(cpu)
    the_file(cache).unlink()
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    for runs in (2, 3):
        np.testing.assert_array_equal(logits(cpu), first)
        assert len(compilations) == runs


@on_this_cpu
def test_each_model_and_each_version_has_its_own_file(
    cpu: Cpu, tmp_path: Path, compilations: list[Layout], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "other"
    layouts = [Layout(wide_config(cpu, num_layers=n), cpu) for n in (1, 2)]
    for layout in layouts * 2:
        load_library(layout, folder)
    assert compilations == layouts
    monkeypatch.setattr(kept, "_versions", lambda: "another")
    load_library(layouts[0], folder)
    assert len(compilations) == 3
    assert len(list(folder.iterdir())) == 3


@on_this_cpu
def test_compiling_again_gives_the_same_bytes(cpu: Cpu) -> None:
    layout = Layout(wide_config(cpu), cpu)
    assert compile_kernels(layout) == compile_kernels(layout)
