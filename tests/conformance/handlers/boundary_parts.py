"""Augmentations of PixMatch and EHTDI: Fourier mix, CutMix, and the views of a crop."""

from __future__ import annotations

from unittest import mock

import numpy as np
import torch

from adaptbench.adaptation.cut_mix import CutDraw, LabelledBatch, cut_box, cut_mix
from adaptbench.adaptation.fourier_mix import corner_side, exchanged, fourier_mix
from adaptbench.data import crop_views
from adaptbench.data.crop_views import ViewDraw, labels_in_view, views
from adaptbench.data.normalisation import CAFFE, Normalisation
from adaptbench.data.recolour import Recolouring
from adaptbench.data.resized_crop import CropBox

from ..boundary_mixing import ours, theirs
from ..case import Array, Case
from ..registry import handler


@handler("fourier_mix")
def check_fourier(case: Case) -> None:
    for facts in case.hyper("cases"):
        name, beta = facts["name"], facts["L"]
        image, style = case.tensor(f"in/{name}/src"), case.tensor(f"in/{name}/tgt")
        out = f"out/{name}/"
        case.compare(f"{out}full_spectrum", fourier_mix(image, style, beta))
        case.compare(f"{out}full_spectrum_real_part", fourier_mix(image, style, beta, "all"))
        case.compare(f"{out}half_spectrum_repaired", fourier_mix(image, style, beta, "half"))
        half, full = torch.fft.rfft2(image), torch.fft.fft2(image)
        sides = [corner_side((s.shape[2], s.shape[3]), beta) for s in (half, full)]
        case.compare(f"{out}corner_size", sides)
        marked = exchanged(torch.zeros(1, 1, *half.shape[2:]), torch.ones(1, 1, *half.shape[2:]), sides[0])
        case.compare(f"{out}half_spectrum_amplitude_changed", marked[0, 0])
        # What the broken file makes of it: the inverse takes the pair (real, imaginary) for an axis of the image.
        broken = torch.fft.irfft2(torch.view_as_real(half), s=image.shape[2:])
        case.compare(f"{out}ehtdi_output_shape", broken.shape)


@handler("cutmix")
def check_cut_mix(case: Case) -> None:
    second = _labelled(case, "2")
    size = (second.image.shape[2], second.image.shape[3])
    for number, drawn in enumerate(case.json["recorded_draws"]):
        draw = CutDraw(drawn["swapped"], drawn["lam"], drawn["centre_row"], drawn["centre_col"])
        box = cut_box(size, draw)
        for axis, side in zip(("rows", "cols"), box, strict=True):
            case.expect(f"box_{axis}", [side.start, side.stop], drawn[f"box_{axis}"])
        for name, first in (("same", "1"), ("resized", "1_other_size")):
            mixed = cut_mix(_labelled(case, first), second, draw)
            case.compare(f"out/{number}/{name}/images", mixed.image)
            case.compare(f"out/{number}/{name}/labels", theirs(case, mixed.label)[:, None])


@handler("ehtdi_augment")
def check_views(case: Case) -> None:
    blue, green, red = case.hyper("mean_bgr")
    values = Normalisation((blue, green, red), CAFFE.std, bgr=True)
    image, label = case.tensor("in/image"), ours(case, case.tensor("in/label"))
    case.compare("out/recovered_rgb_uint8", np.stack(crop_views.grey_levels(image, values)))
    draws = [ViewDraw(CropBox(*box), Recolouring()) for box in case.hyper("crops_yxhw")]
    height, width = case.hyper("out_hw")
    size, given = (height, width), iter(case.all_arrays["in/strong_rgb_uint8"])
    seen: list[Array] = []

    def recoloured(crop: Array, draw: Recolouring) -> Array:
        seen.append(crop)
        return next(given)

    with mock.patch.object(crop_views, "recolour", recoloured):
        both = views(image, draws, size, values)
    case.compare("out/weak", both.weak)
    case.compare("out/strong", both.strong)
    case.compare("out/strong_transform_input_uint8", np.stack(seen))
    case.compare("out/label", theirs(case, labels_in_view(label, draws, size)))


def _labelled(case: Case, number: str) -> LabelledBatch:
    label = case.tensor(f"in/labels_{number}")[:, 0]
    return LabelledBatch(case.tensor(f"in/images_{number}"), ours(case, label))
