"""A mesh with a texture from a fitted scene and its photographs, made in stages that are kept and can be continued."""
