"""Rays to pictures: cameras, sphere tracing of distances, and marching through density."""
