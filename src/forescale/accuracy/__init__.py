"""From loss to accuracy: links of tasks, the chain through a law, and whether a sharp rise is one."""
