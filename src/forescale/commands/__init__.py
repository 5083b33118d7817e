"""The commands, a file each or a few that go together: words in, a verb called, a table out."""
