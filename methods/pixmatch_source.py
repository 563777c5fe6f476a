"""The source training that PixMatch and EHTDI begin with: whole images, cross entropy of both outputs.

A training step:

1. Whole source images are shown, 1280 wide, two per iteration.
2. Half of them are mirrored, half of them blurred a little.
3. The student predicts them, on both outputs of DeepLabV2.
4. Logits are resized to the size of the image.
5. It learns them: cross entropy, of the auxiliary output with a small weight.
6. The learning rate decays as a polynomial.

The releases give the network that this ends with and not how it was trained. Settings are those of EHTDI's adaptation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.method import LossGroup
from adaptbench.contracts.profiles import BlurWidth, ImageCount, Iterations, Length
from adaptbench.data.batch import Batch
from adaptbench.data.framing import WholeImages
from adaptbench.data.image_blur import WIDEST
from adaptbench.data.sampling import Sampling
from adaptbench.data.units import later
from methods.minent import OutputAdaptation, Outputs

S = TypeVar("S", bound="WholeSource.Settings", default=Any)


class Predictions(NamedTuple):
    """What the network makes of images.

    Attributes:
        main: logits of the main output at the size of the images.
        aux: those of the auxiliary one; None where the network has none.
        small: logits of the main output as the decoder gives them.
    """

    main: Tensor
    aux: Tensor | None
    small: Tensor

    def outputs(self) -> Outputs:
        """The logits at the size of the images, by name."""
        return {"main": self.main} if self.aux is None else {"main": self.main, "aux": self.aux}


class WholeSource(OutputAdaptation[S]):
    """Learns the source from whole images, half of them mirrored, half of them blurred a little."""

    name = "pixmatch_source"
    title = "PixMatch: source training"
    paper: ClassVar[str | None] = None
    tags: ClassVar[tuple[str, ...]] = ("control",)
    uses_target_images = False

    @classmethod
    def sampling(cls, settings: S) -> Sampling:
        """Whole images of one width, or crops."""
        width = int(settings.picture_width * settings.resolution + 0.5)
        distortion, blur = settings.photometric_distortion, settings.blur_width if settings.blur else 0.0
        if settings.pictures != "whole":
            return Sampling(distortion=distortion, blur=blur)
        framing, source_box = WholeImages(mirrored=True, width=width), None  # 1 and 2
        if settings.source_height is not None:
            source_box = width, int(settings.source_height * settings.resolution + 0.5)
        return Sampling(framing=framing, source_box=source_box, distortion=distortion, blur=blur)

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Cross entropy of both outputs."""
        yield self.source_pass(batch)[0]  # 3 to 5

    def predict_all(self, image: Tensor) -> Predictions:
        """One pass of the student. Shape: ``(B, 3, H, W)``."""
        size = (image.shape[-2], image.shape[-1])
        outputs = self.student.outputs(image)
        full = {k: resize_logits(v, size, self.settings.align_corners) for k, v in outputs.items()}
        return Predictions(full["main"], full.get("aux"), outputs["main"])

    def predict(self, image: Tensor) -> Outputs:
        """The logits of every output at the size of the images. Shape: image ``(B, 3, H, W)``."""
        return self.predict_all(image).outputs()

    class Settings(OutputAdaptation.Settings):
        """Settings of the source training."""

        network: str = Field(
            "deeplabv2-pixmatch-r101", description="network plug-in, timm:ENCODER or an mmseg config file"
        )
        iterations: Iterations = Field(250_000, ge=0, description="training iterations")
        batch_size: ImageCount = Field(2, ge=1, description="images per domain and iteration")
        picture_width: Length = Field(
            1280, ge=8, description="of whole images; they keep the ratio of the dataset's training size"
        )
        source_height: Length | None = Field(
            None, ge=8, description="of whole source images; none = by the ratio of their training size"
        )
        blur: bool = Field(True, description="blur half of all images a little")
        blur_width: BlurWidth = later(WIDEST, ge=0, description="largest width of the blur in pixels")
