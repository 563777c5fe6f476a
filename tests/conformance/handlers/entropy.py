"""Self-information, entropy, the discriminator on it, and the cross entropy of ADVENT."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptbench.adaptation.discriminator import SOURCE, TARGET, OutputDiscriminator, domain_loss
from adaptbench.adaptation.entropy import entropy_loss, self_information
from adaptbench.adaptation.seg_loss import labelled_cross_entropy, resize_logits

from ..case import Case
from ..registry import handler


@handler("advent_entropy")
def check(case: Case) -> None:
    logits = case.tensor("in/logits").requires_grad_()
    resized = resize_logits(logits, tuple(case.hyper("up_size_hw")), align_corners=True)
    probability = resized.softmax(dim=1)
    information = self_information(probability)
    case.compare("out/self_information", information)
    _compare(case, "entropy_loss", entropy_loss(probability), logits)
    loss = labelled_cross_entropy(resized, case.tensor("in/label").long(), case.hyper("ignore_label"))
    _compare(case, "loss_seg", loss, logits)
    _check_discriminator(case, information, logits)
    _check_extremes(case)


def _check_discriminator(case: Case, information: Tensor, logits: Tensor) -> None:
    discriminator = OutputDiscriminator(case.hyper("num_classes"), case.hyper("ndf"))
    state = case.arrays("param/discriminator/")
    discriminator.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    scores = discriminator(information)
    case.compare("out/d_out", scores)
    names, tensors = zip(*discriminator.named_parameters(), strict=True)
    for name, domain in (("source", SOURCE), ("target", TARGET)):
        loss = domain_loss(scores, domain, "bce")
        case.compare(f"out/bce_{name}_label", loss)
        gradients = torch.autograd.grad(loss, [logits, *tensors], retain_graph=True)
        case.compare(f"out/grad_bce_{name}_label/logits", gradients[0])
        for key, gradient in zip(names, gradients[1:], strict=True):
            case.compare(f"out/grad_bce_{name}_label/discriminator/{key}", gradient)


def _check_extremes(case: Case) -> None:
    probability = case.tensor("in/prob_extreme").requires_grad_()
    case.compare("out/extreme/self_information", self_information(probability))
    loss = entropy_loss(probability)
    case.compare("out/extreme/entropy_loss", loss)
    case.compare("out/extreme/grad", *torch.autograd.grad(loss, probability))


def _compare(case: Case, name: str, loss: Tensor, logits: Tensor) -> None:
    case.compare(f"out/{name}", loss)
    case.compare(f"out/grad_{name}/logits", *torch.autograd.grad(loss, logits, retain_graph=True))
