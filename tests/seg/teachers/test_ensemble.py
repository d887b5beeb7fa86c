"""Bands of several teachers, merged: the labels of all of their views, whatever bands each of them has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.windows import *  # noqa: F403 - replaced below
