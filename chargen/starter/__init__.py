"""A small finished model, trained on the built-in corpus, for the first seconds after installation."""
