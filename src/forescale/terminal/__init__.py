"""The frame of the command line: its words, its output, and what several commands share."""
