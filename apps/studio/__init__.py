"""The studio: a page in the browser where fields are fitted, inspected, compared and exported."""

# Names of this machine for itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
