"""Images of fields: evaluation at pixels, sphere tracing of distances, ray marching through density."""
