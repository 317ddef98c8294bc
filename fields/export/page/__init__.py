"""Fields as one page for a browser: the weights, what computes values of them, and the viewer."""
