"""An environment on AWS: one component a file, each with typed inputs; policies and names are plain data."""
