"""Credentials and tokens: what is stored on this machine, how a registry challenges, and the tokens it grants."""
