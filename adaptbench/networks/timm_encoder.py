"""Any timm encoder under the DeepLabV2 head: ``timm:NAME``. timm takes seconds to import, so only when used."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench.errors import UsageError, unknown_name
from adaptbench.networks.segmentor import NetworkSpec
from adaptbench.networks.start_weights import StartWeights


@MODELS.register_module()
class TimmEncoder(nn.Module):
    """A timm model as a backbone: images to its feature pyramid.

    Args:
        model: timm's name.
        output_stride: stride of the coarsest feature map, or None for the model's own.
    """

    def __init__(self, model: str, output_stride: int | None = None) -> None:
        super().__init__()
        import timm

        options = {} if output_stride is None else {"output_stride": output_stride}
        self.model = timm.create_model(model, features_only=True, pretrained=False, **options)

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, fine to coarse. Shape: ``(B, 3, H, W)`` to several ``(B, c, h, w)``."""
        features: Sequence[Tensor] = self.model(image)
        return features


def timm_network(name: str) -> NetworkSpec:
    """The spec of ``timm:ENCODER``; at output stride 8 where the encoder can be dilated.

    Raises:
        UsageError: timm has no such model, or it gives no feature maps.
    """
    import timm

    model = name.removeprefix("timm:")
    if not timm.is_model(model):
        raise unknown_name("timm model", model, timm.list_models())
    encoder, dilated = _encoder(model)
    channels = encoder.model.feature_info.channels()[-1]
    return NetworkSpec(
        name=name,
        backbone={"type": "TimmEncoder", "model": model, "output_stride": 8 if dilated else None},
        decode_head={"type": "DeepLabV2Head", "in_channels": channels, "dilations": (6, 12)},
        start=_start(model),
    )


def _start(model: str) -> StartWeights | None:
    """The weights timm publishes for a model, if any."""
    import timm

    known = timm.models.get_pretrained_cfg(model)
    if known is None or not known.hf_hub_id:
        return None
    tag = known.tag or "pretrained"
    file = f"{model}.{tag}.safetensors"
    return StartWeights(
        f"timm {tag}", file, f"timm, {known.hf_hub_id}", (known.hf_hub_id, "model.safetensors")
    )


def _encoder(model: str) -> tuple[TimmEncoder, bool]:
    try:
        return TimmEncoder(model, output_stride=8), True
    except (TypeError, NotImplementedError, AssertionError, RuntimeError):
        pass
    try:
        return TimmEncoder(model), False
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UsageError(f"timm:{model} gives no feature pyramid: {error}") from error
