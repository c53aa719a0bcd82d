"""The errors of nodes."""

from __future__ import annotations


class SettingsError(Exception):
    """A failure that follows from the code or the settings, and so comes again at every node."""


class RefusedError(Exception):
    """The federator doesn't take this node."""


class LostError(Exception):
    """The connection ended."""
