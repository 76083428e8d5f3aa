"""Store → what of it is worth training on: every drop has a reason, and can be taken back."""
