"""A network of anybody as a stage of a job: a method that trains nothing, whose network is that of a network file."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Settings as BaseSettings
from adaptbench.data.framing import Crops, Size, UInt8
from adaptbench.data.sampling import Sampling
from adaptbench.errors import RunStateError
from adaptbench.execution.given.loaded_network import NetworkPlace, called, file_sha256
from adaptbench.networks.inference import Direct
from adaptbench.records.start import FilePlace


@dataclass(frozen=True)
class _AsStated(Crops):
    """Images have the size that a network file states, or that of their file."""

    input_size: Size | None = None

    def size(self, file: Size, box: Size) -> Size:
        return self.input_size or file


class FileNetwork(Method["FileNetwork.Settings"]):
    """What the network sees, and what its outputs count as, is stated in its file (docs/network-files.md)."""

    name = "network-file"
    title = "Network of a network file"
    predicts_void = True

    class Settings(BaseSettings):
        """Where the file is; paths are in no hash."""

        place: FilePlace = Field(exclude=True)

    def build_student(self) -> nn.Module:
        """The network that the function of the file returns.

        Raises:
            RunStateError: the file was changed since the job was planned.
        """
        place = NetworkPlace.of(self.settings.place)
        if file_sha256(place.file) != self.settings.place.file_sha256:
            raise RunStateError(
                f"{place.file} has changed since this job was planned. Call its run_all.py command again."
            )
        self._file = called(place)
        self._file.require_sound(str(place))
        self.register_buffer("_train_ids", torch.from_numpy(self._file.train_ids()), persistent=False)
        return self._file.network

    @classmethod
    def sampling(cls, settings: FileNetwork.Settings) -> Sampling:
        """Images as stated."""
        return Sampling(framing=_AsStated(input_size=settings.place.input_size))

    def shown(self, image: UInt8, box: Size) -> Tensor:
        """As stated, whatever the box. Shape: ``(H, W, 3)`` RGB to float ``(1, 3, h, w)``."""
        return self._file.shown(image)

    def counted(self, outputs: Tensor) -> Tensor:
        """The classes that outputs count as, 255 = void. Shape: uint8 ``(H, W)``, in and out."""
        table: Tensor = self.get_buffer("_train_ids").to(outputs.device)
        return table[outputs.long()]

    def inference(self) -> Direct:
        """Logits are resized directly to the size of the label."""
        return Direct()
