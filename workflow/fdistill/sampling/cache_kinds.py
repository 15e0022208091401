"""The kinds of teacher cache, `teacher_cache` of a task. The configuration is checked against them, without torch."""

# What is stored: nothing, the last hidden states of the teacher, or the log-probabilities of its likeliest tokens.
NONE, STATES, TOPK = "none", "states", "topk"
