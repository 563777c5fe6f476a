"""Trains a mini encoder to classify cut-outs of generated streets, and keeps it as its start weights.

    python -m adaptbench.networks.mini.pretrain daformer-mini adaptbench/networks/mini

What ImageNet is to the full-size encoders: image classification, other images, no dense labels, and nothing of
the target's look. One thread, so that the weights come out the same again on the same kind of machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from mmseg.registry import MODELS
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from adaptbench import networks
from adaptbench.data import transforms
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.networks.mini.images import Cutouts, cutouts

SIDE = 48
_IMAGES, _EACH = 2500, 20
_HELD_OUT = 200
_BATCH = 64
_EPOCHS = 5
_LEARNING_RATE, _WEIGHT_DECAY, _WARMUP = 1e-3, 0.05, 200


class Classifier(nn.Module):
    """An encoder, the mean over its coarsest map, and a linear layer."""

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        with torch.no_grad():
            channels = encoder(torch.zeros(1, 3, SIDE, SIDE))[-1].shape[1]
        self.linear = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Shape: ``(B, 3, H, W)`` to ``(B, classes)``."""
        logits: Tensor = self.linear(self.encoder(image)[-1].mean(dim=(2, 3)))
        return logits


def pretrain(network: str, images: int = _IMAGES, epochs: int = _EPOCHS) -> tuple[nn.Module, float]:
    """The trained encoder of ``network``, and its accuracy on held-out images in [0, 1]."""
    torch.manual_seed(0)
    model = Classifier(_encoder(network), len(CITYSCAPES19))
    data = cutouts("train", range(images), _EACH, SIDE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    steps = epochs * (len(data.classes) // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / _WARMUP, 1) * (1 - t / steps)
    )
    started = time.monotonic()
    for step in range(steps):
        image, label = _batch(data, torch.randint(len(data.classes), (_BATCH,)))
        loss = functional.cross_entropy(model(_augmented(image)), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            _say(f"{network} {step}/{steps} loss {loss.item():.3f} {time.monotonic() - started:.0f} s")
    return model.encoder, accuracy(model, cutouts("held out", range(_HELD_OUT), _EACH, SIDE))


@torch.no_grad()
def accuracy(model: nn.Module, data: Cutouts) -> float:
    """Share of cut-outs whose class is found, in [0, 1]."""
    model.eval()
    right = 0
    for indices in torch.split(torch.arange(len(data.classes)), _BATCH):
        image, label = _batch(data, indices)
        right += int((model(image).argmax(1) == label).sum())
    return right / len(data.classes)


def _encoder(network: str) -> nn.Module:
    """The encoder without dilation, as it is trained on ImageNet."""
    config = dict(networks.spec(network).backbone)
    if "dilations" in config:
        config.update(strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1))
    built = MODELS.build(config)
    if hasattr(built, "init_weights"):
        built.init_weights()
    encoder: nn.Module = built
    return encoder


def _batch(data: Cutouts, indices: Tensor) -> tuple[Tensor, Tensor]:
    rows = indices.numpy()
    image = transforms.network_input(list(data.images[rows]))
    return image, torch.from_numpy(data.classes[rows])


def _augmented(image: Tensor) -> Tensor:
    """Half of the images mirrored, all with another contrast and brightness."""
    mirrored = torch.rand(len(image), 1, 1, 1) < 0.5
    image = torch.where(mirrored, image.flip(-1), image)
    factor = torch.empty(len(image), 1, 1, 1).uniform_(0.7, 1.3)
    return image * factor + torch.empty(len(image), 3, 1, 1).uniform_(-0.3, 0.3)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Writes ``FOLDER/NETWORK.safetensors``, half precision, with the accuracy in its header."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=_IMAGES)
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoder, share = pretrain(arguments.network, arguments.images, arguments.epochs)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in encoder.state_dict().items()
    }
    header = {"task": "cut-out classification, third look", "accuracy": f"{share:.4f}"}
    start = networks.spec(arguments.network).start
    assert start is not None
    save_file(state, arguments.folder / start.file, metadata=header)
    _say(f"accuracy on held-out images: {share:.4f}")


if __name__ == "__main__":
    main()
