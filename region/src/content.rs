//! What is on a volume? A counter that running units write, ten times a second.
