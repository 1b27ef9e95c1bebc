"""Rewards, metrics and a program of this project's own, which conf/ names as ``conf.own:NAME``; DVC watches this file."""
