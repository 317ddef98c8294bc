"""The studio: a page in the browser where fields are fitted, inspected, compared and exported."""
