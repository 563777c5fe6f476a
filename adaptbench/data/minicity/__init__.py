"""MiniCity: a generated street world."""

from adaptbench.data.minicity.generate import cache_folder, ensure
from adaptbench.data.minicity.spec import VERSION, WorldSpec, fingerprint, picture_size
from adaptbench.data.minicity.world import picture

__all__ = ["VERSION", "WorldSpec", "cache_folder", "ensure", "fingerprint", "picture", "picture_size"]
