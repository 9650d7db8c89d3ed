"""Latency models of made-up times."""

from hrvit_nas.cost.latency import Conditions
from hrvit_nas.cost.timed_parts import features_of, timed_parts
from hrvit_nas.evaluation.latency_fit import fitted_model, heads_of, parts_of

CONDITIONS = Conditions(
    device="a slide rule",
    threads=1,
    precision="float32",
    torch_version="0",
    image_size=(64, 96),
    batch_size=1,
    num_classes=5,
)
PRICES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
SLOPE, INTERCEPT = 0.8, 1.5


def made_up_ms(part):
    """Linear in the work of the part."""
    features = features_of(part, CONDITIONS.image_size, CONDITIONS.num_classes)
    return sum(price * feature for price, feature in zip(PRICES, features, strict=True))


def made_up_network_ms(spec):
    parts = timed_parts(spec, CONDITIONS.image_size).items()
    return INTERCEPT + SLOPE * sum(times * made_up_ms(part) for part, times in parts)


def made_up_model(specs):
    parts = parts_of(specs, CONDITIONS.image_size) + heads_of(specs, CONDITIONS.image_size)
    return fitted_model(
        CONDITIONS,
        {part.key: made_up_ms(part) for part in parts},
        [(spec, made_up_network_ms(spec)) for spec in specs],
    )
