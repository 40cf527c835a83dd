"""What libraries print of the instructions they use becomes a few words."""

import os

import pytest
import torch

from squadlite.bench.instructions import most_frequent, torch_instructions

AMX = (
    b"onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_amx,undef,src:,,,1x2,0.1\n"
)
VNNI = AMX.replace(b"core_amx", b"core_vnni")
SOFTMAX = AMX.replace(b"cpu,matmul,brg_matmul", b"cpu,softmax,jit")
HEAD = (
    b"MKL_VERBOSE oneMKL 2024.0 Update 2 Product build 20240605 for Intel(R) 64 architecture "
    b"Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512), Lnx 2.60GHz lp64 gnu_thread\n"
)
SGEMM = b"MKL_VERBOSE SGEMM(T,N,1536,128,384,0x7f,0x7f,384,0x55,384,0x7f,0x55,1536) 3.84ms\n"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (b"", None),
        (b"Hello\n" + SOFTMAX, None),
        (AMX, "oneDNN brg_matmul:avx512_core_amx"),
        (
            AMX + VNNI + VNNI,
            "oneDNN brg_matmul:avx512_core_vnni, oneDNN brg_matmul:avx512_core_amx",
        ),
        (HEAD, None),
        (HEAD + SGEMM, "oneMKL Intel Advanced Vector Extensions 512 (Intel AVX-512)"),
        (SGEMM, "oneMKL"),
    ],
)
def test_lines_of_products_name_what_computed_them(printed: bytes, told: str | None) -> None:
    assert torch_instructions(lambda: os.write(1, printed)) == told


def test_what_is_printed_afterwards_goes_where_it_went(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before ")
    torch_instructions(lambda: os.write(1, b"meanwhile "))
    os.write(1, b"after")
    assert capfd.readouterr().out == "before after"


def test_torch_tells_of_a_product() -> None:
    if not (torch.backends.mkl.is_available() or torch.backends.mkldnn.is_available()):
        pytest.skip("this torch has neither library")
    left, right = torch.ones(64, 128), torch.ones(128, 256)
    told = torch_instructions(lambda: (left @ right, left.bfloat16() @ right.bfloat16()))
    assert told is not None
    assert told.startswith(("oneDNN", "oneMKL"))


def test_the_most_frequent_names_are_kept() -> None:
    assert most_frequent(["a", "b", "c", "b", "b", "c"]) == "b, c"
    assert most_frequent([]) is None
