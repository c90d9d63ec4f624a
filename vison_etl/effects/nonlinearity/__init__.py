"""Non-linearity of the chain from flats of many exposure times."""
