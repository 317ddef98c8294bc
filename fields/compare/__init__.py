"""The same signal by several methods, side by side: one implementation for the command and the studio."""
