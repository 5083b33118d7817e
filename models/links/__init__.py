"""Links from loss to accuracy: a link and priors, one TOML file each."""
