"""The studio: a browser page where fields are seen and made, served on this machine."""
