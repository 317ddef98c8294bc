"""Fitted fields as files that other programs open: one table of formats, one file a family of them."""
