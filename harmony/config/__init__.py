"""Configuration: TOML files in, findings or a `Configuration` out."""
