"""Approaches 1 and 2: isoFLOP profiles and envelopes of training curves; trends of tables."""
