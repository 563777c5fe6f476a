"""DeepLabV2 of FADA: four dilated branches on ResNet-101 as torchvision has it, or on VGG-16.

Source: Chen et al., DeepLab, arXiv 1606.00915, in the form of Wang et al., FADA, arXiv 2007.09222, section 4.1;
docs/quirks.md#a8 and #a13.
"""

from __future__ import annotations

from adaptbench.data.normalisation import Normalisation
from adaptbench.networks import dilated_vgg  # noqa: F401 - registers the encoder
from adaptbench.networks.deeplabv2 import deeplabv2_head, resnet
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights
from adaptbench.optim.recipe import recipe

#: Mean of the images that the VGG of Caffe was trained on; nothing is divided.
CAFFE_VGG = Normalisation((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True)
_RECIPE = recipe(optimizer="sgd", learning_rate=2.5e-4, weight_decay=5e-4, warmup=0, poly_power=0.9)


NETWORKS = (
    NetworkSpec(
        name="deeplabv2-fada-r101",
        backbone=resnet(101, type="ResNet"),
        decode_head=deeplabv2_head(2048, (6, 12, 18, 24)),
        start=StartWeights("ImageNet-1k", "resnet101-5d3b4d8f.pth", "torchvision's first ResNet-101"),
        recipe=_RECIPE,
    ),
    NetworkSpec(
        name="deeplabv2-fada-vgg16",
        backbone={"type": "DilatedVGG"},
        decode_head=deeplabv2_head(1024, (6, 12, 18, 24)),
        start=StartWeights(
            "ImageNet-1k (Caffe)", "vgg16-00b39a1b.pth", "Caffe's VGG-16 in jcjohnson/pytorch-vgg"
        ),
        recipe=_RECIPE,
        normalisation=CAFFE_VGG,
    ),
)
