"""Instances that were retrieved, kept for a while, so that what is asked for again is there.

* `Retrieves`: retrieves instances; equal retrieves at the same moment are one.
* `Kept`: one instance, whole, in memory or in a file.
* `folder`: where the files lie; what a killed process left there, the next one removes.
"""

from __future__ import annotations

from harmony.cache.kept import Kept
from harmony.cache.retrieves import CacheLimits, Retrieved, Retrieves

__all__ = ["CacheLimits", "Kept", "Retrieved", "Retrieves"]
