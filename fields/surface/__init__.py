"""The surfaces of fields as triangles, points and colours: what assets are made of."""
