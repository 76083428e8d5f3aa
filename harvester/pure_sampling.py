"""What sampling parameters must be for an answer to be a sample of the very probabilities that an API lists."""

from collections.abc import Mapping

SAMPLED_PURELY: Mapping[str, tuple[float, ...]] = {"temperature": (1,), "top_p": (1,), "top_k": (0, -1), "min_p": (0,)}
"""Parameters that must be stated, as servers have defaults of their own (llama.cpp: top_k 40, min_p 0.05), and what
they must be; the last two only where an API takes them (`profiles.Profile.samplers`)."""
EVERYWHERE = ("temperature", "top_p")
NEUTRAL: Mapping[str, tuple[float, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repeat_penalty": (1,),
    "repetition_penalty": (1,),
    "typical_p": (1,),
}
"""Parameters that change the distribution, and the values at which they do not; off where nothing is stated."""
