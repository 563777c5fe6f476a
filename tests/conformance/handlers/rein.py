"""Rein's tokens, what they change in features, and the queries made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.networks.adapters import rein as adapter
from adaptbench.networks.adapters.rein import Rein

from ..adapter_networks import rein_of
from ..case import Case
from ..registry import handler


@handler("rein_delta")
def check_change(case: Case) -> None:
    for name, variant in case.hyper("variants").items():
        rein = rein_of(case, "param/", softmax=variant["use_softmax"])
        _check_variant(case, rein, f"out/{name}/", variant)


def _check_variant(case: Case, rein: Rein, prefix: str, variant: dict[str, object]) -> None:
    passed = int(bool(variant["class_token"]))
    layer = variant["layer"]
    assert isinstance(layer, int)
    sequence = case.tensor("in/feats")
    cotangent = case.tensor("in/cotangent")[:, 1 - passed :]
    if passed:
        sequence = torch.cat([case.tensor("in/class_token"), sequence], dim=1)
    sequence.requires_grad_()
    features, tokens = sequence[:, passed:], rein.tokens(layer)
    case.compare(f"{prefix}similarity", rein.similarity(features, tokens).transpose(0, 1))
    case.compare(f"{prefix}delta_before_scale", rein.change(features, tokens).transpose(0, 1))
    changed = rein(sequence, layer, passed)
    (changed * cotangent).sum().backward()
    assert sequence.grad is not None
    found = {"feats": changed, "grad/feats": sequence.grad}
    for name, tensor in found.items():
        case.compare(prefix + name, tensor if variant["batch_first"] else tensor.transpose(0, 1))
    _check_gradients(case, rein, f"{prefix}grad/")


@handler("rein_lora_tokens")
def check_tokens(case: Case) -> None:
    rein = rein_of(case, "param/")
    _check_bounds(case)
    case.compare("out/tokens_all", rein.tokens())
    for layer in case.numbered("out/tokens_layer/"):
        case.compare(f"out/tokens_layer/{layer}", rein.tokens(layer))
    case.compare("out/transformed_tokens", rein.transform(rein.tokens()))
    start = case.tensor("in/feats").requires_grad_()
    sequence = start
    for layer in range(case.hyper("num_layers")):
        sequence = rein(sequence, layer)
    queries = rein.queries()
    case.compare("out/feats_after_all_layers", sequence)
    case.compare("out/queries", queries)
    (
        (queries * case.tensor("in/cotangent_queries")).sum()
        + (sequence * case.tensor("in/cotangent_feats")).sum()
    ).backward()
    assert start.grad is not None
    case.compare("out/grad/feats", start.grad)
    _check_gradients(case, rein, "out/grad/")
    case.compare("out/not_linked_returns_only_features", int(isinstance(sequence, Tensor)))


def _check_gradients(case: Case, rein: Rein, prefix: str) -> None:
    parameters = dict(rein.named_parameters())
    for name in case.arrays(prefix).keys() - {"feats"}:
        parameter = parameters[name]
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        case.compare(prefix + name, gradient)
        parameter.grad = None


def _check_bounds(case: Case) -> None:
    bounds = case.hyper("uniform_bounds_of_the_reference_initialisation")
    patch, channels, rank = (case.hyper(key) for key in ("patch_size", "embed_dims", "lora_dim"))
    for name, of_rank in (("full_tokens", None), ("low_rank_factors", rank)):
        case.expect(
            f"bound of {name}", adapter.start_bound(patch, channels, of_rank), bounds[name], rtol=1e-12
        )
