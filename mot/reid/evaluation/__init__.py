"""How well embeddings tell identities apart."""
