"""The program beside Triton."""
