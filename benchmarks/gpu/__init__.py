"""Everything that wants a GPU, prepared so that a few minutes of one suffice: `make gpu`."""
