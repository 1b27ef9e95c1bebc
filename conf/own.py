"""Rewards, metrics and a program of your own, which conf/ names as ``conf.own:NAME``; DVC watches this file."""
