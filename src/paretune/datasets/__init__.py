"""Datasets: rows through templates into data models, and how they are split."""

from __future__ import annotations

from paretune.datasets import gsm8k
from paretune.datasets.dataset import Dataset
from paretune.datasets.huggingface import HuggingFaceDataset, load_split
from paretune.datasets.split import split_indices, split_train_test

__all__ = ["Dataset", "HuggingFaceDataset", "gsm8k", "load_split", "split_indices", "split_train_test"]
