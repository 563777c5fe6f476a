"""A network file as anybody could write it: brightness decides the class. It is read as text and written by tests."""

SMALL_NETWORK = '''
import torch
from torch import nn
from adaptbench.contracts.network_file import NetworkFile


class Bright(nn.Module):
    """Four outputs, of which the one whose level is nearest to the brightness of the first channel wins."""

    def __init__(self):
        super().__init__()
        self.levels = nn.Parameter(torch.zeros(4))
        self.calls = 0

    def forward(self, image):
        return -(image[:, :1] - self.levels.view(1, -1, 1, 1)).abs()


def build(network=None, **changes):
    stated = dict(
        outputs=("sky", "building", "lamp", "void"),
        counts_as={"lamp": "pole", "void": None},
        class_set="camvid11",
        mean=(10.0, 0.0, 0.0),
        std=(2.0, 1.0, 1.0),
        channels="BGR",
        scale=0.5,
    )
    return NetworkFile(network=network or Bright(), **{**stated, **changes})


def wrapped(forward):
    """The network with another answer."""
    network = Bright()
    plain = network.forward
    network.forward = lambda image: forward(network, plain(image))
    return build(network)


def a_tuple():
    return wrapped(lambda network, logits: (logits,))


def three_outputs():
    return wrapped(lambda network, logits: logits[:, :3])


def swapped_axes():
    return wrapped(lambda network, logits: logits.transpose(2, 3))


def noisy():
    return wrapped(lambda network, logits: logits + torch.rand_like(logits))


def drifting():
    def forward(network, logits):
        network.levels.data += 1
        return logits * 0

    return wrapped(forward)


def not_finite():
    return wrapped(lambda network, logits: logits / 0)


def failing():
    return wrapped(lambda network, logits: logits + torch.ones(5))


def unnamed_output():
    return build(outputs=("sky", "house", "lamp", "void"))


def no_such_class():
    return build(counts_as={"lamp": "lantern", "void": None})


def nothing_called_so():
    return build(counts_as={"lamp": "pole", "void": None, "tram": "car"})


def twice():
    return build(outputs=("sky", "sky", "lamp", "void"))


def other_order():
    return build(channels="GBR")


def no_spread():
    return build(std=(0.0, 1.0, 1.0))


def two_means():
    return build(mean=(1.0, 2.0))


def no_network():
    return Bright()


def raising():
    raise ValueError("no such luck")
'''
