"""Did it work: how to design, draw and read out an experiment."""
