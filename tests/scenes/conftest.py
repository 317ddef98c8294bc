"""Makes the helpers of this folder importable by the tests below it: pytest adds a conftest's folder to `sys.path`."""
