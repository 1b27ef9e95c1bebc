"""How a language model is reached: one class for each way."""
