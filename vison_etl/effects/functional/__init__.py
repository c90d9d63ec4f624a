"""Functional check of a block at room temperature: go or no-go for every function of every channel."""
