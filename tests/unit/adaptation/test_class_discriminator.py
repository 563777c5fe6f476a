from __future__ import annotations

import pytest
import torch

from adaptbench.adaptation.class_discriminator import class_label, domain_cross_entropy

LOGITS = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).T[None, :, None].requires_grad_()


def test_soft_labels_are_clipped_and_not_normalised_again() -> None:
    label = class_label(LOGITS, "soft", 0.9)
    probability = LOGITS.softmax(dim=1)
    assert label.max() == pytest.approx(0.9)
    assert torch.equal(label[probability <= 0.9], probability[probability <= 0.9])
    assert float(label.sum(dim=1)[0, 0, 0]) < 0.95
    assert not label.requires_grad


def test_hard_and_binary_labels() -> None:
    assert class_label(LOGITS, "hard", 0.9).argmax(dim=1).flatten().tolist() == [0, 1]
    assert class_label(LOGITS, "binary", 0.9).shape == (1, 1, 1, 2)


def test_both_halves_share_one_softmax() -> None:
    label = class_label(LOGITS, "hard", None)
    scores = torch.zeros(1, 6, 1, 2)
    loss = domain_cross_entropy(scores, label, "source")
    assert float(loss) == pytest.approx(torch.log(torch.tensor(6.0)).item())
    scores[:, :3] = 3 * label
    assert (
        domain_cross_entropy(scores, label, "source") < loss < domain_cross_entropy(scores, label, "target")
    )


def test_as_many_scores_as_labels_are_refused() -> None:
    label = class_label(LOGITS, "soft", None)
    with pytest.raises(ValueError, match="twice as many"):
        domain_cross_entropy(label, label, "source")
