"""What any estimate can be asked: losses, splits of compute, and what those hang on."""
