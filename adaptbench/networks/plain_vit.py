"""Plain vision transformers as encoders: maps of one stride from images of any size (DINOv2, DINOv3, EVA-02, CLIP).

The arithmetic is timm's, but for two things in which papers on foundation models differ: the size that an image is
stretched to, so that its sides are multiples of the patch, and how the table of positions is resized to the grid.
timm takes seconds to import, so only when used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.networks.inference import Size, resize

#: How the table of positions is resized: as timm does it, or as DINOv2 (docs/quirks.md#v3).
Positions: TypeAlias = Literal["timm", "dinov2"]
_DINOV2_OFFSET = 0.1


@MODELS.register_module()
class PlainViT(nn.Module):
    """A vision transformer without stages: an image to the maps that some of its blocks make.

    An image is stretched to ``scale`` times its size, each side rounded down to a multiple of the patch; with
    ``scale`` 1 it is rounded up.

    Args:
        model: timm's name.
        options: passed to timm, which builds other sizes than the named one with them.
        blocks: numbers of the blocks whose maps are given; None = the last one, behind the final norm.
        scale: factor on the sides of an image before it is cut into patches.
        positions: how the table of positions is resized.
        mask_token: whether tokens can be hidden behind a learned one.

    Attributes:
        reins: None, or an adapter that changes the sequence after every block.
    """

    reins: nn.Module | None

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any] = MappingProxyType({}),
        blocks: Sequence[int] | None = None,
        scale: float = 1.0,
        positions: Positions = "timm",
        mask_token: bool = False,
    ) -> None:
        super().__init__()
        import timm

        self.model = timm.create_model(model, num_classes=0, dynamic_img_size=True, **options)
        self.blocks, self.scale, self.positions = blocks, scale, positions
        self.register_module("reins", None)
        width = self.model.embed_dim
        self.mask_token = nn.Parameter(torch.zeros(1, width)) if mask_token else None
        self.channels = (width,) * (1 if blocks is None else len(blocks))

    @property
    def patch(self) -> int:
        """Side of a patch. Units: pixels."""
        (height, _) = self.model.patch_embed.patch_size
        return int(height)

    def encoder_size(self, size: Size) -> Size:
        """What an image of ``size`` is stretched to. Units: pixels."""
        return self._multiple(size[0]), self._multiple(size[1])

    def grid(self, size: Size) -> Size:
        """Rows and columns of tokens of an image of ``size``, which is in pixels."""
        height, width = self.encoder_size(size)
        return height // self.patch, width // self.patch

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Sequence[Tensor]:
        """Feature maps of the blocks, in order.

        Shape: ``(B, 3, H, W)`` float and, of tokens that are hidden, ``(B, rows * columns)`` bool to ``(B, c, rows,
        columns)`` each.

        Source: VFM-UDA, arXiv 2406.09896; docs/quirks.md#v1 to #v8.
        """
        size = self.encoder_size((image.shape[-2], image.shape[-1]))
        tokens = self.model.patch_embed(resize(image, size))
        rows, columns = tokens.shape[1:3]
        sequence = self.model.norm_pre(self._placed(self._hide(tokens, hidden)))
        rotated = self._rotation((rows, columns))
        maps = []
        for number, block in enumerate(self.model.blocks):
            sequence = block(sequence, **rotated)
            if self.reins is not None:
                sequence = self.reins(sequence, number, self.model.num_prefix_tokens)
            if self.blocks is not None and number in self.blocks:
                maps.append(sequence)
        if self.blocks is None:
            maps = [self.model.norm(sequence)]
        return [self._map(one, (rows, columns)) for one in maps]

    def position_table(self, grid: Size) -> Tensor:
        """Positions of the tokens of a grid, those of prefix tokens first. Shape: ``(1, tokens, c)``."""
        table: Tensor = self.model.pos_embed
        prefix = table.shape[1] - self.model.patch_embed.num_patches
        if self.positions == "timm":
            from timm.layers import resample_abs_pos_embed

            old = self.model.patch_embed.grid_size
            resampled: Tensor = resample_abs_pos_embed(table, grid, old, num_prefix_tokens=prefix)
            return resampled
        return torch.cat([table[:, :prefix], _dinov2_resized(table[:, prefix:], grid)], dim=1)

    def _multiple(self, side: int) -> int:
        if self.scale == 1.0:
            return -(-side // self.patch) * self.patch
        return max(int(side * self.scale // self.patch) * self.patch, self.patch)

    def _hide(self, tokens: Tensor, hidden: Tensor | None) -> Tensor:
        """Tokens, of which the hidden ones are the mask token. Shape: ``(B, rows, columns, c)``, unchanged."""
        if hidden is None:
            return tokens
        if self.mask_token is None:
            raise ValueError("this encoder has no mask token to hide tokens behind")
        return torch.where(hidden.view(*tokens.shape[:3], 1), self.mask_token.to(tokens.dtype), tokens)

    def _placed(self, tokens: Tensor) -> Tensor:
        """The sequence with class token and registers in front and positions added. Shape: to ``(B, tokens, c)``."""
        model, batch = self.model, len(tokens)
        positions = tokens.new_zeros(())
        if model.pos_embed is not None:
            positions = self.position_table((tokens.shape[1], tokens.shape[2]))
        prefix = [one.expand(batch, -1, -1) for one in (model.cls_token, model.reg_token) if one is not None]
        flat = tokens.flatten(1, 2)
        if model.no_embed_class:
            flat = flat + positions
            return torch.cat([*prefix, flat], dim=1)
        return torch.cat([*prefix, flat], dim=1) + positions

    def _rotation(self, grid: Size) -> dict[str, Tensor]:
        """Rotary positions of a grid, as the blocks want them; nothing for transformers without."""
        rope = getattr(self.model, "rope", None)
        return {} if rope is None else {"rope": rope.get_embed(shape=grid)}

    def _map(self, sequence: Tensor, grid: Size) -> Tensor:
        tokens = sequence[:, self.model.num_prefix_tokens :]
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)


def _dinov2_resized(table: Tensor, grid: Size) -> Tensor:
    """A square table of positions, resized without antialiasing by factors that lead a little too far.

    The table itself where it has that size. Shape: ``(1, n * n, c)`` to ``(1, rows * columns, c)``.

    Source: code of DINOv2, arXiv 2304.07193; docs/quirks.md#v3.
    """
    side = round(table.shape[1] ** 0.5)
    if grid == (side, side):
        return table
    factors = tuple((cells + _DINOV2_OFFSET) / side for cells in grid)
    square = table.reshape(1, side, side, -1).movedim(3, 1)
    resized = functional.interpolate(square, scale_factor=factors, mode="bicubic")
    return resized.flatten(2).transpose(1, 2)
