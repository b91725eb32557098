"""How a release is made: one step a file, plain typed functions over typed, content-addressed artifacts."""
