"""What an installation costs: fresh clones compiled, set up and used, with empty caches."""
