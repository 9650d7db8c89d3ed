"""Subnets on slices of one set of weights, against networks that stand alone."""

import math
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest
import torch
from torch import nn

from hrvit_nas.arch import HEAD_KINDS, des_factor, get_arch
from hrvit_nas.models import (
    build_segmentor,
    build_supernet,
    export_published_state,
    extract,
    load_published_state,
    skeletons,
)
from hrvit_nas.models import supernet as module
from hrvit_nas.space import Gene, SpaceError, load_space

CLASSES = 5
EXACT = 1e-9


def images(*size, batch=1, seed=0):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


IMAGE = images(32, 48)


def varied(net):
    """Gives every tensor an effect, norms that start at zero and Kronecker factors included."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim > 1:
                tensor.copy_(noise / math.sqrt(tensor[0].numel()))
            else:
                tensor.copy_(0.3 * noise + name.endswith("weight"))
    return net


@pytest.fixture(scope="module")
def space(make_config):
    """All genes of `joint`, at a quarter of the widths; a branch of up to two blocks."""
    config = make_config(space="joint")
    choices = {**config.narrowing.choices, "blocks_5_3": [1, 2]}
    narrowing = config.narrowing.model_copy(update={"choices": choices})
    space = make_config(space="joint", narrowing=narrowing).load_space()
    assert {gene.name for gene in space.genes} == {gene.name for gene in load_space("joint").genes}
    crossed = {f"attention_{b}": "cross_shaped" for b in (1, 2, 3, 4)}
    return space.narrow({}, base=space.nearest(crossed, Random(0)))


@pytest.fixture(scope="module")
def shared(space):
    """A supernet in eval mode that no test changes."""
    return varied(build_supernet(space, CLASSES)).eval()


@pytest.fixture
def net(shared):
    """A supernet in eval mode of a test's own."""
    return deepcopy(shared)


@pytest.fixture(scope="module")
def subnets(space):
    rng = Random(7)
    return [space.sample(rng) for _ in range(12)]


@pytest.fixture(scope="module")
def spec(subnets):
    return subnets[0]


def output(net, spec, image=IMAGE):
    with torch.no_grad():
        return net(image, spec)


def difference(one, other):
    return (one - other).abs().max().item()


def rebuilt(model, **options):
    """A network of its own built from the architecture, with another's state."""
    with torch.device("meta"):
        again = build_segmentor(model.spec, CLASSES, **options)
    again.load_state_dict(model.state_dict(), assign=True)
    return again.train(model.training)


# Exactness


@pytest.mark.slow
@pytest.mark.usefixtures("no_first_values")  # extracting replaces them all
def test_forty_subnets_are_exact(net, space):
    rng = Random(0)
    specs = [space.sample(rng) for _ in range(40)]
    assert len(set(specs)) == 40
    inexact = []
    for number, spec in enumerate(specs):
        if number % 6 == 0:
            net.recalibrate_bn(spec, [images(32, 48, batch=2, seed=number)])
        ours = output(net, spec)
        # From pixel to pixel, so that it is not the classifier's bias that is compared.
        assert 0.1 < ours.std((0, 2, 3)).max() < 10
        alone = extract(net, spec)
        others = [alone, rebuilt(alone)] if number % 10 == 0 else [alone]
        with torch.no_grad():
            rounding = max(difference(other(IMAGE), ours) for other in others)
        if rounding > 1e-6:  # which a deep network may amplify, but not in double precision
            assert rounding < 1e-4
            inexact.append(spec)
    assert len(inexact) < 2
    net.double()
    for spec in [*inexact, *specs[::10]]:
        net.recalibrate_bn(spec, [images(32, 48, batch=2).double()])
        ours = output(net, spec, IMAGE.double())
        with torch.no_grad():
            assert difference(extract(net, spec)(IMAGE.double()), ours) <= EXACT


@pytest.mark.slow
def test_subnets_of_the_whole_space_are_exact_published_ones_among_them():
    space = load_space("joint")
    net = varied(build_supernet(space, CLASSES)).eval()
    presets = [get_arch(f"hrvit_b{size}") for size in (1, 2, 3)]
    rng = Random(3)
    for spec in (*presets, *(space.sample(rng) for _ in range(2))):
        net.recalibrate_bn(spec, [images(64, 96, batch=2)])
        ours = output(net, spec)
        alone = extract(net, spec)
        with torch.no_grad():
            scale = alone(IMAGE).std()
            assert difference(alone(IMAGE), ours) <= 1e-5 * scale
            assert difference(rebuilt(alone)(IMAGE), ours) <= 1e-5 * scale
    net.double()
    ours = output(net, presets[0], IMAGE.double())
    with torch.no_grad():
        assert difference(extract(net, presets[0])(IMAGE.double()), ours) <= EXACT * ours.std()


def test_a_pass_in_training_mode_is_that_of_a_network_of_its_own(space, subnets):
    net = varied(build_supernet(space, CLASSES, drop_path_rate=0.4))
    image = images(64, 64, batch=2)
    for spec in subnets[:3]:
        alone = extract(net, spec)
        assert alone.training
        outputs = []
        for model in (alone, rebuilt(alone, drop_path_rate=0.4), net.subnet(spec)):
            torch.manual_seed(5)
            outputs.append(model(image))
        for other in outputs[1:]:
            torch.testing.assert_close(other, outputs[0], rtol=1e-4, atol=1e-5)


def test_a_subnet_extracted_is_a_network_like_any_other(tmp_path, net, spec):
    net.recalibrate_bn(spec, [images(32, 48, batch=2)])
    expected = output(net, spec)
    alone = extract(net, spec)
    assert alone.spec == spec
    assert all(isinstance(p, nn.Parameter) and p.is_leaf for p in alone.parameters())
    assert all(p.requires_grad and p.is_contiguous() for p in alone.parameters())

    torch.save(alone.state_dict(), tmp_path / "subnet.pt")
    stored = build_segmentor(spec, CLASSES).eval()
    stored.load_state_dict(torch.load(tmp_path / "subnet.pt", weights_only=True))
    published = build_segmentor(spec, CLASSES).eval()
    load_published_state(published, export_published_state(alone))
    with torch.no_grad():
        assert difference(stored(IMAGE), expected) <= 1e-6
        assert difference(published(IMAGE), expected) <= 1e-6
        for parameter in alone.parameters():
            parameter.zero_()
    assert difference(output(net, spec), expected) == 0


# What belongs to whom


def numbered(net):
    """The supernet with the elements of every tensor numbered, each tensor from 1."""
    net = deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(1, parameter.numel() + 1).view(parameter.shape))
    return net


def shared_name(name):
    return name.replace(".to_output.linear.", ".to_output.")


def test_a_gradient_touches_the_slices_of_its_subnet_alone(net, subnets):
    numbers = numbered(net)
    net.train()
    for spec in subnets[:6]:
        net.zero_grad()
        net(images(32, 64, batch=2), spec).square().sum().backward()
        mine = {
            shared_name(name): tensor.detach().flatten().long() - 1
            for name, tensor in extract(numbers, spec).named_parameters()
        }
        for name, parameter in net.named_parameters():
            if name not in mine:
                assert parameter.grad is None, name
                continue
            assert mine[name].unique().numel() == mine[name].numel()
            rest = parameter.grad.flatten().clone()
            rest[mine[name]] = 0
            assert not rest.any(), name
        touched = sum(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
        assert touched > 0.9 * len(mine)


def test_every_element_of_every_tensor_is_somebodys(net, space):
    numbers = numbered(net)
    unused = {name: torch.ones(p.numel(), dtype=bool) for name, p in net.named_parameters()}
    rng = Random(2)
    for _ in range(80):
        spec = space.sample(rng)
        with torch.no_grad():
            for name, tensor in numbers.subnet(spec).named_parameters():
                unused[shared_name(name)][tensor.flatten().long() - 1] = False
    assert not [name for name, mask in unused.items() if mask.any()]


def test_every_tensor_gets_a_gradient(net, space):
    image = images(96, 96, batch=2)
    rng = Random(1)
    for _ in range(20):
        net(image, space.sample(rng)).square().mean().backward()
    missing = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.any().item()
    ]
    assert not missing
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_no_tensor_is_larger_than_some_subnet_has_it():
    space = load_space("heterogeneous_branches")  # one kind of everything
    choices = {gene.name: gene.choices for gene in space.genes}
    values = {name: max(options) for name, options in choices.items()}
    largest = space.spec_of(values | {"head_dim": 32})
    with torch.device("meta"):
        alone = build_segmentor(largest, CLASSES)
        ours = {n: tuple(p.shape) for n, p in build_supernet(space, CLASSES).named_parameters()}
    theirs = {shared_name(name): tuple(p.shape) for name, p in alone.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, shape in theirs.items():
        if ".shortcut." in name:  # whose factors do not all grow with the width
            b = int(name.split(".branches.")[1][0]) + 1
            factors = [(des_factor(w), w // des_factor(w)) for w in choices[f"width_{b}"]]
            side = max(k if ".left." in name else p for p, k in factors)
            shape = (side,) * len(shape)
        assert ours[name] == shape, name


def test_a_base_outside_the_choices_adds_nothing(make_config):
    space = make_config().load_space()  # one block a branch, on the base of hrvit_b1
    with torch.device("meta"):
        net = build_supernet(space, CLASSES)
    assert not [name for name, _ in net.named_parameters() if ".blocks.1." in name]


def test_weights_start_as_those_of_a_network_of_that_size(make_config):
    space = make_config().load_space()
    torch.manual_seed(0)
    largest = space.spec_of({gene.name: max(gene.choices) for gene in space.genes})
    net = build_supernet(space.narrow({}, base=largest), CLASSES)
    alone = build_segmentor(largest, CLASSES)
    ours = dict(net.named_parameters())
    for name, theirs in alone.named_parameters():
        mine = ours[shared_name(name)]
        if theirs.ndim == 1:
            assert torch.equal(mine, theirs), name
        elif theirs.numel() > 2000:
            assert mine.std().item() == pytest.approx(theirs.std().item(), rel=0.15), name


# Kinds of head


@pytest.fixture(scope="module")
def headed(make_config):
    """A space of small networks whose heads vary in kind and width, and the maps that they read."""
    gene = Gene(name="head_kind", field="head_kind", choices=tuple(HEAD_KINDS))
    choices = {**make_config().narrowing.choices, "head_width": [16, 32]}
    narrowing = make_config().narrowing.model_copy(update={"choices": choices})
    space = make_config(narrowing=narrowing).load_space()
    return replace(space, genes=(*space.genes, gene))


@pytest.fixture(scope="module")
def headed_subnets(headed):
    rng = Random(4)
    found = [headed.sample(rng) for _ in range(3 * len(HEAD_KINDS))]
    assert {spec.head_kind for spec in found} == set(HEAD_KINDS)
    return found


@pytest.mark.usefixtures("no_first_values")  # extracting replaces them all
def test_subnets_of_every_head_are_exact(headed, headed_subnets):
    net = varied(build_supernet(headed, CLASSES)).eval()
    image = images(32, 64, batch=2)
    for training in (False, True):
        for spec in headed_subnets:
            if not training:
                net.recalibrate_bn(spec, [image])
            alone = extract(net.train(training), spec)
            outputs = []
            for model in (alone, net.subnet(spec)):
                torch.manual_seed(5)
                with torch.no_grad():
                    outputs.append(model(image))
            torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_every_element_of_every_head_is_somebodys(headed, headed_subnets):
    net = build_supernet(headed, CLASSES)
    numbers = numbered(net)
    unused = {
        n: torch.ones(p.numel(), dtype=bool) for n, p in net.named_parameters() if "head" in n
    }
    values = {gene.name: max(gene.choices) for gene in headed.genes}
    largest = [headed.spec_of(values | {"head_kind": kind}) for kind in HEAD_KINDS]
    for spec in (*headed_subnets, *largest):
        with torch.no_grad():
            for name, tensor in numbers.subnet(spec).head.named_parameters(prefix="head"):
                mine = tensor.flatten().long() - 1
                assert mine.unique().numel() == mine.numel()
                unused[name][mine] = False
    assert not [name for name, mask in unused.items() if mask.any()]


# Batch statistics


def test_passes_in_training_mode_leave_nothing_behind(net, subnets):
    spec, *others = subnets[:6]
    expected = output(net, spec)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.train()
    for other in (*others, spec):
        net(images(32, 64, batch=2, seed=3), other)
    net.eval()
    assert torch.equal(output(net, spec), expected)
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not list(net.buffers())


def test_bn_recalibration_is_of_one_subnet_until_something_is_trained(net, subnets):
    spec, other = subnets[:2]
    fresh, others = output(net, spec), output(net, other)
    batches = [images(32, 48, batch=2, seed=seed) for seed in (1, 2)]
    net.recalibrate_bn(spec, batches)
    recalibrated = output(net, spec)
    assert difference(recalibrated, fresh) > 0.01
    assert torch.equal(output(net, other), others)
    net.recalibrate_bn(spec, ((batch, "label") for batch in batches))
    assert torch.equal(output(net, spec), recalibrated)

    net.train()(images(32, 64, batch=2), other)
    assert torch.equal(output(net.eval(), spec), fresh)


def test_bn_recalibration_works_in_training_mode_and_needs_a_batch(net, spec):
    net.recalibrate_bn(spec, [images(32, 48, batch=2)])
    expected = output(net, spec)
    net.train().recalibrate_bn(spec, [images(32, 48, batch=2)])
    assert net.training
    assert torch.equal(output(net.eval(), spec), expected)
    with pytest.raises(ValueError, match="at least one batch"):
        net.recalibrate_bn(spec, [])
    assert torch.equal(output(net, spec), expected)


def test_the_last_few_batch_statistics_are_kept(monkeypatch, net, subnets):
    assert module.STATISTICS_KEPT == 1024
    monkeypatch.setattr(module, "STATISTICS_KEPT", 3)
    subnets = subnets[:5]
    fresh = [output(net, spec) for spec in subnets]
    for spec in subnets:
        net.recalibrate_bn(spec, [images(32, 48, batch=2)])
    kept = [
        not torch.equal(output(net, spec), before)
        for spec, before in zip(subnets, fresh, strict=True)
    ]
    assert kept == [False, False, True, True, True]


def test_what_is_remembered_is_bounded(monkeypatch, net, subnets):
    monkeypatch.setattr(module, "SUBNETS_KNOWN", 3)
    for spec in subnets:
        output(net, spec)
        assert len(net._subnets) <= 3
    caches = [part for part in vars(skeletons).values() if hasattr(part, "cache_info")]
    assert len(caches) == 7
    for cache in caches:
        assert cache.cache_info().currsize <= cache.cache_info().maxsize == skeletons.PARTS_KEPT


# One supernet, many users


def test_the_order_of_calls_does_not_matter(net, subnets):
    some = subnets[:6]
    expected = [output(net, spec) for spec in some]
    assert all(
        torch.equal(output(net, spec), before)
        for spec, before in reversed(list(zip(some, expected, strict=True)))
    )
    assert len({y.sum().item() for y in expected}) == len(some)


def test_two_threads_at_once_get_their_own_subnets(net, subnets):
    halves = subnets[:6], subnets[6:12]
    expected = [[output(net, spec) for spec in half] for half in halves]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda half: [output(net, spec) for spec in half], halves))
    for mine, theirs in zip(found, expected, strict=True):
        assert all(map(torch.equal, mine, theirs))


def test_a_hook_on_a_subnet_is_on_no_other(net, spec):
    seen = []
    subnet = net.subnet(spec)
    for part in subnet.modules():
        part.register_forward_hook(lambda *_: seen.append(1))
        part.register_forward_pre_hook(lambda *_: seen.append(1))
    output(net, spec)
    assert not seen
    with torch.no_grad():
        subnet(IMAGE)
    assert seen


def test_a_subnet_changed_leaves_the_next_as_it_was(net, spec):
    expected = output(net, spec)
    subnet = net.subnet(spec)
    for block in subnet.modules():
        if hasattr(block, "rate"):
            block.rate = 0.9
    subnet.head = nn.Identity()
    subnet.backbone.stem.conv1.norm.running_mean.fill_(3)
    assert torch.equal(output(net, spec), expected)


# Storing


def test_a_copy_has_weights_and_batch_statistics_of_its_own(net, subnets):
    spec, other = subnets[:2]
    net.recalibrate_bn(spec, [images(32, 48, batch=2)])
    expected = output(net, spec)
    copy = deepcopy(net)
    assert torch.equal(output(copy, spec), expected)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    assert torch.equal(output(net, spec), expected)
    assert not output(copy, other).any()


@pytest.mark.parametrize("assign", [False, True])
def test_a_state_goes_into_another_supernet(tmp_path, net, space, spec, assign):
    torch.save(net.state_dict(), tmp_path / "state.pt")
    again = build_supernet(space, CLASSES).eval()
    again.recalibrate_bn(spec, [images(32, 48, batch=2)])  # of weights that are about to go
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again.load_state_dict(state, assign=assign)
    assert torch.equal(output(again, spec), output(net, spec))
    again(IMAGE, spec).sum().backward()
    assert all(p.grad is not None for name, p in again.named_parameters() if "stem" in name)


# Refusals


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda net, spec: net(IMAGE, spec),
        lambda net, spec: net.subnet(spec),
        lambda net, spec: net.recalibrate_bn(spec, [IMAGE]),
        extract,
    ],
    ids=["forward", "subnet", "recalibrate_bn", "extract"],
)
def test_an_architecture_outside_the_space_is_refused(net, use, training):
    with pytest.raises(SpaceError, match=r"not in space 'joint': \w"):
        use(net.train(training), get_arch("hrvit_b3"))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate must be at least 0 and below 1, got 1\.0"),
        ({"drop_path_rate": -0.1}, r"drop_path_rate .* got -0\.1"),
    ],
)
def test_numbers_out_of_range_are_refused(space, numbers, message):
    with pytest.raises(ValueError, match=message):
        build_supernet(space, **{"num_classes": CLASSES} | numbers)


def test_images_too_small_are_refused(net, spec):
    with pytest.raises(ValueError, match="H and W of at least 32, got"):
        net(torch.zeros(1, 3, 31, 64), spec)
