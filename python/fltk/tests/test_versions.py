"""Versions that are said in several places."""

from __future__ import annotations

import re

from conftest import ROOT

import fltk


def test_both_packages_have_the_version_of_the_program() -> None:
    (version,) = re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    for package in ("fltk", "program"):
        assert f'\nversion = "{version}"\n' in (ROOT / "python" / package / "pyproject.toml").read_text(), package
    assert f'"fltk-program=={version}"' in (ROOT / "python/fltk/pyproject.toml").read_text()
    assert fltk.__version__ == version


def test_the_program_asks_for_the_libtorch_that_it_is_linked_with() -> None:
    (libtorch,) = re.findall(r'^const VERSION: &str = "(.*)";', (ROOT / "crates/libtorch-build/src/lib.rs").read_text(), re.MULTILINE)
    assert f'"torch=={libtorch}"' in (ROOT / "python/program/pyproject.toml").read_text()
