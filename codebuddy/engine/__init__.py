"""The warm engine: one background process per user that holds model, KV cache and indexes."""
