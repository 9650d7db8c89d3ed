"""The model card of a network: what it is, what it reads and returns, where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..arch import Arch, ArchSpec
from ..cost import CostedTask, estimate_cost
from .description import Description

CARD_SIDE = 512
"""Height and width in pixels that a card counts multiply-adds at."""
PIPELINE_TAGS = {"segmentor": "image-segmentation", "classifier": "image-classification"}
LONGEST_TABLE = 40
"""Classes that a card shows a row for."""


def model_card(
    spec: Arch,
    kind: str,
    num_classes: int,
    description: Description | None,
    provenance: Mapping[str, Any] | None,
) -> str:
    """A model card as Markdown with the YAML head that the Hugging Face Hub reads.

    It claims what it is given and nothing else: without scores in the provenance it has none.

    Args:
        spec: The architecture.
        kind: A key of `PIPELINE_TAGS`.
        num_classes: Classes that the network tells apart.
        description: What its numbers mean, if that is known.
        provenance: Of the run that trained it: `trial`, `recipe`, `data` and `sittings`, each if it
            is known.
    """
    import yaml

    head = {
        "library_name": "hrvit_nas",
        "pipeline_tag": PIPELINE_TAGS[kind],
        "tags": [_family(spec).lower(), "neural-architecture-search", "pytorch"],
    }
    sections = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {_family(spec)} `{spec.id}`",
        "\n".join(_network(spec, kind, num_classes)),
        "## Use\n\n```python\nimport hrvit_nas\n\nmodel = hrvit_nas.from_pretrained(PATH)\n```",
        "## Input and output\n\n" + "\n".join(_numbers(kind, description)),
    ]
    if description is not None:
        sections.append("## Classes\n\n" + "\n".join(_classes(description)))
    sections.append("## Training\n\n" + "\n".join(_training(provenance or {})))
    sections.append(
        "## Limits\n\n"
        "Nothing is claimed beyond what stands above. A network of a few seconds or minutes of"
        " training, such as a search keeps, says which architecture is worth training long, and is"
        " no finished product. The program is under Apache-2.0; what the weights may be used for"
        " depends on the images that they were trained on."
    )
    return "\n\n".join(sections) + "\n"


def _family(spec: Arch) -> str:
    if isinstance(spec, ArchSpec):
        return "HRViT"
    return {"mit": "MiT", "cswin": "CSWin"}[spec.family]


def _network(spec: Arch, kind: str, num_classes: int) -> Iterator[str]:
    segments = kind == "segmentor"
    task: CostedTask = "segmentation" if segments else "classification"
    cost = estimate_cost(spec, (CARD_SIDE, CARD_SIDE), task=task, num_classes=num_classes)
    what = f"semantic segmentation, {spec.head_kind} head" if segments else "image classification"
    yield f"- {what}, {num_classes} classes"
    yield (
        f"- {cost.params / 1e6:.2f} million parameters; {cost.macs / 1e9:.2f} billion multiply-adds"
        f" at {CARD_SIDE}x{CARD_SIDE} (both attention products in full)"
    )
    yield f"- backbone maps of {', '.join(map(str, spec.out_widths))} channels, strides 4 and up"
    yield "- the whole architecture is in `config.json`, under `arch`"


def _numbers(kind: str, description: Description | None) -> Iterator[str]:
    out = "(B, classes, H, W)" if kind == "segmentor" else "(B, classes)"
    yield f"Images (B, 3, H, W), float32, H and W of at least 32, to logits {out}."
    if description is None:
        yield "Normalisation, classes and label rules were not recorded."
        return
    yield (
        f"Images are red, green, blue in 0..255, less the mean {_list(description.mean)}, over the"
        f" deviation {_list(description.deviation)}."
    )
    if description.ignore_index is None:
        yield f"Labels: {description.label_rule}."
        return
    yield (
        f"Masks: {description.label_rule}; label {description.ignore_index} is neither trained on"
        " nor scored."
    )


def _classes(description: Description) -> Iterator[str]:
    coloured = bool(description.palette)
    yield "| label | class | colour |" if coloured else "| label | class |"
    yield "|---|---|---|" if coloured else "|---|---|"
    for label, name in enumerate(description.class_names):
        if label == LONGEST_TABLE:
            yield f"\n{description.num_classes - label} more are in `config.json`."
            return
        escaped = name.replace("|", "\\|")
        colour = " #{:02x}{:02x}{:02x} |".format(*description.palette[label]) if coloured else ""
        yield f"| {label} | {escaped} |{colour}"


def _training(provenance: Mapping[str, Any]) -> Iterator[str]:
    if not provenance:
        yield "Not recorded."
        return
    trial, data = provenance.get("trial") or {}, provenance.get("data") or {}
    if data:
        size = data.get("image_size")
        yield f"- data set: {data.get('name')}" + (f", at {size[0]}x{size[1]}" if size else "")
    if trial:
        steps = f", {trial['budget']} optimiser steps" if trial.get("budget") is not None else ""
        yield f"- one training, seed {trial.get('seed')}{steps}"
    for name, title in (("miou", "mIoU"), ("pixel_accuracy", "pixel accuracy")):
        if trial.get(name) is not None:
            yield f"- {title} on the validation split: {trial[name]:.4f}"
    for sitting in provenance.get("sittings") or []:
        versions = sitting.get("versions") or {}
        git = sitting.get("git") or {}
        commit = f", commit `{str(git['commit'])[:12]}`" if git.get("commit") else ""
        dirty = " with changes" if git.get("dirty") else ""
        named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        yield f"- {sitting.get('started_at')}: `{' '.join(sitting.get('command') or [])}`"
        yield f"  ({named}{commit}{dirty}; device {sitting.get('device')})"


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
