"""Weights for plain vision transformers, from files of timm or of the authors of DINOv2, for patches of any size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from adaptbench.networks.plain_vit import PlainViT
from adaptbench.networks.pretrained.fit import fitted
from adaptbench.networks.pretrained.namings import CLASSIFIERS
from adaptbench.networks.pretrained.patch_size import resized_kernel, resized_positions

_KERNEL, _POSITIONS, _MASK = "patch_embed.proj.weight", "pos_embed", "mask_token"


def transformer_state(tensors: Mapping[str, Tensor], encoder: PlainViT, origin: Path) -> dict[str, Tensor]:
    """The state dict of a vision transformer. Classifiers are dropped; so is a mask token, where it has none.

    Where patches have another size than in the file, kernel and positions are resized, as Rein and SoMA do it. A mask
    token that the file lacks stays as it is.

    Raises:
        WeightsError: the file is of another encoder or width; names what is missing, surplus or of another shape.
    """
    own = encoder.state_dict()
    ours = {name.removeprefix("model."): name for name in own}
    found = {name: tensor for name, tensor in tensors.items() if name not in CLASSIFIERS and name != _MASK}
    if _MASK in ours:
        found[_MASK] = tensors.get(_MASK, own[_MASK])
    expected = {inner: own[name] for inner, name in ours.items()}
    state = fitted(_resized(found, encoder), expected, origin, "the encoder (a plain vision transformer)")
    return {ours[name]: tensor for name, tensor in state.items()}


def _resized(found: Mapping[str, Tensor], encoder: PlainViT) -> dict[str, Tensor]:
    """Kernel and positions at the encoder's patch and grid, if they are of any."""
    changed = dict(found)
    kernel, positions = found.get(_KERNEL), found.get(_POSITIONS)
    if kernel is None or positions is None or kernel.dim() != 4 or kernel.shape[-1] == encoder.patch:
        return changed
    grid = encoder.model.patch_embed.grid_size
    passed = encoder.model.pos_embed.shape[1] - grid[0] * grid[1]
    changed[_KERNEL] = resized_kernel(kernel, encoder.patch)
    changed[_POSITIONS] = resized_positions(positions, grid, passed)
    return changed
