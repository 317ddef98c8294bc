"""Images, audio and videos of fields, one `Output` class per kind of signal."""
