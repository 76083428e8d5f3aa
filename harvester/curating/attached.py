"""Letters that stand right beside a number or an address without being a part of it."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese, Japanese
    "\uac00-\ud7a3"  # Korean: its particles follow without a space
)
"""For a class of a pattern: letters of scripts that write no spaces."""
OF_WORDS = rf"[^\W{UNSPACED}]"
"""A letter or a digit of any other script, as a pattern."""
