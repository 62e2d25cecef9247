"""The commands of `headwater`, one module a family; what is slow to import is imported inside the functions."""
