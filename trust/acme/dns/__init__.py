"""Records for dns-01 (RFC 8555 §8.4): published, seen by everybody, withdrawn."""
