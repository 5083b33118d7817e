"""Published trends: printed power laws and the spread of their exponents, one TOML file each."""
