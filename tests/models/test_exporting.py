"""Programs for other runtimes compute what their networks do, at every size, or refuse it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from hrvit_nas.arch import ArchSpec, BranchSpec, ModuleSpec, get_arch, scale_widths
from hrvit_nas.data import describe
from hrvit_nas.models import attention, build_segmentor, symbolic
from hrvit_nas.models.exporting import (
    TOLERANCE,
    ExportError,
    differences,
    export_program,
    onnx_runner,
    program_runner,
    require_onnx,
    write_onnx,
)
from hrvit_nas.models.mit import MissingExtraError

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "export_parity.py"
NAMES = ("sky", "road", "canal")
BRANCH = BranchSpec(width=8, blocks=1, expansion_ratio=2, strip_width=3, head_dim=4)
TINY = ArchSpec(
    stem_width=4,
    head_width=8,
    modules=(ModuleSpec(branches=(BRANCH,)), ModuleSpec(branches=(BRANCH, BRANCH))),
)


def awake(model):
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            drawn = 0.3 * torch.randn(tensor.shape, generator=generator)
            tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return model.eval()


@pytest.fixture(scope="module")
def model():
    model = awake(build_segmentor(TINY, len(NAMES)))
    model.description = describe(NAMES)
    return model


# --- what differs where a size is a symbol, tried with numbers ------------------------------------


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize("height", [1, 6, 7, 8, 15])
def test_padded_strips_attend_as_strips_of_their_true_size(rows, height):
    q, k, v = (tokens(2, height, 5, 8, seed=seed) for seed in range(3))
    for keys in (k, v):
        wanted = attention.attend_rows(q, keys, v, rows, 2)
        found = attention._attend_padded(q, keys, v, (rows, None), 2)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (4, 9), (5, 10), (11, 3)])
def test_padded_windows_attend_as_windows_of_their_true_size(side, size):
    q, k, v = (tokens(2, *size, 8, seed=seed) for seed in range(3))
    wanted = attention.attend_windows(q, k, v, side, 2)
    found = attention._attend_padded(q, k, v, (side, side), 2)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_nearest_tokens_are_the_very_same_at_every_size():
    for length in range(1, 600):
        for steps in (1, 2, 3):
            x_bhwc = torch.arange(-(-length // 2**steps)).float().view(1, -1, 1, 1)
            x_bchw = x_bhwc.permute(0, 3, 1, 2)
            wanted = functional.interpolate(x_bchw, size=(length, 1), mode="nearest")
            found = symbolic.nearest(x_bhwc, (length, 1))
            assert torch.equal(found.permute(0, 3, 1, 2), wanted), (length, steps)


@pytest.mark.parametrize("side", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 2), (2, 3), (6, 6), (7, 16)])
def test_means_over_cells_are_those_of_adaptive_pooling(side, size):
    x_bhwc = tokens(2, *size, 4)
    wanted = functional.adaptive_avg_pool2d(x_bhwc.permute(0, 3, 1, 2), side)
    found = symbolic.average_pool(x_bhwc, side).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


# --- what is refused ------------------------------------------------------------------------------


def test_mit_is_refused():
    with pytest.raises(ExportError, match="export it with theirs"):
        export_program(build_segmentor(scale_widths(get_arch("mit_b0"), 0.25), 3))


def test_a_size_that_no_network_takes_is_refused(model):
    with pytest.raises(ExportError, match="at least 32 a side, got 31x64"):
        export_program(model, size=(31, 64))


class Asking(nn.Module):
    """A layer that does what depends on a size."""

    def forward(self, x_bhwc):
        return x_bhwc if x_bhwc.shape[1] % 2 else x_bhwc + 1


@pytest.mark.slow
def test_a_network_that_asks_for_a_size_is_refused_in_a_line(capfd):
    asking = build_segmentor(TINY, 3)
    asking.backbone.stages[0].branches[0].norm = Asking()
    with pytest.raises(ExportError, match=f"cannot trace {TINY.id}: ") as caught:
        export_program(asking)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_normalisation_that_is_not_known_is_refused():
    with pytest.raises(ExportError, match="normalisation is not known"):
        export_program(build_segmentor(TINY, 3), normalise=True)


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr("hrvit_nas.models.exporting.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"onnx; pip install 'hrvit_nas\[export\]'"):
        require_onnx(run=False)


def test_a_program_of_another_shape_or_value_is_found(model):
    with pytest.raises(ExportError, match=r"at 64x96 the program returns \(1, 3, 64, 1\)"):
        differences(lambda image: model(image)[..., :1], model)
    off = differences(lambda image: model(image) + 0.5, model)
    assert all(figure > TOLERANCE for figure in off)
    assert differences(lambda image: model(image) * torch.nan, model)[0] != 0


# --- programs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(model, tmp_path_factory):
    """A program that normalises, as ONNX and as saved by torch.export, and what it wrote."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("programs")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    program = export_program(model, normalise=True)
    write_onnx(program, folder / "network.onnx", model, normalised=True)
    torch.export.save(program, folder / "network.pt2")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return {
        "onnx": onnx_runner(folder / "network.onnx"),
        "exported": program_runner(folder / "network.pt2"),
        "folder": folder,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "exported"])
def test_a_program_computes_what_its_network_does_at_every_size(kind, programs, model):
    # 488 is of those where runtimes take other tokens than torch for the nearest.
    sizes = [(64, 96), (75, 133), (161, 70), (32, 32), (33, 63), (488, 40), (40, 488)]
    found = differences(programs[kind], model, normalised=True, sizes=sizes)
    assert max(found) < TOLERANCE / 10
    assert min(found) >= 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "exported"])
@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (1, 3, 64, 31), (2, 3, 8, 8), (1, 4, 64, 64)])
def test_a_program_refuses_what_its_network_refuses(kind, shape, programs):
    with pytest.raises(Exception, match=r"indices element|Got invalid dimensions|Guard failed"):
        programs[kind](torch.zeros(shape))


@pytest.mark.slow
def test_an_onnx_file_says_what_it_is(programs, model):
    onnx = pytest.importorskip("onnx")
    made = onnx.load(programs["folder"] / "network.onnx")
    onnx.checker.check_model(made)
    about = {item.key: item.value for item in made.metadata_props}
    assert about["arch_id"] == model.spec.id
    assert ArchSpec.from_json(about["arch"]) == model.spec
    assert about["normalised"] == "true"
    (image,) = made.graph.input
    sizes = [side.dim_param or side.dim_value for side in image.type.tensor_type.shape.dim]
    assert (image.name, sizes) == ("image", ["batch", 3, "height", "width"])
    (logits,) = made.graph.output
    sizes = [side.dim_param or side.dim_value for side in logits.type.tensor_type.shape.dim]
    assert (logits.name, sizes) == ("logits", ["batch", 3, "height", "width"])


@pytest.mark.slow
def test_a_program_of_one_size_refuses_another(model):
    program = export_program(model, size=(33, 64)).module()
    assert max(differences(program, model, sizes=[(33, 64)] * 3)) < TOLERANCE / 10
    with pytest.raises(AssertionError, match="Guard failed"):
        program(torch.zeros(1, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kinds_agree_as_the_table_says():
    """Those that pad in ways of their own; all of the table takes a quarter of an hour."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    names = ("cross_shaped", "spatial_reduction", "head=upernet")
    command = [sys.executable, BENCHMARK, "--only", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    figures = {row[0].strip(): [float(cell) for cell in row[1:7]] for row in rows[1:]}
    assert figures.keys() == set(names)
    assert all(figure <= TOLERANCE for row in figures.values() for figure in row)


def test_the_table_wakes_every_part_of_a_network():
    spec = importlib.util.spec_from_file_location("export_parity", BENCHMARK)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    for name, arch in table.variants().items():
        net = table.awake(build_segmentor(arch, 5))
        weights = [p for p in net.parameters() if p.dim() > 1]
        assert all(bool(weight.any()) for weight in weights), name
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(bool(norm.weight.all()) for norm in norms), name
    covered = set()
    for arch in table.variants().values():
        if isinstance(arch, ArchSpec):
            covered |= {branch.attention for _, _, branch in arch.walk()}
    assert covered == set(attention.ATTENTION_MODULES), "a kind that has no row"
