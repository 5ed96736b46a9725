"""Profiles of boards that stand for a kind, and cannot be bought."""

from pathlib import Path

BOARDS = Path(__file__).parent
