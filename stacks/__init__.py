"""What exists in each stack: one module a stack, short enough to be read as a table of contents."""
