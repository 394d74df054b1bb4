"""The fleet on one page, for operators."""
