"""An OpenAI-compatible HTTP server of a local model: it answers, streams, and scores prompts.

HTTP → app (key, host, errors) → requests (what is asked) → calls (rows, and what is told of them)
     → engine (one model thread, what waits becomes a batch) → decoding (step by step) → replies → HTTP
"""
