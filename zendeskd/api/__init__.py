"""The HTTP API on the control socket: one module a noun, each with its endpoints."""
