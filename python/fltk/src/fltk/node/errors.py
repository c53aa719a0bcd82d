"""The errors of nodes."""

from __future__ import annotations


class SettingsError(Exception):
    """A failure that follows from the code or the settings, and so comes again at every node."""


class MachineError(Exception):
    """A failure of this machine, such as data that isn't here: another node may do better."""


class RefusedError(Exception):
    """The federator doesn't take this node."""


class LostError(Exception):
    """The connection ended."""
